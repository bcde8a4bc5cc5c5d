from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

__pyx_capi__: dict[str, object]  # the C side, for cimport

def num_threads() -> int: ...
def enter_limit(owner: object, threads: int) -> None: ...
def leave_limit(owner: object) -> None: ...
def warm_helpers() -> int: ...
def shares(threads: int) -> NDArray[np.float64]: ...
def run_parts(
    threads: int,
    parts: int,
    *,
    work: int | Sequence[int] = 0,
    inner: int = 0,
    rounds: int = 1,
    learn: bool = False,
) -> NDArray[np.int64]: ...

@disjoint_base
class Limit:
    n: int | None
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...

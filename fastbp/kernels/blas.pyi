from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_F = TypeVar("_F", np.float32, np.float64)

__pyx_capi__: dict[str, object]  # the C side, for cimport

def library() -> str | None: ...
def gemm(
    A: NDArray[_F],
    B: NDArray[_F],
    *,
    trans_a: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
    out: NDArray[_F] | None = None,
) -> NDArray[_F]: ...
def gemv(
    A: NDArray[_F],
    x: NDArray[_F],
    *,
    trans: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
    out: NDArray[_F] | None = None,
) -> NDArray[_F]: ...
def ger(x: NDArray[_F], y: NDArray[_F], *, alpha: float = 1.0, out: NDArray[_F]) -> NDArray[_F]: ...
def axpy(x: NDArray[_F], y: NDArray[_F], *, alpha: float = 1.0) -> NDArray[_F]: ...

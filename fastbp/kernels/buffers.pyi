from collections.abc import Sequence
from typing import Any, Self

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastbp.kernels.descent import Descent

@disjoint_base
class Buffers(Descent):
    capacity: int
    rows_independent: bool
    losses_independent: bool

    def __new__(cls, layout: Any, loss: Any, capacity: int, labels: Sequence[str]) -> Self: ...
    def bind(
        self,
        theta: NDArray[Any],
        params: list[dict[str, NDArray[Any]]],
        buffers: list[dict[str, NDArray[Any]]],
        seed: int,
        step: int,
    ) -> None: ...

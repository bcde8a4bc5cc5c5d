from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.buffers import Buffers

__pyx_capi__: dict[str, object]  # the C side, for cimport

@final
class Plan(Buffers):
    def forward(
        self,
        x: NDArray[Any],
        training: bool = False,
        out: NDArray[Any] | None = None,
        first_row: int = 0,
        exact: bool = False,
    ) -> NDArray[Any]: ...
    def y_hat(self, a: NDArray[Any], out: NDArray[Any]) -> None: ...
    def losses(self, targets: NDArray[Any], gradient: bool) -> NDArray[np.float64]: ...
    def batch_loss(
        self, targets: NDArray[Any], weight: NDArray[np.float64] | None, scale: float
    ) -> float: ...
    def upstream(self) -> NDArray[Any]: ...
    def backward(
        self,
        x: NDArray[Any],
        input_gradient: NDArray[Any] | None = None,
        factors_only: bool = False,
    ) -> None: ...
    def gradients(
        self,
        x: NDArray[Any],
        targets: NDArray[Any],
        weight: NDArray[np.float64] | None,
        scale: float,
        *,
        training: bool = False,
        input_gradient: NDArray[Any] | None = None,
        factors_only: bool = False,
        rows: NDArray[Any] | None = None,
    ) -> float: ...
    def add_l2(self, l2: float) -> float: ...

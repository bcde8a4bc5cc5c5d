from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.context import Context

_Arrays = dict[str, NDArray[Any]]

@final
class LayerBody:
    layer: Any
    spec: Any
    dtype: np.dtype[Any]
    label: str
    python: bool
    n_in: int

    def __init__(
        self, layer: Any, n_in: int, dtype: Any, python: bool = False, label: str | None = None
    ) -> None: ...
    @property
    def flags(self) -> int: ...
    @property
    def has_df(self) -> bool: ...
    def forward(self, params: _Arrays, x: NDArray[Any], y: NDArray[Any], ctx: Context) -> None: ...
    def backward(
        self,
        params: _Arrays,
        x: NDArray[Any],
        y: NDArray[Any],
        dy: NDArray[Any],
        dx: NDArray[Any] | None,
        grads: _Arrays,
        ctx: Context,
    ) -> None: ...
    def df(
        self, x: NDArray[Any], y: NDArray[Any], out: NDArray[Any], ctx: Context | None = None
    ) -> None: ...

@final
class LossBody:
    loss: Any
    dtype: np.dtype[Any]
    label: str
    python: bool
    n_out: int

    def __init__(
        self, loss: Any, n_out: int, dtype: Any, python: bool = False, label: str | None = None
    ) -> None: ...
    @property
    def flags(self) -> int: ...
    def loss_and_delta(
        self,
        a: NDArray[Any],
        targets: NDArray[Any],
        delta: NDArray[Any] | None,
        losses: NDArray[np.float64] | None = None,
    ) -> NDArray[Any]: ...
    def batch_loss_and_delta(
        self,
        a: NDArray[Any],
        targets: NDArray[Any],
        weight: NDArray[np.float64],
        delta: NDArray[Any] | None,
        losses: NDArray[np.float64] | None = None,
    ) -> Any: ...
    def y_hat(self, a: NDArray[Any], out: NDArray[Any]) -> None: ...

"""ReLU: h = max(a, 0)."""

from __future__ import annotations

import math

import numpy as np

from fastbp.checks import Array
from fastbp.kernels import relu_backward, relu_forward
from fastbp.kernels.builtin import elementwise_capsule
from fastbp.kernels.context import Context
from fastbp.layers.base import Elementwise


class ReLU(Elementwise):
    """Rectified linear units, h = max(a, 0) (E2); g'(a) is 1 where a > 0, else 0 (E7).

    NaN stays NaN on the way forward.

    Parameters
    ----------
    name : str, optional
        Name of the layer in its network.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.Network(2, [bp.Dense(3), bp.ReLU()], loss="squared_error").n_out
    3
    """

    gain = math.sqrt(2)
    needs_x = False
    derivative = "1 where a > 0, else 0"

    def f(self, x: Array, y: Array) -> None:
        relu_forward(x, out=y)

    def df(self, x: Array, y: Array, out: Array) -> None:
        np.greater(y, 0, out=out)

    def backward(
        self,
        params: dict[str, Array],
        x: Array,
        y: Array,
        dy: Array,
        dx: Array | None,
        grads: dict[str, Array],
        ctx: Context,
    ) -> None:
        if dx is not None:
            relu_backward(y, dy, out=dx)  # 0 where y is 0, even if dy is infinite

    def __fastbp_elementwise__(self) -> object:
        return elementwise_capsule("relu")

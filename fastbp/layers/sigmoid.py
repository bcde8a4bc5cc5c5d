"""The logistic function: h = 1 / (1 + exp(-a))."""

from __future__ import annotations

import numpy as np

from fastbp.checks import Array
from fastbp.kernels import sigmoid_forward
from fastbp.kernels.builtin import elementwise_capsule
from fastbp.layers.base import Elementwise


class Sigmoid(Elementwise):
    """Logistic units, h = 1 / (1 + exp(-a)) (E2); g'(a) = h (1 - h) (E7).

    Parameters
    ----------
    name : str, optional
        Name of the layer in its network.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.mlp([2, 3, 2], activation="sigmoid").layers[1]
    Sigmoid()
    """

    needs_x = False
    derivative = "h (1 - h)"

    def f(self, x: Array, y: Array) -> None:
        sigmoid_forward(x, out=y)

    def df(self, x: Array, y: Array, out: Array) -> None:
        np.subtract(1, y, out=out)
        np.multiply(out, y, out=out)

    def __fastbp_elementwise__(self) -> object:
        return elementwise_capsule("sigmoid")

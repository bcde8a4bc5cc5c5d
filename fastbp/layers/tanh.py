"""Hyperbolic tangent: h = tanh(a)."""

from __future__ import annotations

import numpy as np

from fastbp.checks import Array
from fastbp.kernels import tanh_forward
from fastbp.kernels.builtin import elementwise_capsule
from fastbp.layers.base import Elementwise


class Tanh(Elementwise):
    """Tanh units, h = tanh(a) (E2); g'(a) = 1 - h² (E7).

    Parameters
    ----------
    name : str, optional
        Name of the layer in its network.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.mlp([2, 3, 2], activation="tanh").layers[1]
    Tanh()
    """

    gain = 5 / 3  # keeps the variance of h roughly level from layer to layer (PyTorch's constant)
    needs_x = False
    derivative = "(1 - h)(1 + h)"

    def f(self, x: Array, y: Array) -> None:
        tanh_forward(x, out=y)

    def df(self, x: Array, y: Array, out: Array) -> None:
        np.multiply(1 - y, 1 + y, out=out)  # 1 - y² would lose digits near y = ±1

    def __fastbp_elementwise__(self) -> object:
        return elementwise_capsule("tanh")

"""The forward pass beside its gradients, in the lecture's words."""

from __future__ import annotations

from collections.abc import Callable

from fastbp.checks import Array
from fastbp.indexed import Indexed


class Values:
    """The forward pass that a :class:`fastbp.Gradients` belongs to.

    Attributes
    ----------
    x : ndarray, (batch, n_0)
        The input.
    a : mapping of int to ndarray, (batch, n_k)
        Pre-activations a_k (E1), k = 1..L.
    h : mapping of int to ndarray, (batch, n_k)
        Hidden units h_k (E2): what affine layer k + 1 takes in, and h_L, the network's output.
    y_hat : ndarray, (batch, n_L)
        Output (E3): probabilities, or values for regression.
    """

    def __init__(
        self, a: Indexed, h: Indexed, form_x: Callable[[], Array], form_y_hat: Callable[[], Array]
    ) -> None:
        self.a, self.h, self._form_x, self._form_y_hat = a, h, form_x, form_y_hat

    @property
    def x(self) -> Array:
        return self._form_x()

    @property
    def y_hat(self) -> Array:
        return self._form_y_hat()

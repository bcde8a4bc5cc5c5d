"""Squared error: E10."""

from __future__ import annotations

from fastbp.checks import Array
from fastbp.kernels import squared_error
from fastbp.kernels.builtin import loss_capsule
from fastbp.losses.base import Formulas, Loss


class SquaredError(Loss):
    """ℓ = ½ Σ_j (y_hat_j - t_j)² with y_hat = a (E10); the gradient is y_hat - t.

    The sum, not the mean, over the outputs: PyTorch's ``MSELoss`` is 2 / n_L times this.

    Examples
    --------
    >>> import numpy as np, fastbp as bp
    >>> net = bp.mlp([2, 1], loss="squared_error", rng=0)
    >>> net.flat[:] = 0
    >>> net.loss(np.ones((1, 2)), [3.0])
    4.5
    """

    targets = "values"

    def loss_and_delta(self, a: Array, targets: Array, delta: Array | None) -> Array:
        return squared_error(a, targets, delta)

    def formulas(self, targets: Array) -> Formulas:
        return Formulas("½ Σ (ŷ - t)²", "ŷ - t", "ŷ - t", equation="E10")

    def __fastbp_loss__(self) -> object:
        return loss_capsule("squared_error")

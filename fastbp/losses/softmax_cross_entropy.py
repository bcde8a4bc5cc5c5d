"""Softmax cross-entropy: E3 forward, E4 and E5 backward."""

from __future__ import annotations

import numpy as np

from fastbp.checks import Array
from fastbp.errors import ShapeError
from fastbp.kernels import softmax, softmax_cross_entropy
from fastbp.kernels.builtin import loss_capsule
from fastbp.losses.base import Formulas, Loss


class SoftmaxCrossEntropy(Loss):
    """ℓ = -log y_hat_l with y_hat = softmax(a), for classes l or for rows of probabilities (E3).

    The gradient w.r.t. a is y_hat - e_l (E5), that w.r.t. y_hat is -(1 / y_hat_l) e_l (E4).
    For a row of probabilities p: ℓ = -Σ p_j log y_hat_j, gradients y_hat Σp - p and -p / y_hat.

    Raises
    ------
    ShapeError
        The network has one output only: softmax of one number is always 1.

    Examples
    --------
    >>> import numpy as np, fastbp as bp
    >>> net = bp.mlp([2, 3], loss=bp.SoftmaxCrossEntropy(), rng=0)
    >>> net.flat[:] = 0
    >>> print(round(net.loss(np.ones((1, 2)), [1]), 4))  # log 3
    1.0986
    """

    targets = "classes"
    probabilities = True
    y_hat_map = "softmax"

    def target_width(self, n_out: int) -> int:
        if n_out < 2:
            raise ShapeError(
                "loss: got softmax_cross_entropy on 1 output; wanted 2 or more outputs, or "
                "loss='sigmoid_cross_entropy'"
            )
        return n_out

    def loss_and_delta(self, a: Array, targets: Array, delta: Array | None) -> Array:
        return softmax_cross_entropy(a, targets, delta)  # E3, E5

    def y_hat(self, a: Array, out: Array) -> None:
        softmax(a, out=out)

    def y_hat_gradient(self, a: Array, targets: Array, out: Array) -> None:
        y_hat = softmax(a)
        # E4; -inf where y_hat_l underflowed to 0, and 0/0 counts as 0
        p = targets
        if targets.ndim == 1:
            p = np.zeros_like(y_hat)
            p[np.arange(len(targets)), targets] = 1
        out[...] = 0
        with np.errstate(divide="ignore", over="ignore"):
            np.divide(p, y_hat, out=out, where=p != 0)
        np.negative(out, out=out, where=p != 0)

    def formulas(self, targets: Array) -> Formulas:
        if targets.ndim == 1:
            return Formulas("-log ŷₗ", "-(1/ŷₗ) eₗ", "ŷ - eₗ")
        return Formulas("-Σ p log ŷ", "-p / ŷ", "ŷ · Σp - p")

    def decide(self, y_hat: Array) -> Array:
        return np.asarray(np.argmax(y_hat, axis=1), dtype=np.int64)

    def correct(self, y_hat: Array, targets: Array) -> Array:
        truth = targets if targets.ndim == 1 else np.argmax(targets, axis=1)
        return np.asarray(self.decide(y_hat) == truth)

    def __fastbp_loss__(self) -> object:
        return loss_capsule("softmax_cross_entropy")

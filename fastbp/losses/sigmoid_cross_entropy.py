"""Sigmoid cross-entropy: one yes-or-no question per output unit."""

from __future__ import annotations

import numpy as np

from fastbp.checks import Array
from fastbp.kernels import sigmoid_cross_entropy, sigmoid_forward
from fastbp.kernels.builtin import loss_capsule
from fastbp.losses.base import Formulas, Loss


class SigmoidCrossEntropy(Loss):
    """ℓ = -Σ_j (t_j log y_hat_j + (1 - t_j) log(1 - y_hat_j)) with y_hat = sigmoid(a).

    For two classes with one output, or several labels per row (multilabel); t in [0, 1]. The sum,
    not the mean, over the outputs. The gradient w.r.t. a is y_hat - t, that w.r.t. y_hat is
    (1 - t) / (1 - y_hat) - t / y_hat.

    References
    ----------
    .. [1] Bishop, "Pattern Recognition and Machine Learning", 2006, section 5.2.

    Examples
    --------
    >>> import numpy as np, fastbp as bp
    >>> net = bp.mlp([2, 1], loss="sigmoid_cross_entropy", rng=0)
    >>> net.flat[:] = 0
    >>> print(round(net.loss(np.ones((1, 2)), [1]), 4))  # log 2
    0.6931
    """

    targets = "binary"
    probabilities = True
    y_hat_map = "sigmoid"

    def loss_and_delta(self, a: Array, targets: Array, delta: Array | None) -> Array:
        return sigmoid_cross_entropy(a, targets, delta)

    def y_hat(self, a: Array, out: Array) -> None:
        sigmoid_forward(a, out=out)

    def y_hat_gradient(self, a: Array, targets: Array, out: Array) -> None:
        # 1 - y_hat would cancel, but 1 / y_hat = 1 + exp(-a) and 1 / (1 - y_hat) = 1 + exp(a)
        yes, no = targets.astype(np.float64), 1 - targets.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            towards = np.where(no == 0, 0, no * (1 + np.exp(a, dtype=np.float64)))
            away = np.where(yes == 0, 0, yes * (1 + np.exp(-a, dtype=np.float64)))
            out[...] = towards - away

    def formulas(self, targets: Array) -> Formulas:
        loss = "-Σ (t log ŷ + (1 - t) log(1 - ŷ))"
        return Formulas(loss, "(1 - t) / (1 - ŷ) - t / ŷ", "ŷ - t")

    def decide(self, y_hat: Array) -> Array:
        yes = (y_hat > 0.5).astype(np.int64)
        return yes[:, 0] if yes.shape[1] == 1 else yes

    def correct(self, y_hat: Array, targets: Array) -> Array:
        return np.asarray(((y_hat > 0.5) == (targets > 0.5)).all(axis=1))

    def __fastbp_loss__(self) -> object:
        return loss_capsule("sigmoid_cross_entropy")

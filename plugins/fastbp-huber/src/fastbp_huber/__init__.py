"""The Huber loss for fastbp: squared near the target, linear far from it."""

import numpy as np

import fastbp as bp
from fastbp_huber._huber import capsule


class Huber(bp.losses.Loss):
    """ℓ = Σ_j ½ r_j² where |r_j| ≤ threshold, else threshold (|r_j| - ½ threshold); r = a - t.

    The gradient with respect to a is r, clipped to ±threshold. The sum, not the mean, over the
    outputs, as in fastbp's squared_error.

    Parameters
    ----------
    threshold : float, > 0
        From where on an error counts linearly.
    """

    targets = "values"

    def __init__(self, threshold=1.0):
        if not 0 < threshold < float("inf"):
            raise bp.ConfigError(f"threshold: got {threshold!r}; wanted a finite number > 0")
        self.threshold = float(threshold)

    # The Python body says what is meant; the C body, which the host uses, says the same faster.
    def loss_and_delta(self, a, targets, delta):
        r = a.astype(np.float64) - targets
        near = np.clip(r, -self.threshold, self.threshold)
        if delta is not None:
            delta[...] = near
        return (near * (r - 0.5 * near)).sum(axis=1)

    def formulas(self, targets):  # in letters, for net.explain
        d = self.threshold
        delta = f"max(min(ŷ - t, {d:g}), -{d:g})"
        return bp.losses.Formulas(f"Σ ½ (ŷ - t)², linear beyond {d:g}", delta, delta)

    def __fastbp_loss__(self):
        return capsule(self.threshold)

    @classmethod
    def examples(cls):
        """Instances for the conformance kit."""
        return [cls(), cls(threshold=0.1)]

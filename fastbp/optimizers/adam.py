"""Adam."""

from __future__ import annotations

from typing import Any

from fastbp import checks
from fastbp.checks import Array
from fastbp.errors import OptimizerError
from fastbp.kernels import adam_update
from fastbp.optimizers.base import Optimizer, OptimizerState


class Adam(Optimizer):
    """Adam: steps of the gradient's mean over the root of its mean square.

    With g' = g + weight_decay θ: m ← β₁ m + (1 - β₁) g', v ← β₂ v + (1 - β₂) g'²,
    θ ← θ - lr m̂ / (√v̂ + eps), where m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) at step t = 1, 2, ...

    Parameters
    ----------
    lr : float
        Learning rate, > 0.
    beta1, beta2 : float
        β₁ and β₂, in [0, 1).
    eps : float
        Keeps the division finite, > 0.
    weight_decay : float
        Added to the gradient as weight_decay θ, for every parameter, biases too.

    Raises
    ------
    ConfigError
        An argument is out of its range.

    References
    ----------
    .. [1] Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.Adam(0.01)
    Adam(lr=0.01)
    """

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.lr = checks.number("lr", lr, open_low=True)
        self.beta1 = checks.number("beta1", beta1, high=1.0)
        self.beta2 = checks.number("beta2", beta2, high=1.0)
        self.eps = checks.number("eps", eps, open_low=True)
        self.weight_decay = checks.number("weight_decay", weight_decay)

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays of state."""
        return ("m", "v")

    def rule(self) -> tuple[Any, ...]:
        return "adam", self.lr, self.beta1, self.beta2, self.eps, self.weight_decay

    def check_values(self, state: OptimizerState) -> None:
        super().check_values(state)
        v = state._arrays["v"]
        if (v < 0).any():
            raise OptimizerError(
                f"optimizer_state.arrays['v']: got {v.min()}; wanted mean squares, numbers >= 0"
            )

    def update(self, theta: Array, grad: Array, state: OptimizerState) -> None:
        adam_update(
            theta,
            grad,
            state.arrays["m"],
            state.arrays["v"],
            lr=self.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            t=state.steps + 1,
            weight_decay=self.weight_decay,
        )

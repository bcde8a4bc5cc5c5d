"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from fastbp import checks
from fastbp.checks import Array
from fastbp.errors import ConfigError
from fastbp.kernels import momentum_update, sgd_update
from fastbp.optimizers.base import Optimizer, OptimizerState


class SGD(Optimizer):
    """θ ← θ - lr g, with momentum and L2 weight decay if wanted.

    With g' = g + weight_decay θ and, for momentum μ, v ← μ v + g' (v starts at 0), the step is
    -lr g' (μ = 0), -lr v, or -lr (g' + μ v) (Nesterov): the meaning these have in PyTorch.

    Parameters
    ----------
    lr : float
        Learning rate, > 0.
    momentum : float
        μ in [0, 1).
    nesterov : bool
        Nesterov's momentum; needs momentum > 0.
    weight_decay : float
        Added to the gradient as weight_decay θ, for every parameter, biases too.

    Raises
    ------
    ConfigError
        An argument is out of its range.

    References
    ----------
    .. [1] Sutskever et al., "On the importance of initialization and momentum in deep learning",
       2013.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.SGD(0.1, momentum=0.9)
    SGD(0.1, momentum=0.9)
    """

    def __init__(
        self, lr: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        self.lr = checks.number("lr", lr, open_low=True)
        self.momentum = checks.number("momentum", momentum, high=1.0)
        self.nesterov = checks.boolean("nesterov", nesterov)
        self.weight_decay = checks.number("weight_decay", weight_decay)
        if self.nesterov and not self.momentum:
            raise ConfigError("nesterov: got True with momentum 0; wanted momentum > 0")

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays of state."""
        return ("v",) if self.momentum else ()

    def rule(self) -> tuple[Any, ...]:
        if self.momentum:
            return "momentum", self.lr, self.momentum, self.nesterov, self.weight_decay
        return "sgd", self.lr, self.weight_decay

    def update(self, theta: Array, grad: Array, state: OptimizerState) -> None:
        if self.momentum:
            momentum_update(
                theta,
                grad,
                state.arrays["v"],
                lr=self.lr,
                momentum=self.momentum,
                nesterov=self.nesterov,
                weight_decay=self.weight_decay,
            )
        else:
            sgd_update(theta, grad, lr=self.lr, weight_decay=self.weight_decay)

"""JAX: the step as one jit-compiled function whose parameters are donated, so reused in place."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..problem import Problem

COUNTS = ()  # it uses every CPU that the process may run on, whatever it is told


def loss(layers: Any, X: Any, y: Any, activation: str) -> Any:
    h, last = X, len(layers)
    g = jax.nn.relu if activation == "relu" else jnp.tanh
    for k, (W, b) in enumerate(layers, 1):
        a = h @ W + b
        h = g(a) if k < last else a
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h), y[:, None], 1))


@partial(jax.jit, donate_argnums=0, static_argnames=("lr", "activation"))
def sgd(layers: Any, X: Any, y: Any, *, lr: float, activation: str) -> Any:
    gradients = jax.grad(loss)(layers, X, y, activation)
    return jax.tree.map(lambda p, dp: p - lr * dp, layers, gradients)


class Step:
    """W is kept as (n_in, n_out), the way JAX's users write it."""

    def __init__(self, problem: Problem) -> None:
        self.layers = [(jnp.array(W.T), jnp.array(b)) for W, b in problem.layers]
        self.X, self.y = jnp.array(problem.X), jnp.array(problem.y)
        self.sgd = partial(sgd, lr=problem.lr, activation=problem.activation)

    def __call__(self) -> None:
        self.layers = self.sgd(self.layers, self.X, self.y)
        for W, b in self.layers:  # sooner done than jax.block_until_ready of them all
            W.block_until_ready()
            b.block_until_ready()

    def parameters(self) -> list[tuple[Any, Any]]:
        return [(np.array(W).T, np.array(b)) for W, b in self.layers]

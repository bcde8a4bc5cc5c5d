"""Before anything is timed: does a library make the steps that the lecture's equations make?"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastbp import reference

from .problem import Problem

STEPS = 3
LOSS = 1e-5  # float32's share of a loss
MOVED = 0.02  # of how far an array moved: float32 may take ReLU's other side in a few places
EPS = float(np.finfo("f4").eps)


class Path(NamedTuple):
    """The loss at the start and after each step, and where the parameters arrived."""

    losses: list[float]
    layers: list[tuple[Any, Any]]


def path(problem: Problem) -> Path:
    """The steps by `fastbp.reference`, in float64."""
    layers, losses = _float64(problem.layers), []
    for _ in range(STEPS):
        g = reference.gradients(problem.X.astype("f8"), problem.y, _chain(problem, layers))
        losses.append(float(g.loss))
        layers = [
            (W - problem.lr * g.W[k], b - problem.lr * g.b[k]) for k, (W, b) in enumerate(layers, 1)
        ]
    return Path([*losses, loss(problem, layers)], layers)


def difference(step: Any, problem: Problem, right: Path) -> str | None:
    """Step a library STEPS times, and say in what its losses or its parameters are not `right`."""
    losses = [loss(problem, step.parameters())]
    for _ in range(STEPS):
        step()
        losses.append(loss(problem, step.parameters()))
    for t, (got, want) in enumerate(zip(losses, right.losses, strict=True)):
        if not abs(got - want) <= LOSS * max(1.0, abs(want)):  # NaN differs too
            return f"the loss after {t} steps is {got:.7g}; the reference's is {want:.7g}"
    # a loss hardly feels a wrong bias: so the arrays are compared by how far they moved
    arrays = zip(step.parameters(), problem.layers, right.layers, strict=True)
    for k, pairs in enumerate(arrays, 1):
        for name, got, start, want in zip("Wb", *pairs, strict=True):
            moved = np.linalg.norm(want - start)
            rounding = STEPS * EPS * np.linalg.norm(want)
            error = np.linalg.norm(got.astype("f8") - want)
            if not error <= MOVED * moved + rounding:
                return f"{name}[{k}] is {error / moved:.2g} of its way from the reference's"
    return None


def loss(problem: Problem, layers: Any) -> float:
    """The batch's mean loss at these parameters, in float64; NaN and infinity pass through."""
    layers = _float64(layers)
    a, _ = reference.forward(problem.X.astype("f8"), _chain(problem, layers))
    top = a[len(layers)]
    if not np.isfinite(top).all():
        return math.nan
    return float(reference.softmax_cross_entropy(top, problem.y).mean())


def _float64(layers: Any) -> list[tuple[Any, Any]]:
    return [(W.astype("f8"), b.astype("f8")) for W, b in layers]


def _chain(problem: Problem, layers: Any) -> list[tuple[Any, Any, Any]]:
    *hidden, (W, b) = layers
    return [*((W, b, problem.activation) for W, b in hidden), (W, b, None)]

"""The walk itself: from the loss to one weight, a row vector times one factor after another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from fastbp import checks
from fastbp.checks import Array
from fastbp.explain import hidden, output, weights
from fastbp.explain.destination import Weight
from fastbp.explain.factor import Factor
from fastbp.explain.forward import forward
from fastbp.explain.jacobians import Diagonal
from fastbp.explain.record import Walk
from fastbp.explain.symbols import boundaries
from fastbp.layout import Layout, Views
from fastbp.losses import Loss


def walk(
    layout: Layout,
    loss: Loss,
    params: Views,
    buffers: Views,
    key: tuple[int, int],
    x: Array,
    targets: Array,
    row: int,
    weight: Weight,
) -> Walk:
    """Walk from the loss of one example to one weight.

    Parameters
    ----------
    layout : Layout
        In float64, as all arrays.
    loss : Loss
    params, buffers : list of dict
        Of each layer.
    key : (int, int)
        The network's seed and step.
    x, targets : ndarray
        Of one row.
    row : int
        The caller's number of it.
    weight : Weight

    Raises
    ------
    NonFiniteError
        A quantity on the way is not finite.
    """
    names = boundaries(layout)
    ends_affine = layout.layers[-1].affine
    values, jacobians, backwards = forward(layout, params, buffers, key, x, row)
    begun = output.talk(loss, values[-1], targets, names[-1], ends_affine, row)
    if begun.factors[-1].running.name == "∂ℒ/∂ŷ":  # then what the last layer put out is ŷ
        names[-1] = "ŷ"
    gradients = [begun.factors[-1].running.value]
    for name, jacobian in zip(reversed(names[:-1]), reversed(jacobians), strict=True):
        gradients.append(jacobian.after(gradients[-1]))
        checks.finite(f"∂ℒ/∂{name}", gradients[-1][np.newaxis], np.array([row]))
    flat = [array[0] for array in values]
    start = Walk(
        row, weight, layout, begun, begun.factors, tuple(names), tuple(flat),
        tuple(reversed(gradients)), tuple(jacobians), tuple(backwards),
    )  # fmt: skip
    last = weights.talk(start)
    name, arrived = last.running.name, last.running.value
    checks.finite(name, arrived.reshape(1), np.array([row]))
    factors = (*begun.factors, *hidden.talk(start), last)
    for array in _arrays(start, factors):
        array.flags.writeable = False
    return dataclasses.replace(start, factors=factors)


def _arrays(walk: Walk, factors: tuple[Factor, ...]) -> Iterator[Array]:
    """Those that a user can reach."""
    yield from walk.values
    yield from walk.gradients
    for factor in factors:
        yield factor.running.value
        if isinstance(factor.value, np.ndarray):
            yield factor.value
        elif isinstance(factor.value, Diagonal):
            yield factor.value.diagonal

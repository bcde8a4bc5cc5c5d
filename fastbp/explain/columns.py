"""What a picture of a walk shows: columns of units, and how much flows between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fastbp.checks import Array
from fastbp.explain.jacobians import Diagonal
from fastbp.explain.record import Walk

ALL = 12  # longer columns show
MOST = 10  # units


@dataclass(frozen=True)
class Column:
    """Units side by side in the network: the input, or what a layer puts out.

    Attributes
    ----------
    position : int
        Of the boundary between layers, from 0, the input.
    name, gradient_name : str
    values, gradients : ndarray
        Of all units.
    shown, walked : ndarray of int
        Units that are shown, in order, with the class and what is predicted; those the walked
        weight joins.
    """

    position: int
    name: str
    gradient_name: str
    values: Array
    gradients: Array
    shown: Array
    walked: Array

    @property
    def left_out(self) -> int:
        """How many units are not shown."""
        return len(self.values) - len(self.shown)


@dataclass(frozen=True)
class Link:
    """The layers between two columns: the first mixes units, those after it are elementwise.

    Attributes
    ----------
    layers : tuple of str
        Their names.
    walked : bool
        Whether the walked weight is one of theirs.
    joined : ndarray of bool, (shown above, shown below)
        Between which units there is a weight, or a slope that is not 0.
    weights : ndarray, (shown above, shown below)
        |∂ℒ/∂W_kij| over the layer's largest; 0 where the layer is not affine.
    flow : ndarray, (shown above, shown below)
        How much of the product flows through; 0 below the walked weight.
    """

    layers: tuple[str, ...]
    walked: bool
    joined: Array
    weights: Array
    flow: Array


def columns(walk: Walk) -> list[Column]:
    """From the input to ŷ."""
    names = walk.names
    first = "x" if names[0] == "x" else f"x = {names[0]}"
    found = [_column(walk, 0, first, walk.values[0])]
    for _, stop in groups(walk):
        last = stop == len(walk.jacobians)
        values = walk.output.y_hat if last else walk.values[stop]
        found.append(_column(walk, stop, "ŷ" if last else names[stop], values))
    return found


def links(walk: Walk, found: list[Column]) -> list[Link]:
    """Between each two of the columns."""
    moved = tangents(walk)
    return [_link(walk, moved, below, above) for below, above in pairwise(found)]


def groups(walk: Walk) -> Iterator[tuple[int, int]]:
    """First layer, and the first that is not in it any more, of each link."""
    n = len(walk.jacobians)
    starts = [i for i, jacobian in enumerate(walk.jacobians) if not isinstance(jacobian, Diagonal)]
    if starts[:1] != [0]:
        starts = [0, *starts]
    yield from zip(starts, [*starts[1:], n], strict=True)


def tangents(walk: Walk) -> dict[int, Array]:
    """∂(what stands there)/∂weight of each boundary above the walked weight's layer, by its number.

    A product with the gradient there gives each unit's part of ∂ℒ/∂weight.
    """
    position, column = walk.weight.slot.layer + 1, _last(walk)
    found = {position: column}
    with np.errstate(all="ignore"):  # where a number overflows, no line can be drawn
        for jacobian in walk.jacobians[position:]:
            position, column = position + 1, jacobian.before(column)
            found[position] = column
    return found


def flow(walk: Walk, moved: dict[int, Array], layer: int, above: Array, below: Array) -> Array:
    """Parts of ∂ℒ/∂weight that flow through a layer, from units below to units above.

    ∂ℒ/∂a_i · W_ij · ∂h_j/∂weight: over all i and j it sums to the product of all factors.
    """
    if layer not in moved:
        return np.zeros((len(above), len(below)))
    entries = walk.jacobians[layer].entries(above, below)
    with np.errstate(all="ignore"):
        parts = walk.gradients[layer + 1][above, np.newaxis] * entries * moved[layer][below]
    return np.asarray(np.nan_to_num(parts))


def _column(walk: Walk, position: int, name: str, values: Array) -> Column:
    gradients, walked = walk.gradients[position], _walked(walk, position)
    with np.errstate(over="ignore", under="ignore"):
        importance = np.abs(values * gradients)
    first, targets = walked, walk.output.targets
    if position == len(walk.jacobians) and targets.ndim == 0:
        first = np.append(walked, [int(targets), int(np.argmax(values))])
    others = ~np.isin(np.arange(len(values)), first)
    count = len(values) if len(values) <= ALL else MOST
    shown = np.sort(np.lexsort((-importance, others))[:count])
    return Column(
        position, name, f"∂ℒ/∂{walk.names[position]}", values, gradients, shown, walked
    )  # fmt: skip


def _walked(walk: Walk, position: int) -> Array:
    """Units at a boundary that the walked weight leads from, or to."""
    slot, index = walk.weight.slot, walk.weight.index
    start, stop = next(group for group in groups(walk) if group[0] <= slot.layer < group[1])
    affine = walk.layout.layers[slot.layer].affine
    if position == stop:
        return np.array(index[:1]) if affine else np.flatnonzero(_last(walk))
    return np.array(index[1:] if affine and position == start else (), int)


def _last(walk: Walk) -> Array:
    """∂(what its layer puts out)/∂weight."""
    column = walk.factors[-1].value
    assert isinstance(column, np.ndarray)
    return column


def _link(walk: Walk, moved: dict[int, Array], below: Column, above: Column) -> Link:
    start, stop = below.position, above.position
    i, j = above.shown, below.shown
    joined, weights = walk.jacobians[start].entries(i, j) != 0, np.zeros((len(i), len(j)))
    if walk.layout.layers[start].affine:
        joined[...] = True
        delta, h = (_over_largest(x) for x in (walk.gradients[start + 1], walk.values[start]))
        weights = np.outer(delta[i], h[j])
    return Link(
        walk.layout.names[start:stop],
        start <= walk.weight.slot.layer < stop,
        joined,
        weights,
        flow(walk, moved, start, i, j),
    )


def _over_largest(array: Array) -> Array:
    size = np.abs(array)
    return np.asarray(size / (size.max() or 1))

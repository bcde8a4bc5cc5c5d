"""The walk itself: from the loss to one weight, a row vector times one factor after another."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastbp import checks, plugins
from fastbp.checks import Array
from fastbp.explain.destination import Weight
from fastbp.explain.factor import Factor, Product
from fastbp.explain.forward import forward
from fastbp.explain.jacobians import Backward, Diagonal, Jacobian, Weights
from fastbp.explain.output import SENTENCE as OUTPUT
from fastbp.explain.output import Output, talk
from fastbp.explain.symbols import boundaries, entry, number, operand, subscript, with_value
from fastbp.layers import Layer
from fastbp.layout import Layout, Views
from fastbp.losses import Loss
from fastbp.parts import says_itself

HIDDEN = "talk to the previous hidden layer"
INPUT = "talk to the input"
LAST = {"W": "and now talk to the weights", "b": "and now talk to the biases"}
OTHERS = "and now talk to the parameters"
TERMS = 4  # a sum of so many is written out


@dataclass(frozen=True)
class Walk:
    """Everything that one walk came by, in float64.

    Attributes
    ----------
    row : int
        The caller's number of the example.
    weight : Weight
    layout : Layout
    output : Output
    factors : tuple of Factor
    names : tuple of str
        Of the boundaries between the layers, from the input on.
    values, gradients : tuple of ndarray
        What stands there, and ∂ℒ/∂ that.
    jacobians : tuple of Jacobian
        Of the layers.
    backwards : tuple of Backward
        The layers' own functions, which their parameters are asked with.
    """

    row: int
    weight: Weight
    layout: Layout
    output: Output
    factors: tuple[Factor, ...]
    names: tuple[str, ...]
    values: tuple[Array, ...]
    gradients: tuple[Array, ...]
    jacobians: tuple[Jacobian, ...]
    backwards: tuple[Backward, ...]

    @property
    def note(self) -> str:
        """What is unusual about it; "" for nothing."""
        layers = zip(self.layout.layers, self.layout.names, strict=True)
        wide = [name for layer, name in layers if not layer.rows_independent]
        notes = [f"{name} looks at whole batches, and got this example alone" for name in wide]
        return "; ".join(filter(None, [self.output.note, *notes]))


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
    output = talk(loss, values[-1], targets, names[-1], ends_affine, row)
    if output.factors[-1].running.name == "∂ℒ/∂ŷ":  # then what the last layer put out is ŷ
        names[-1] = "ŷ"
    gradients = [output.factors[-1].running.value]
    for name, jacobian in zip(reversed(names[:-1]), reversed(jacobians), strict=True):
        gradients.append(jacobian.after(gradients[-1]))
        checks.finite(f"∂ℒ/∂{name}", gradients[-1][np.newaxis], np.array([row]))
    flat = [array[0] for array in values]
    start = Walk(
        row, weight, layout, output, output.factors, tuple(names), tuple(flat),
        tuple(reversed(gradients)), tuple(jacobians), tuple(backwards),
    )  # fmt: skip
    last = _last(start)
    name, arrived = last.running.name, last.running.value
    checks.finite(name, arrived.reshape(1), np.array([row]))
    factors = (*output.factors, *_through_layers(start), last)
    for array in _arrays(start, factors):
        array.flags.writeable = False
    return dataclasses.replace(start, factors=factors)


def _arrays(walk: Walk, factors: tuple[Factor, ...]) -> Iterator[Array]:
    """Those that a user can reach."""
    yield from walk.values
    yield from walk.gradients
    for factor in factors:
        yield factor.running.value
        yield factor.value.diagonal if isinstance(factor.value, Diagonal) else np.asarray(0.0)
        if isinstance(factor.value, np.ndarray):
            yield factor.value


def _through_layers(walk: Walk) -> Iterator[Factor]:
    """E6 and E7 in turn, from the output down to what the weight's layer puts out."""
    layout, names = walk.layout, walk.names
    sentence = OUTPUT
    for position in range(len(layout.layers) - 1, walk.weight.slot.layer, -1):
        above, below = names[position + 1], names[position]
        jacobian, row = walk.jacobians[position], walk.gradients[position + 1]
        value = walk.gradients[position]
        u = _unit(walk, position, value)
        if isinstance(jacobian, Weights):
            k = layout.affine.index(position)  # h_k is what it takes in
            sentence = HIDDEN if k else INPUT
            joined = k > 0 and layout.layers[position - 1].affine  # h_k is a_k
            below = subscript("h", k)
            letters = subscript("W", k + 1)
            numbers = f"[{u}]: {_sum(row, jacobian.W[:, u], value[u])}" if len(row) <= TERMS else ""
            product = Product(f"∂ℒ/∂{below}", "E6", f"∂ℒ/∂{above} · {letters}", numbers, value)
            name = f"∂{above}/∂{below}"
            yield Factor(name, sentence, "E6", letters, jacobian.name, jacobian, product)
            if joined:
                jacobian, above, below = Diagonal(np.ones_like(value)), below, names[position]
                product = Product(f"∂ℒ/∂{below}", "E7", f"∂ℒ/∂{above}", "", value)
                letters = f"I, as nothing follows {below}"
                yield Factor(f"∂{above}/∂{below}", sentence, "E7", letters, "", jacobian, product)
            continue
        layer = layout.layers[position]
        if isinstance(jacobian, Diagonal):
            letters, numbers = _slope(walk, position, u)
            product = Product(
                f"∂ℒ/∂{below}", "E7", f"∂ℒ/∂{above} ⊙ {_g(layout, position)}'({below})",
                f"[{u}]: {_term(row[u], jacobian.diagonal[u])} = {number(value[u])}", value,
            )  # fmt: skip
        else:
            letters, numbers = f"{layout.names[position]}: {layer!r}'s own backward", ""
            product = Product(f"∂ℒ/∂{below}", "E7", f"{layout.names[position]}.backward", "", value)
        yield Factor(f"∂{above}/∂{below}", sentence, "E7", letters, numbers, jacobian, product)


def _last(walk: Walk) -> Factor:
    """E8 or E9, or what the layer's own backward says: a column vector, and the product."""
    weight, layout = walk.weight, walk.layout
    slot, index = weight.slot, weight.index
    above = walk.names[slot.layer + 1]
    row, h = walk.gradients[slot.layer + 1], walk.values[slot.layer]
    column = np.zeros(len(row))
    if not layout.layers[slot.layer].affine:
        return _last_of_its_own(walk)
    k, i = layout.affine.index(slot.layer) + 1, index[0]
    name = entry(subscript(slot.key, k), index)
    unit = subscript("e", i)
    if slot.key == "W":
        j = index[1]
        column[i] = h[j]
        h_j = entry(subscript("h", k - 1), (j,))
        letters, numbers = f"{h_j} {unit}", f"{operand(h[j])} {unit}"
        formula, short = f"∂ℒ/∂{above}[{i}] · {h_j}", _term(row[i], h[j])
        equation, value = "E8", row[i] * h[j]
    else:
        column[i] = 1
        letters, numbers, formula, short = unit, "", f"∂ℒ/∂{above}[{i}]", ""
        equation, value = "E9", row[i]
    product = Product(f"∂ℒ/∂{name}", equation, formula, short, np.asarray(value))
    return Factor(f"∂{above}/∂{name}", LAST[slot.key], equation, letters, numbers, column, product)


def _last_of_its_own(walk: Walk) -> Factor:
    weight, layout = walk.weight, walk.layout
    position, key = weight.slot.layer, weight.slot.key
    above, name = walk.names[position + 1], entry(weight.name, weight.index)
    column = walk.backwards[position].column(key, weight.index)
    checks.finite(f"∂{above}/∂{name}", column[np.newaxis], np.array([walk.row]))
    row = walk.gradients[position + 1]
    value = np.asarray(row @ column)
    letters = f"{layout.names[position]}: {layout.layers[position]!r}'s own backward"
    formula = f"∂ℒ/∂{above} · ∂{above}/∂{name}"
    product = Product(f"∂ℒ/∂{name}", "E7", formula, "", value)
    return Factor(f"∂{above}/∂{name}", OTHERS, "E7", letters, "", column, product)


def _unit(walk: Walk, position: int, value: Array) -> int:
    """The unit to show of a boundary: the walked weight's own where each unit is still itself."""
    weight, jacobians = walk.weight, walk.jacobians
    between = jacobians[weight.slot.layer + 1 : position]
    affine = walk.layout.layers[weight.slot.layer].affine  # the first index is one of its units
    if affine and all(isinstance(jacobian, Diagonal) for jacobian in between):
        return weight.index[0]
    return int(np.argmax(np.abs(value)))


def _g(layout: Layout, position: int) -> str:
    """g_k where the layer is all that follows a_k."""
    if position - 1 in layout.affine:
        return subscript("g", layout.affine.index(position - 1) + 1)
    return "g"


def _slope(walk: Walk, position: int, u: int) -> tuple[str, str]:
    layer, g = walk.layout.layers[position], _g(walk.layout, position)
    letters, said = f"diag({g}'({walk.names[position]}))", _said(layer)
    if not said:
        return f"{letters} of {layer!r}", ""
    h = "h"
    if walk.names[position + 1] == "ŷ":
        said, h = re.sub(r"\bh\b", "ŷ", said), "ŷ"
    slope = walk.jacobians[position]
    assert isinstance(slope, Diagonal)
    values = {"a": float(walk.values[position][u]), h: float(walk.values[position + 1][u])}
    numbers = with_value(f"[{u},{u}]", said, values, float(slope.diagonal[u]))
    return f"{letters}, {g}' = {said}", numbers


def _said(layer: Layer) -> str:
    functions = (
        "f", "df", "forward", "backward", "__fastbp_elementwise__", "__fastbp_layer__"
    )  # fmt: skip
    if not says_itself(layer, "derivative", *functions):
        return ""
    with plugins.blamed(layer, "derivative"):
        said = getattr(layer, "derivative", "")
    return said if isinstance(said, str) else ""


def _term(x: float, y: float) -> str:
    return f"{operand(x)} · {operand(y)}"


def _sum(row: Array, column: Array, total: float) -> str:
    terms = " + ".join(_term(x, y) for x, y in zip(row, column, strict=True))
    return f"{terms} = {number(total)}"

"""The steps between, "talk to the previous hidden layer": E6 and E7 in turn."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from fastbp import registry
from fastbp.checks import Array
from fastbp.explain.factor import Factor, Product
from fastbp.explain.jacobians import Diagonal, Jacobian, Weights
from fastbp.explain.output import SENTENCE as OUTPUT
from fastbp.explain.record import Walk
from fastbp.explain.symbols import number, product_of, subscript, with_value
from fastbp.layers import Layer
from fastbp.layout import Layout
from fastbp.registry.part import says_itself

SENTENCE = "talk to the previous hidden layer"
INPUT = "talk to the input"
TERMS = 4  # a sum of so many is written out, of more
LARGEST = 3  # terms
FUNCTIONS = ("f", "df", "forward", "backward", "__fastbp_elementwise__", "__fastbp_layer__")


def talk(walk: Walk) -> Iterator[Factor]:
    """E6 and E7 in turn, from the output down to what the weight's layer puts out."""
    sentence = OUTPUT
    for position in range(len(walk.layout.layers) - 1, walk.weight.slot.layer, -1):
        jacobian = walk.jacobians[position]
        if isinstance(jacobian, Weights):
            k = walk.layout.affine.index(position)  # h_k is what it takes in
            sentence = SENTENCE if k else INPUT
            yield _affine(walk, position, jacobian, sentence, k)
            if k and walk.layout.layers[position - 1].affine:
                yield _nothing_follows(walk, position, sentence, k)
        elif isinstance(jacobian, Diagonal):
            yield _elementwise(walk, position, jacobian, sentence)
        else:
            yield _by_its_own_backward(walk, position, jacobian, sentence)


def _affine(walk: Walk, position: int, jacobian: Weights, sentence: str, k: int) -> Factor:
    """E6."""
    above, below = walk.names[position + 1], subscript("h", k)
    row, value = walk.gradients[position + 1], walk.gradients[position]
    u = _unit(walk, position, value)
    W, numbers = subscript("W", k + 1), f"[{u}]: {_sum(row, jacobian.W[:, u])} = {number(value[u])}"
    product = Product(f"∂ℒ/∂{below}", "E6", f"∂ℒ/∂{above} · {W}", numbers, value)
    return Factor(f"∂{above}/∂{below}", sentence, "E6", W, jacobian.name, jacobian, product)


def _sum(row: Array, column: Array) -> str:
    """Σ_i row_i column_i, or its largest terms."""
    shown = np.arange(len(row))
    if len(row) > TERMS:
        shown = np.sort(np.argsort(-np.abs(row * column), kind="stable")[:LARGEST])
    terms = [product_of(row[i], column[i]) for i in shown]
    left_out = len(row) - len(shown)
    return " + ".join(terms + [f"({left_out} more)"] * (left_out > 0))


def _nothing_follows(walk: Walk, position: int, sentence: str, k: int) -> Factor:
    """E7 where h_k is a_k."""
    value, h, a = walk.gradients[position], subscript("h", k), subscript("a", k)
    product = Product(f"∂ℒ/∂{a}", "E7", f"∂ℒ/∂{h}", "", value)
    identity = Diagonal(np.ones_like(value))
    letters = f"I, as nothing follows {a}"
    return Factor(f"∂{h}/∂{a}", sentence, "E7", letters, "", identity, product)


def _elementwise(walk: Walk, position: int, jacobian: Diagonal, sentence: str) -> Factor:
    """E7."""
    above, below = walk.names[position + 1], walk.names[position]
    row, value = walk.gradients[position + 1], walk.gradients[position]
    u, g = _unit(walk, position, value), _g(walk.layout, position)
    letters, numbers = _slope(walk, position, jacobian, u)
    short = f"[{u}]: {product_of(row[u], jacobian.diagonal[u])} = {number(value[u])}"
    product = Product(f"∂ℒ/∂{below}", "E7", f"∂ℒ/∂{above} ⊙ {g}'({below})", short, value)
    return Factor(f"∂{above}/∂{below}", sentence, "E7", letters, numbers, jacobian, product)


def _by_its_own_backward(walk: Walk, position: int, jacobian: Jacobian, sentence: str) -> Factor:
    """E7 of a layer that is neither affine nor elementwise."""
    above, below = walk.names[position + 1], walk.names[position]
    name, layer = walk.layout.names[position], walk.layout.layers[position]
    product = Product(f"∂ℒ/∂{below}", "E7", f"{name}.backward", "", walk.gradients[position])
    letters = f"{name}: {layer!r}'s own backward"
    return Factor(f"∂{above}/∂{below}", sentence, "E7", letters, "", jacobian, product)


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


def _slope(walk: Walk, position: int, jacobian: Diagonal, u: int) -> tuple[str, str]:
    """The factor's formula in letters and, for one unit, with numbers."""
    layer, g = walk.layout.layers[position], _g(walk.layout, position)
    letters, said, h = f"diag({g}'({walk.names[position]}))", _said(layer), "h"
    if not said:
        return f"{letters} of {layer!r}", ""
    if walk.names[position + 1] == "ŷ":
        said, h = re.sub(r"\bh\b", "ŷ", said), "ŷ"
    values = {"a": float(walk.values[position][u]), h: float(walk.values[position + 1][u])}
    numbers = with_value(f"[{u},{u}]", said, values, float(jacobian.diagonal[u]))
    return f"{letters}, {g}' = {said}", numbers


def _said(layer: Layer) -> str:
    if not says_itself(layer, "derivative", *FUNCTIONS):
        return ""
    with registry.blamed(layer, "derivative"):
        said = getattr(layer, "derivative", "")
    return said if isinstance(said, str) else ""

"""The last step, "and now talk to the weights": E8 and E9."""

from __future__ import annotations

import numpy as np

from fastbp.explain.factor import Factor, Product
from fastbp.explain.record import Walk
from fastbp.explain.symbols import entry, operand, product_of, subscript

SENTENCES = {"W": "and now talk to the weights", "b": "and now talk to the biases"}
OTHERS = "and now talk to the parameters"


def talk(walk: Walk) -> Factor:
    """E8 or E9, or what the layer's own backward says: a column vector, and the product."""
    weight, layout = walk.weight, walk.layout
    slot, index = weight.slot, weight.index
    above = walk.names[slot.layer + 1]
    if not layout.layers[slot.layer].affine:
        return _to_a_layers_own(walk)
    row, h = walk.gradients[slot.layer + 1], walk.values[slot.layer]
    column = np.zeros(len(row))
    k, i = layout.affine.index(slot.layer) + 1, index[0]
    name = entry(subscript(slot.key, k), index)
    unit = subscript("e", i)
    if slot.key == "W":
        j = index[1]
        column[i] = h[j]
        h_j = entry(subscript("h", k - 1), (j,))
        letters, numbers = f"{h_j} {unit}", f"{operand(h[j])} {unit}"
        formula, short = f"∂ℒ/∂{above}[{i}] · {h_j}", product_of(row[i], h[j])
        equation, value = "E8", row[i] * h[j]
    else:
        column[i] = 1
        letters, numbers, formula, short = unit, "", f"∂ℒ/∂{above}[{i}]", ""
        equation, value = "E9", row[i]
    product = Product(f"∂ℒ/∂{name}", equation, formula, short, np.asarray(value))
    return Factor(
        f"∂{above}/∂{name}", SENTENCES[slot.key], equation, letters, numbers, column, product
    )


def _to_a_layers_own(walk: Walk) -> Factor:
    """The last step to a parameter of a layer that is not affine, by its own backward."""
    weight, layout = walk.weight, walk.layout
    position, key = weight.slot.layer, weight.slot.key
    above, name = walk.names[position + 1], entry(weight.name, weight.index)
    column = walk.backwards[position].column(key, weight.index)
    row = walk.gradients[position + 1]
    value = np.asarray(row @ column)
    letters = f"{layout.names[position]}: {layout.layers[position]!r}'s own backward"
    formula = f"∂ℒ/∂{above} · ∂{above}/∂{name}"
    product = Product(f"∂ℒ/∂{name}", "E7", formula, "", value)
    return Factor(f"∂{above}/∂{name}", OTHERS, "E7", letters, "", column, product)

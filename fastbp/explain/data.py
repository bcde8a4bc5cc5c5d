"""A walk as plain lists, numbers and text, for JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.checks import Array
from fastbp.explain import document
from fastbp.explain.factor import Factor, Product
from fastbp.explain.jacobians import Jacobian
from fastbp.explain.record import Walk


def of_walk(walk: Walk) -> dict[str, Any]:
    """What stands in it, by the names that :meth:`Explanation.as_dict` tells."""
    matrix = document.outer_product(walk)
    finite = matrix is not None and np.isfinite(matrix).all()
    return {
        "target": walk.output.targets.tolist(),
        "loss": walk.output.loss,
        "note": walk.note,
        "sentence": document.sentence(walk),
        "factors": [_factor(factor) for factor in walk.factors],
        "running": [_product(factor.running) for factor in walk.factors],
        "matrix": matrix.tolist() if matrix is not None and finite else None,
        "values": {name: array.tolist() for name, array in _values(walk).items()},
    }


def _product(product: Product) -> dict[str, Any]:
    return {
        "name": product.name,
        "equation": product.equation,
        "formula": product.letters,
        "numbers": product.numbers,
        "value": product.value.tolist(),
    }


def _factor(factor: Factor) -> dict[str, Any]:
    value = factor.value
    if not isinstance(value, Jacobian):
        shown: Any = value.tolist()
    elif max(value.shape) <= document.SMALL:
        shown = value.matrix().tolist()
    else:
        shown = value.compact()
    return {
        "name": factor.name,
        "sentence": factor.sentence,
        "equation": factor.equation,
        "formula": factor.letters,
        "numbers": factor.numbers,
        "shape": list(value.shape),
        "value": shown,
    }


def _values(walk: Walk) -> dict[str, Array]:
    """x, a_k, h_k and y_hat by names in plain letters."""
    layout = walk.layout
    named = {"x": walk.values[0]}
    for k, position in enumerate(layout.affine, 1):
        named[f"h_{k - 1}"] = walk.values[position]
        named[f"a_{k}"] = walk.values[position + 1]
    if layout.affine:
        named[f"h_{len(layout.affine)}"] = walk.values[-1]
    return named | {"y_hat": np.asarray(walk.output.y_hat)}

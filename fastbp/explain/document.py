"""An explanation in words: all that is told, in the order in which it is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastbp.checks import Array
from fastbp.explain.factor import Factor
from fastbp.explain.jacobians import Diagonal, Jacobian, Softmax
from fastbp.explain.record import Walk
from fastbp.explain.symbols import entry, number, subscript, with_numbers

SMALL = 6  # vectors up to 6 and matrices up to 6 x 6 are shown whole
LARGEST = 3  # entries of longer ones
COMPARED = 10  # digits of what has arrived
MATRIX = 4  # ∇_W ℒ is shown entry by entry up to 4 x 4


@dataclass(frozen=True)
class Step:
    """One factor and the product up to it, as they are shown.

    Attributes
    ----------
    number : int
        From 1.
    sentence, name, equation, shape, letters, numbers : str
    value : list of str
        Lines.
    product, product_equation, product_letters, product_numbers : str
        "" for the first factor, which is the product itself.
    product_value : list of str
    """

    number: int
    sentence: str
    name: str
    equation: str
    shape: str
    letters: str
    numbers: str
    value: list[str]
    product: str
    product_equation: str
    product_letters: str
    product_numbers: str
    product_value: list[str]


@dataclass(frozen=True)
class Document:
    """An explanation in words.

    Attributes
    ----------
    title, network, chain, sentence, note : str
        The note is "" where the walk begins with E4.
    steps : list of Step
    arrival : list of (str, str)
        What has arrived at the weight, and its number.
    matrix : str
        The equation of ∇_W ℒ = δ hᵀ.
    letters, numbers : list of list of str
        Its entries; empty where it is too large.
    """

    title: str
    network: str
    chain: str
    sentence: str
    note: str
    steps: list[Step]
    arrival: list[tuple[str, str]]
    matrix: str
    letters: list[list[str]]
    numbers: list[list[str]]


def write(walk: Walk, network: str, kind: str, outer: float | None, gradient: float) -> Document:
    """Put a walk, and what passes of all layers make of the same weight, in words.

    `kind` says what gradient that is, beside being of this example alone.
    """
    steps = [_step(n, factor) for n, factor in enumerate(walk.factors, 1)]
    matrix = outer_product(walk)
    name = walk.factors[-1].running.name
    chain = f"{name} = {' · '.join(factor.name for factor in walk.factors)}"
    letters, equation = _letters(walk) if matrix is not None else ([], "")
    numbers = [] if matrix is None else _numbers(matrix, walk.weight.index)
    return Document(
        title(walk), network, chain, sentence(walk), walk.note, steps,
        _arrival(walk, kind, outer, gradient), equation, letters, numbers,
    )  # fmt: skip


def title(walk: Walk) -> str:
    """Which weight, which example, and what its loss is."""
    output = walk.output
    text = f"{walk.weight} and the loss of example {walk.row}"
    if output.targets.ndim == 0:
        text += f", class {int(output.targets)}"
    formula, value = output.formula, number(output.loss)
    if not formula:
        return f"{text}: ℒ = {value}"
    shown = f"{text}: ℒ = {formula}"
    y_hat = float(output.y_hat[int(output.targets)]) if output.targets.ndim == 0 else 0.0
    if "ŷₗ" in formula and y_hat > 0:
        shown += f" = {with_numbers(formula, {'ŷₗ': y_hat})}"
    return f"{shown} = {value}"


def sentence(walk: Walk) -> str:
    """The lecture's sentence, as long as this walk is."""
    parts: list[str] = []
    for factor in walk.factors:  # E6 leads to the next layer; what follows belongs to that
        if factor.equation == "E6" or factor.sentence not in parts:
            parts.append(factor.sentence)
    return ", ".join(parts)


def outer_product(walk: Walk) -> Array | None:
    """δ hᵀ of the walked weight's matrix (E8) where it is small enough to be looked at."""
    slot = walk.weight.slot
    affine = walk.layout.layers[slot.layer].affine
    if not affine or slot.key != "W" or max(slot.shape) > MATRIX:
        return None
    with np.errstate(all="ignore"):
        return np.outer(walk.gradients[slot.layer + 1], walk.values[slot.layer])


def _step(n: int, factor: Factor) -> Step:
    value, running = factor.value, factor.running
    if isinstance(value, Jacobian):
        shape = f"{value.shape[0]} x {value.shape[1]}"
        shown = _matrix(value)
    else:
        shape = f"{'column' if running.value.ndim == 0 else 'row'} of {len(value)}"
        shown = _vector(value)
    first = running.name == factor.name
    return Step(
        n, factor.sentence, factor.name, factor.equation, shape, factor.letters, factor.numbers,
        shown, "" if first else running.name, running.equation, running.letters,
        running.numbers, _vector(running.value),
    )  # fmt: skip


def _arrival(walk: Walk, kind: str, outer: float | None, gradient: float) -> list[tuple[str, str]]:
    product = float(walk.factors[-1].running.value)
    rows = [(f"the product of the {len(walk.factors)} factors", number(product, COMPARED))]
    if outer is not None:
        last = walk.factors[-1].running
        rows.append(
            (f"{last.equation}, {last.letters}, by a pass in float64", number(outer, COMPARED))
        )
    rows.append((f"net.gradients of this example, {kind}", number(gradient, COMPARED)))
    return rows


def _letters(walk: Walk) -> tuple[list[list[str]], str]:
    slot, names = walk.weight.slot, walk.names
    k = walk.layout.affine.index(slot.layer) + 1
    delta, h = subscript("δ", k), subscript("h", k - 1)
    rows, columns = slot.shape
    letters = [[f"{delta}[{i}] {h}[{j}]" for j in range(columns)] for i in range(rows)]
    name = f"∂ℒ/∂{names[slot.layer + 1]}"
    equation = f"∂ℒ/∂{subscript('W', k)} = {delta} {h}ᵀ, with {delta} = {name}"
    return letters, f"{equation}; * is the weight that was walked to"


def _numbers(matrix: Array, index: tuple[int, ...]) -> list[list[str]]:
    """The entry that was walked to has a star."""
    return [
        [number(x) + ("*" if (i, j) == index else "") for j, x in enumerate(row)]
        for i, row in enumerate(matrix)
    ]


def _vector(array: Array) -> list[str]:
    if array.ndim == 0:
        return [number(float(array))]
    if len(array) <= SMALL:
        return [f"[{', '.join(map(number, array))}]"]
    if not array.any():
        return [f"0, all {len(array)}"]
    largest = np.argsort(-np.abs(array), kind="stable")[:LARGEST]
    shown = ", ".join(f"{entry('', (int(i),))} {number(array[i])}" for i in largest if array[i])
    return [f"largest of {len(array)}: {shown}; norm {number(float(np.linalg.norm(array)))}"]


def _matrix(jacobian: Jacobian) -> list[str]:
    if max(jacobian.shape) <= SMALL:
        rows = [[number(x) for x in row] for row in jacobian.matrix()]
        width = max(len(x) for row in rows for x in row)
        lines = [", ".join(x.rjust(width) for x in row) for row in rows]
        return [f"[{line}]" for line in lines]
    if isinstance(jacobian, Diagonal):
        ones = np.count_nonzero(jacobian.diagonal)
        if np.isin(jacobian.diagonal, (0, 1)).all():
            return [f"diagonal: 1 for {ones} of {len(jacobian.diagonal)} units, else 0"]
        return [f"diagonal: {line}" for line in _vector(jacobian.diagonal)]
    if isinstance(jacobian, Softmax):
        return [f"made of ŷ: {line}" for line in _vector(jacobian.y_hat)]
    return []

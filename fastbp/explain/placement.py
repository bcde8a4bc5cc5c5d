"""Where everything of a picture stands, in inches from its lower left corner, and what it says."""

from __future__ import annotations

import textwrap

import numpy as np

from fastbp.checks import Array
from fastbp.explain.columns import Column, Link
from fastbp.explain.record import Walk
from fastbp.explain.symbols import number

SMALL = 6  # columns up to 6 units have room for numbers at each unit
FOOT = 1.35  # of the colour bars and the legend
GAP = 1.7  # between columns; the walked weight's label may need more
DIGITS = 3  # of numbers
LETTER = 0.068  # the width of one in text of 8 points


class Placement:
    """Of columns, units and words.

    Attributes
    ----------
    columns : list of Column
    links : list of Link
    small : bool
        Whether each unit has its numbers above and below it.
    radius : float
        Of a unit.
    x : ndarray
        Of each column.
    top : float
        Where the units end and the heads of columns begin.
    width, height : float
        Of the picture.
    title, label : str
        Lines; the label is the walked weight's.
    """

    def __init__(self, walk: Walk, columns: list[Column], links: list[Link], title: str) -> None:
        self.columns, self.links, self._targets = columns, links, walk.output.targets
        self.small = max(len(column.values) for column in columns) <= SMALL
        self.radius, self._pitch = (0.19, 0.95) if self.small else (0.13, 0.44)
        rows = max(map(_rows, columns))
        self._middle = FOOT + 0.4 + self._pitch * (rows - 1) / 2
        self.top = FOOT + 0.78 + self._pitch * (rows - 1)
        self.label = _label(walk)
        gaps = [max(GAP, wide(self.label) + 1.2) if link.walked else GAP for link in links]
        first, last = columns[0], columns[-1]
        left = 0.65 + max(wide(self.words(first, unit)[2]) for unit in first.shown)
        right = 0.65 + max(wide(self.words(last, unit)[3]) for unit in last.shown)
        x = np.cumsum([left, *gaps])
        self.width = max(7.0, float(x[-1]) + right)
        self.x = x + (self.width - x[-1] - right) / 2
        what, _, loss = title.rpartition(": ℒ = ")
        letters = int((self.width - 0.6) / (LETTER * 11 / 8))
        self.title = "\n".join(textwrap.fill(line, letters) for line in (what, f"ℒ = {loss}"))
        names = max(len(link.layers) for link in links)
        self.height = self.top + 0.7 + 0.15 * names + 0.2 * (1 + self.title.count("\n")) + 0.25

    def y(self, column: Column) -> Array:
        """Of each unit that is shown, from above, and of the note of those left out."""
        rows = _rows(column)
        return np.asarray(self._middle + self._pitch * ((rows - 1) / 2 - np.arange(rows)))

    def words(self, column: Column, unit: int) -> tuple[str, str, str, str]:
        """What stands above, below, left and right of a unit."""
        value, gradient = (
            number(column.values[unit], DIGITS),
            number(column.gradients[unit], DIGITS),
        )
        last = column is self.columns[-1]
        target = self._target(column, unit) if last else ""
        if self.small:
            return f"[{unit}] {value}", gradient, "", target
        left = value if column is self.columns[0] else ""
        return f"[{unit}]", "", left, ", ".join(filter(None, [value if last else "", target]))

    def _target(self, column: Column, unit: int) -> str:
        if self._targets.ndim == 0:
            if unit == self._targets:
                return "the class"
            return "predicted" if unit == np.argmax(column.values) else ""
        fits = self._targets.shape == column.values.shape
        return f"target {number(self._targets[unit], DIGITS)}" if fits else ""


def wide(text: str) -> float:
    """How wide lines of 8 points are."""
    return LETTER * max(map(len, text.split("\n")))


def _rows(column: Column) -> int:
    return len(column.shown) + (column.left_out > 0)


def _label(walk: Walk) -> str:
    slot, index, product = walk.weight.slot, walk.weight.index, walk.factors[-1].running
    name = product.name.removeprefix("∂ℒ/∂")
    value = walk.backwards[slot.layer].params[slot.key][index]
    return (
        f"{name} = {number(value, DIGITS)}\n{product.name} = {number(float(product.value), DIGITS)}"
    )

"""The lecture's letters: quantities by their names, numbers with six digits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from fastbp.layout import Layout

DIGITS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def subscript(symbol: str, k: int) -> str:
    """A letter with its index below the line.

    >>> subscript("a", 12)
    'a₁₂'
    """
    return symbol + str(k).translate(DIGITS)


def boundaries(layout: Layout) -> list[str]:
    """What stands between the layers, from the input on: x, a_k, h_k, or a layer's own name.

    Where nothing follows an affine layer, a_k and h_k are one; it is called a_k here.
    """
    names = ["x", *layout.names]
    L = len(layout.affine)
    for k, position in enumerate(layout.affine):  # h_k is what affine layer k + 1 takes in
        names[position] = subscript("h", k)
    if L:
        names[-1] = subscript("h", L)
    for k, position in enumerate(layout.affine, 1):
        names[position + 1] = subscript("a", k)
    return names


def number(x: float, digits: int = 6) -> str:
    """A number with so many significant digits, and no sign at 0.

    >>> number(-0.0), number(1 / 3), number(1 / 3, 3)
    ('0', '0.333333', '0.333')
    """
    return f"{x + 0.0:.{digits}g}"


def operand(x: float) -> str:
    """A number as it stands in a formula: negative ones in parentheses, and near 1 with as many
    digits as 1 - x has to keep six.

    >>> operand(2.0), operand(-2.0), operand(0.9999990123)
    ('2', '(-2)', '0.9999990123')
    """
    x += 0.0
    rest = abs(1 - abs(x))
    digits = 6 - math.floor(math.log10(rest)) if 0 < rest < 1e-3 else 6
    text = f"{x:.{min(digits, 17)}g}"
    return text if x >= 0 else f"({text})"


def product_of(x: float, y: float) -> str:
    """Two factors as they stand in a formula.

    >>> product_of(2.0, -0.5)
    '2 · (-0.5)'
    """
    return f"{operand(x)} · {operand(y)}"


def with_numbers(formula: str, values: Mapping[str, float]) -> str:
    """The formula with numbers for its letters; a letter is one that stands alone.

    >>> with_numbers("h (1 - h²) exp(-h) / 2h", {"h": 0.25})
    '0.25 (1 - 0.25²) exp(-0.25) / 2 · 0.25'
    """
    letters = "|".join(sorted(map(re.escape, values), key=len, reverse=True))

    def replaced(hit: re.Match[str]) -> str:
        times = " · " if formula[hit.start() - 1 : hit.start()].isdigit() else ""
        return times + operand(values[hit[1]])

    return re.sub(rf"(?<![^\W\d])(?<![.'])({letters})(?![^\W²³]|')", replaced, formula)


def with_value(where: str, formula: str, values: Mapping[str, float], value: float) -> str:
    """An entry's formula with numbers, and what it comes to; "" where the numbers hide that.

    >>> with_value("[0]", "h (1 - h)", {"h": 0.25}, 0.1875)
    '[0]: 0.25 (1 - 0.25) = 0.1875'
    >>> with_value("[0]", "ŷ - eₗ", {"ŷ": 1.0, "eₗ": 1.0}, -1e-20)
    ''
    """
    hidden = 0 < abs(value) < 1e-12 and any(x == 1 for x in values.values())
    if not formula or hidden:
        return ""
    equals = ", so" if "where" in formula else " ="
    return f"{where}: {with_numbers(formula, values)}{equals} {number(value)}"


def entry(symbol: str, index: Sequence[int]) -> str:
    """One entry of a quantity, with indices from 0.

    >>> entry("W₁", (1, 2))
    'W₁[1,2]'
    """
    return f"{symbol}[{','.join(map(str, index))}]" if index else symbol

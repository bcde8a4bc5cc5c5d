"""The lecture's letters: quantities by their names, numbers with six digits."""

from __future__ import annotations

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


def number(x: float) -> str:
    """A number with six significant digits, and no sign at 0.

    >>> number(-0.0), number(1 / 3)
    ('0', '0.333333')
    """
    return f"{x + 0.0:.6g}"


def operand(x: float) -> str:
    """A number as it stands in a formula, negative ones in parentheses.

    >>> operand(2.0), operand(-2.0)
    ('2', '(-2)')
    """
    return number(x) if x + 0.0 >= 0 else f"({number(x)})"


def with_numbers(formula: str, values: Mapping[str, str]) -> str:
    """The formula with numbers for its letters; a letter is one that stands alone.

    >>> with_numbers("h (1 - h)", {"h": "0.25"})
    '0.25 (1 - 0.25)'
    """
    letters = "|".join(sorted(map(re.escape, values), key=len, reverse=True))
    return re.sub(rf"(?<![\w.'])({letters})(?![^\W²³]|')", lambda hit: values[hit[1]], formula)


def entry(symbol: str, index: Sequence[int]) -> str:
    """One entry of a quantity, with indices from 0.

    >>> entry("W₁", (1, 2))
    'W₁[1,2]'
    """
    return f"{symbol}[{','.join(map(str, index))}]" if index else symbol

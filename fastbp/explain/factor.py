"""One factor of the chain, and the product up to it."""

from __future__ import annotations

from dataclasses import dataclass

from fastbp.checks import Array
from fastbp.explain.jacobians import Jacobian


@dataclass(frozen=True, eq=False, repr=False)
class Product:
    """The product of the factors so far, a quantity of its own.

    Attributes
    ----------
    name : str
        In the lecture: ``"∂ℒ/∂a₂"``.
    equation : str
        The one that gives it.
    letters, numbers : str
        Its formula, and for one of its entries the formula with numbers; "" where there is none.
    value : ndarray
        A row vector (n,); one number, (), after the last factor.
    """

    name: str
    equation: str
    letters: str
    numbers: str
    value: Array

    def __repr__(self) -> str:
        return f"Product({self.name} = {self.letters}, {self.equation})"


@dataclass(frozen=True, eq=False, repr=False)
class Factor:
    """One factor of the chain.

    Attributes
    ----------
    name : str
        In the lecture: ``"∂ŷ/∂a₂"``.
    sentence : str
        Its part of the lecture's sentence.
    equation : str
        The one that it is, or comes from.
    letters, numbers : str
        Its formula, and for one of its entries the formula with numbers; "" where there is none.
    value : ndarray or Jacobian
        A row vector (n,) the first, a column vector (n,) the last, and between them matrices
        (n_above, n_below), which are not formed.
    running : Product
        The product up to this factor.
    """

    name: str
    sentence: str
    equation: str
    letters: str
    numbers: str
    value: Array | Jacobian
    running: Product

    def __repr__(self) -> str:
        return f"Factor({self.name} = {self.letters}, {self.equation}, {self.sentence!r})"

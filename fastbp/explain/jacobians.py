"""The factors of the chain, each as it acts on the row vector that comes from its left.

A factor ∂above/∂below is a Jacobian matrix, (n_above, n_below) for one example. None is formed: a
row is multiplied by what the matrix is made of, and the products keep their digits where those
with the matrix would cancel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastbp import registry
from fastbp.checks import Array
from fastbp.kernels.bodies import LayerBody
from fastbp.kernels.context import Context
from fastbp.layers import Layer
from fastbp.layers.base import Elementwise


class Jacobian:
    """One factor, ∂above/∂below. ``row @ jacobian`` is a row; ``np.asarray`` forms the matrix.

    Attributes
    ----------
    shape : (int, int)
        (n_above, n_below).
    """

    shape: tuple[int, int]
    __array_ufunc__ = None  # so that an array on the left asks __rmatmul__

    def __rmatmul__(self, row: Array) -> Array:
        return self.after(row)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.matrix(), dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.shape[0]} x {self.shape[1]}"

    def after(self, row: Array) -> Array:
        """The row vector `row`, (n_above,), times this matrix: (n_below,)."""
        raise NotImplementedError

    def before(self, column: Array) -> Array:
        """This matrix times the column vector `column`, (n_below,): (n_above,)."""
        return np.array([self.after(unit) @ column for unit in _units(self.shape[0])])

    def entries(self, above: Array, below: Array) -> Array:
        """Those of some rows and columns, (len(above), len(below))."""
        rows = np.zeros((len(above), self.shape[0]))
        rows[np.arange(len(above)), above] = 1
        return np.array([self.after(row)[below] for row in rows])

    def matrix(self) -> Array:
        """The matrix itself, for small ones: unit row vectors times it."""
        with np.errstate(all="ignore"):
            return np.array([self.after(unit) for unit in _units(self.shape[0])])

    def compact(self) -> dict[str, Any]:
        """What the matrix is made of, under a word that says how."""
        raise NotImplementedError


class Weights(Jacobian):
    """E6: ∂a_k/∂h_{k-1} = W_k, by its name."""

    def __init__(self, W: Array, name: str) -> None:
        self.W, self.name, self.shape = W, name, (W.shape[0], W.shape[1])

    def after(self, row: Array) -> Array:
        return np.asarray(row @ self.W)

    def before(self, column: Array) -> Array:
        return np.asarray(self.W @ column)

    def compact(self) -> dict[str, Any]:
        return {"parameter": self.name}


class Diagonal(Jacobian):
    """E7: ∂h_k/∂a_k = diag(g_k'(a_k)), by its diagonal; also that of an elementwise output map."""

    def __init__(self, diagonal: Array) -> None:
        self.diagonal, self.shape = diagonal, (len(diagonal), len(diagonal))

    def after(self, row: Array) -> Array:
        return np.asarray(row * self.diagonal)

    def before(self, column: Array) -> Array:
        return np.asarray(self.diagonal * column)

    def compact(self) -> dict[str, Any]:
        return {"diagonal": self.diagonal.tolist()}


class Softmax(Jacobian):
    """E3: ∂ŷ/∂a_L = diag(ŷ) - ŷ ŷᵀ, by ŷ."""

    def __init__(self, y_hat: Array) -> None:
        self.y_hat, self.shape = y_hat, (len(y_hat), len(y_hat))

    def after(self, row: Array) -> Array:
        # entry j is ŷ_j Σ_{i≠j} ŷ_i (row_j - row_i): row_j ŷ_j - ŷ_j Σ_i row_i ŷ_i, in which the
        # term of j itself is taken out of both before they cancel
        y_hat = self.y_hat
        return np.asarray(y_hat * (row * _of_others(y_hat) - _of_others(row * y_hat)))

    def compact(self) -> dict[str, Any]:
        return {"softmax": self.y_hat.tolist()}


class Backward(Jacobian):
    """A layer that is neither affine nor elementwise, by its own backward.

    Parameters
    ----------
    body : LayerBody
        In float64.
    params : dict of str to ndarray
    x, y : ndarray, (1, n_in) and (1, n_out)
        What it took in and what it put out.
    ctx : Context
        That of its forward, with what it saved.
    name : str
        Of the layer in its network.
    """

    def __init__(
        self,
        body: LayerBody,
        params: dict[str, Array],
        x: Array,
        y: Array,
        ctx: Context,
        name: str,
    ) -> None:
        self.body, self.params, self.x, self.y, self.ctx, self.name = body, params, x, y, ctx, name
        self.shape = (y.shape[1], x.shape[1])

    def after(self, row: Array) -> Array:
        return self._call(row)[0]

    def column(self, key: str, index: tuple[int, ...]) -> Array:
        """∂y/∂parameter, (n_out,), for one entry of one of the layer's own parameters."""
        grads = self._grads()
        return np.array([self._call(unit, grads)[1][key][index] for unit in _units(self.shape[0])])

    def _grads(self) -> dict[str, Array]:
        return {key: np.zeros_like(array) for key, array in self.params.items()}

    def _call(
        self, row: Array, grads: dict[str, Array] | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """∂ℒ/∂x and ∂ℒ/∂parameters of one ∂ℒ/∂y; `grads` is memory to use again."""
        dx, grads = np.zeros_like(self.x), grads or self._grads()
        dy = np.ascontiguousarray(row[np.newaxis])
        with registry.blamed(self.body.layer, "backward"):
            self.body.backward(self.params, self.x, self.y, dy, dx, grads, self.ctx)
        return dx[0], grads

    def compact(self) -> dict[str, Any]:
        return {"backward": self.name}

    def __reduce__(self) -> tuple[Any, ...]:
        """A body holds C tables; a copy makes its own of the same layer."""
        body = self.body
        made = (body.layer, body.n_in, body.label)
        return _backward, (made, self.params, self.x, self.y, self.ctx, self.name)


def _backward(made: tuple[Layer, int, str], *of: Any) -> Backward:
    layer, n_in, label = made
    return Backward(LayerBody(layer, n_in, np.float64, label=label), *of)


def is_elementwise(layer: Layer) -> bool:
    """Whether each unit of the layer's output depends on the same unit of its input alone."""
    return isinstance(layer, Elementwise) or hasattr(layer, "__fastbp_elementwise__")


def slope_of(own: Backward) -> Array | None:
    """g'(a), a backward of ones, or None where other rows show that the matrix is no diagonal.

    A subclass of Elementwise may have given functions of its own that are not elementwise.
    """
    n_out, n_in = own.shape
    if n_out != n_in:
        return None
    slope, probe = own.after(np.ones(n_out)), 1.5 + np.arange(n_out) / n_out
    same = np.isclose(own.after(probe), probe * slope, rtol=1e-9, atol=0, equal_nan=True)
    return slope if same.all() else None


def _units(n: int) -> Iterator[Array]:
    """Unit vectors one at a time: all of them would be a large matrix."""
    for i in range(n):
        unit = np.zeros(n)
        unit[i] = 1
        yield unit


def _of_others(terms: Array) -> Array:
    """For each entry the sum of all others, without subtracting it from the sum of all."""
    sums = np.zeros(len(terms))
    sums[1:] += np.cumsum(terms[:-1])
    sums[:-1] += np.cumsum(terms[:0:-1])[::-1]
    return sums

"""The contract of a layer. The built-in layers keep to it like anybody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastbp.checks import Array
from fastbp.kernels.context import Context
from fastbp.registry.part import Part


@dataclass(frozen=True)
class LayerSpec:
    """What a layer asks of its host, given its input width.

    Attributes
    ----------
    n_out : int
        Width of the output.
    params : mapping of str to shape
        Trained arrays; they live in ``net.flat``.
    buffers : mapping of str to shape
        Arrays kept beside the parameters but not trained (running statistics).
    saved : mapping of str to shape per row
        What forward leaves for backward; ``()`` is one number per row.
    """

    n_out: int
    params: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    buffers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    saved: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Layer(Part):
    """Base class of layers: immutable configuration and four functions of arrays.

    All arrays are C-contiguous, of the network's dtype, and belong to the host; x is (rows, n_in),
    y and dy are (rows, n_out), dx is (rows, n_in). The host may call with any block of rows.

    Attributes
    ----------
    contract : int
        Version of this contract.
    gain : float
        For the initialiser of the Dense before it: std of W is gain / sqrt(n_in).
    rows_independent : bool
        Each row of y depends on the same row of x alone. False: always called on the whole batch.
    affine : bool
        The layer obeys E1 with parameters W (n_out, n_in) and, if it has one, b (n_out,); the host
        may then apply E6, E8 and E9 itself. Affine layers are counted k = 1..L.
    """

    contract = 1
    gain = 1.0
    rows_independent = True
    affine = False
    name: str | None = None

    def build(self, n_in: int, dtype: np.dtype[Any]) -> LayerSpec:
        """Say what the layer needs for inputs of width n_in."""
        raise NotImplementedError(f"{type(self).__name__}.build")

    def init(self, params: dict[str, Array], rng: np.random.Generator, gain: float = 1.0) -> None:
        """Fill the parameters. `gain` is that of the layer that follows."""

    def forward(self, params: dict[str, Array], x: Array, y: Array, ctx: Context) -> None:
        """Fill y, and ctx.saved where the layer asked for it."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(
        self,
        params: dict[str, Array],
        x: Array,
        y: Array,
        dy: Array,
        dx: Array | None,
        grads: dict[str, Array],
        ctx: Context,
    ) -> None:
        """Fill dx (None when not wanted) and every array of grads: overwrite, never add."""
        raise NotImplementedError(f"{type(self).__name__}.backward")


class Elementwise(Layer):
    """A layer h = g(a) for each element (E2): give ``f`` and ``df``.

    Attributes
    ----------
    needs_x : bool
        False promises that ``df`` reads y alone.
    derivative : str
        g'(a) in letters, from a and h = g(a) that stand alone, for :meth:`Network.explain`:
        ``"h (1 - h)"``.

    Examples
    --------
    >>> import numpy as np, fastbp as bp
    >>> class Square(bp.layers.Elementwise):
    ...     def f(self, x, y):
    ...         np.multiply(x, x, out=y)
    ...     def df(self, x, y, out):
    ...         np.multiply(x, 2, out=out)
    >>> bp.Network(2, [bp.Dense(3), Square(), bp.Dense(2)]).n_out
    2
    """

    needs_x = True
    derivative = ""

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def f(self, x: Array, y: Array) -> None:
        """Fill y with g(x)."""
        raise NotImplementedError(f"{type(self).__name__}.f")

    def df(self, x: Array, y: Array, out: Array) -> None:
        """Fill out with g'(x)."""
        raise NotImplementedError(f"{type(self).__name__}.df")

    def build(self, n_in: int, dtype: np.dtype[Any]) -> LayerSpec:
        return LayerSpec(n_out=n_in)

    def forward(self, params: dict[str, Array], x: Array, y: Array, ctx: Context) -> None:
        self.f(x, y)

    def backward(
        self,
        params: dict[str, Array],
        x: Array,
        y: Array,
        dy: Array,
        dx: Array | None,
        grads: dict[str, Array],
        ctx: Context,
    ) -> None:
        # E7: da = dh * g'(a)
        if dx is not None:
            self.df(x, y, dx)
            np.multiply(dx, dy, out=dx)

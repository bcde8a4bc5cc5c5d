"""One layer at one width, float type and body, with arrays to run it on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastbp import registry
from fastbp.checks import Array
from fastbp.errors import DtypeError
from fastbp.kernels.bodies import LayerBody
from fastbp.kernels.context import Context
from fastbp.layers.base import Elementwise, Layer
from fastbp.testing.arrays import Guarded

DTYPES = ("float64", "float32")
USUAL = (5, 6, 4, 8, 3, 2, 1, 10, 12, 16, 32, 64)
ODD = (1, 2, 3, 7, 17, 33)
KEY = (11, 3, 1)  # seed, step, layer
Arrays = dict[str, Array]


class Run:
    """Forward and backward of one batch, each array in guarded memory.

    x, dy, params and buffers are copied in; y, dx, grads and saved start full of `fill`.
    """

    def __init__(
        self,
        case: LayerCase,
        x: Array,
        dy: Array,
        *,
        training: bool = False,
        key: tuple[int, int, int] = KEY,
        first_row: int = 0,
        fill: float = np.nan,
        mark: int = 0xFF,
    ) -> None:
        guarded, spec, rows, dtype = Guarded(mark), case.body.spec, len(x), case.dtype
        self.case, self.guarded = case, guarded
        self.x = guarded.copy("x", x.astype(dtype))
        self.dy = guarded.copy("dy", dy.astype(dtype))
        self.y = guarded.array("y", (rows, spec.n_out), dtype, fill)
        self.dx: Array | None = guarded.array("dx", (rows, case.n_in), dtype, fill)
        self.params = {k: guarded.copy(f"params[{k!r}]", v) for k, v in case.params.items()}
        self.grads = {
            k: guarded.array(f"grads[{k!r}]", v.shape, dtype, fill) for k, v in case.params.items()
        }
        self.buffers = {k: guarded.copy(f"buffers[{k!r}]", v) for k, v in case.buffers.items()}
        self.saved = {
            k: guarded.array(f"saved[{k!r}]", (rows, *shape), dtype, fill)
            for k, shape in spec.saved.items()
        }
        self.ctx = Context(training, dict(self.saved), dict(self.buffers), (*key, first_row))

    def forward(self) -> Run:
        self.case.body.forward(dict(self.params), self.x, self.y, self.ctx)
        return self

    def backward(self, dx: bool = True) -> Run:
        if not dx:
            self.dx = None
        self.case.body.backward(
            dict(self.params), self.x, self.y, self.dy, self.dx, dict(self.grads), self.ctx
        )
        return self

    def outputs(self) -> Arrays:
        """What the layer was to fill, by name, without saved."""
        named = {"y": self.y} | {f"grads[{k!r}]": v for k, v in self.grads.items()}
        return named if self.dx is None else named | {"dx": self.dx}


class LayerCase:
    """One layer at one width, float type and body.

    Attributes
    ----------
    params : dict of str to ndarray
        As the layer initialises them, and then a bit off, so that none is 0 or 1.
    buffers : dict of str to ndarray
        As some training leaves them.
    """

    def __init__(self, layer: Layer, n_in: int, dtype: str, python: bool) -> None:
        self.layer, self.n_in, self.dtype = layer, n_in, np.dtype(dtype)
        self.body = LayerBody(layer, n_in, dtype, python, registry.label(layer))
        self.params: Arrays = {}
        self.buffers: Arrays = {}
        rng = np.random.default_rng(n_in)
        spec = self.body.spec
        params = {k: np.zeros(shape, self.dtype) for k, shape in spec.params.items()}
        layer.init(params, np.random.default_rng(0))
        for array in params.values():
            array += np.asarray(0.1 * rng.standard_normal(array.shape), np.float32)
        self.params = params
        self.buffers = {k: np.zeros(shape, self.dtype) for k, shape in spec.buffers.items()}
        if spec.buffers:
            self.buffers = self.run(4, training=True, seed=99).forward().buffers

    def __str__(self) -> str:
        body = "Python" if self.body.python else "C"
        return f"{self.layer!r}, {body} body, {self.dtype}, width {self.n_in}"

    def data(self, rows: int, seed: int = 0) -> tuple[Array, Array]:
        """x and dy: normal numbers that both float types hold, so that both see the same."""
        rng = np.random.default_rng([seed, self.n_in, rows])
        x = rng.standard_normal((rows, self.n_in)).astype(np.float32)
        dy = rng.standard_normal((rows, self.body.spec.n_out)).astype(np.float32)
        return x.astype(self.dtype), dy.astype(self.dtype)

    def run(self, rows: int, seed: int = 0, **how: Any) -> Run:
        """A run on fresh data."""
        return Run(self, *self.data(rows, seed), **how)


def fits(layer: Layer, n_in: int) -> bool:
    """Whether the layer takes inputs of that width; some have their reasons not to."""
    try:
        layer.build(n_in, np.dtype(np.float64))
    except ValueError:
        return False
    return True


def usual_width(layer: Layer) -> int:
    """The width that most checks use."""
    for n_in in USUAL:
        if fits(layer, n_in):
            return n_in
    layer.build(USUAL[0], np.dtype(np.float64))  # raises what it has against it
    raise AssertionError


def has_c(layer: Layer) -> bool:
    """Whether the layer brings a C table."""
    return hasattr(layer, "__fastbp_layer__") or hasattr(layer, "__fastbp_elementwise__")


def has_python(layer: Layer) -> bool:
    """Whether the layer has a Python body."""
    if isinstance(layer, Elementwise) and type(layer).f is not Elementwise.f:
        return True
    return type(layer).forward not in (Layer.forward, Elementwise.forward)


def bodies(layer: Layer) -> list[bool]:
    """The bodies that the layer has, False for C and True for Python; Python's, if it has none."""
    return [body for body, has in ((False, has_c(layer)), (True, has_python(layer))) if has] or [
        True
    ]


def cases(
    layer: Layer, widths: Sequence[int] | None = None, dtypes: Sequence[str] = DTYPES
) -> Iterator[LayerCase]:
    """Every width, type and body that the layer has. `float_types` tells of a type it lacks."""
    for n_in in widths if widths is not None else [usual_width(layer)]:
        for dtype in dtypes:
            for python in bodies(layer):
                try:
                    case = LayerCase(layer, n_in, dtype, python)
                except DtypeError:
                    continue
                yield case

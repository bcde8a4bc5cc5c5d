"""E1 with an activation's E2, and E6 with its E7, beside the same apart, to the bit."""

import itertools

import numpy as np

import fastbp as bp
from fastbp.kernels import activations


class ReLU(bp.layers.Elementwise):  # in Python: no product takes it along
    needs_x = False

    def f(self, x, y):
        np.copyto(y, np.where(x <= 0, 0, x))

    def df(self, x, y, out):
        out[...] = y > 0


class Wrapped(bp.layers.Elementwise):  # the kernel, called from Python
    needs_x = False

    def f(self, x, y):
        self.kernel("forward")(x, out=y)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        self.kernel("backward")(y, dy, out=dx)

    def kernel(self, way):
        return getattr(activations, f"{type(self).__name__.lower()}_{way}")


class Tanh(Wrapped):
    pass


class Sigmoid(Wrapped):
    pass


rng = np.random.default_rng(2)
shapes = [
    (5, 3, 2),
    (64, 100, 33, 10),
    (33, 17, 16, 48, 2),
    (200, 193, 5),
    (400, 50, 40, 3),
    (9, 193, 130, 5),
]
everything = itertools.product(
    shapes,
    (1, 2, 4, 6, 8, 12, 15, 16, 24, 32, 48, 49, 200),
    ("float32", "float64"),
    (bp.SGD(0.05), bp.Adam(0.01)),
    (ReLU, Tanh, Sigmoid),
)
for case in everything:
    (n_in, *widths), batch, dtype, optimizer, g = case
    together, apart = (
        bp.Network(
            n_in, [layer for n in widths for layer in (bp.Dense(n), g())][:-1], dtype=dtype, rng=1
        )
        for g in (getattr(bp, g.__name__), g)
    )
    apart.flat = together.flat
    for _ in range(3):
        X = rng.standard_normal((batch, n_in)).astype(dtype)
        y = rng.integers(0, widths[-1], batch)
        assert together.step(X, y, optimizer) == apart.step(X, y, optimizer), case
        assert np.array_equal(together.flat, apart.flat), case

"""Elementwise layers in C between dense ones, of as many rows as a product takes them along with.

Beside the same functions in Python, which no product takes along.
"""

from pathlib import Path

import numpy as np
import pytest

import fastbp as bp
from fastbp.layers import Elementwise

CLASSES = """
class InC(Elementwise):
    def __init__(self, table, name=None):
        self.table, self.name = table, name

    def build(self, n_in, dtype):
        return LayerSpec(n_in, saved={"slope": (n_in,)} if self.table == "saving" else {})

    def __fastbp_elementwise__(self):
        return capsule(table(self.table), NAMES["elementwise"])
"""


class Square(Elementwise):
    def f(self, x, y):
        np.multiply(x, x, out=y)

    def df(self, x, y, out):
        np.multiply(x, 2, out=out)


class ByColumn(Elementwise):
    def f(self, x, y):
        np.multiply(x, self.slope(x), out=y)

    def df(self, x, y, out):
        out[...] = self.slope(x)

    def slope(self, x):
        return ((np.arange(x.shape[1]) % 8 + 1) / 8).astype(x.dtype)


class Size(Elementwise):
    def f(self, x, y):
        np.abs(x, out=y)

    def df(self, x, y, out):
        out[...] = np.where(x < 0, -1, 1)


class Half(Elementwise):
    def f(self, x, y):
        np.divide(x, 2, out=y)

    def df(self, x, y, out):
        out.fill(0.5)


@pytest.fixture
def in_c(install_c):
    return install_c(CLASSES, Path(__file__).with_name("activations.c")).InC


@pytest.mark.parametrize("rows", [4, 6, 8, 12, 16, 24, 32, 48, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("table", "twin"),
    [("square", Square), ("by_column", ByColumn), ("saving", Size), ("failing", Half),
     ("halving", Half)],
)  # fmt: skip
def test_a_step_is_that_of_the_same_function_in_python(in_c, table, twin, dtype, rows):
    nets = [
        bp.Network(9, [bp.Dense(130), g, bp.Dense(96), g, bp.Dense(3)], dtype=dtype, rng=0)
        for g in (in_c(table), twin())
    ]
    rng = np.random.default_rng(rows)
    X, y = rng.standard_normal((rows, 9)).astype(dtype), rng.integers(0, 3, rows)
    for _ in range(3):
        losses = [net.step(X, y, bp.SGD(0.01)) for net in nets]
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(*losses, rtol=100 * eps)
        np.testing.assert_allclose(nets[0].flat, nets[1].flat, rtol=100 * eps, atol=100 * eps)


@pytest.mark.parametrize("rows", [16, 32, 48])
def test_a_function_that_fails_is_heard(in_c, bits, rows):
    net = bp.Network(64, [bp.Dense(64), in_c("failing"), bp.Dense(10)], rng=0)
    X, y = np.ones((rows, 64), np.float32), np.zeros(rows, np.int64)
    net.step(X, y, bp.SGD(0.1))
    before = bits(net)
    X[rows - 1] = 1e6
    with pytest.raises(bp.PluginCallError, match=r"forward failed \(code 1\)"):
        net.step(X, y, bp.SGD(0.1))
    assert bits(net) == before

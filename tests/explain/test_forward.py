"""Layers of every kind on the way: affine, elementwise, and by their own backward."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import fastbp as bp
from fastbp.kernels.builtin import elementwise_capsule
from fastbp.layers import LayerSpec


class Norm(bp.Layer):
    """x - mean over its standard deviation, times gamma; keeps rstd from forward to backward."""

    def build(self, n_in, dtype):
        return LayerSpec(n_in, params={"gamma": (n_in,)}, saved={"rstd": ()})

    def init(self, params, rng, gain=1.0):
        params["gamma"][:] = rng.uniform(0.5, 1.5, params["gamma"].shape)

    def forward(self, params, x, y, ctx):
        ctx.saved["rstd"][:] = 1 / np.sqrt(x.var(axis=1) + 1e-3)
        y[:] = (x - x.mean(axis=1, keepdims=True)) * ctx.saved["rstd"][:, None] * params["gamma"]

    def backward(self, params, x, y, dy, dx, grads, ctx):
        rstd = ctx.saved["rstd"][:, None]
        z = (x - x.mean(axis=1, keepdims=True)) * rstd
        grads["gamma"][:] = (dy * z).sum(axis=0)
        if dx is not None:
            d = dy * params["gamma"]
            both = d.mean(axis=1, keepdims=True) + z * (d * z).mean(axis=1, keepdims=True)
            dx[:] = rstd * (d - both)


class PReLU(bp.layers.Elementwise):
    """max(x, alpha x), each unit with an alpha of its own: elementwise, with parameters."""

    def build(self, n_in, dtype):
        return LayerSpec(n_in, params={"alpha": (n_in,)})

    def init(self, params, rng, gain=1.0):
        params["alpha"][:] = 0.25

    def forward(self, params, x, y, ctx):
        y[:] = np.where(x > 0, x, x * params["alpha"])

    def backward(self, params, x, y, dy, dx, grads, ctx):
        grads["alpha"][:] = (dy * np.where(x > 0, 0, x)).sum(axis=0)
        if dx is not None:
            dx[:] = dy * np.where(x > 0, 1, params["alpha"])


class Halves(bp.Layer):
    """The larger of each two neighbours, less the batch's running mean: narrower, with a buffer."""

    def build(self, n_in, dtype):
        return LayerSpec(n_in // 2, buffers={"mean": (n_in // 2,)})

    def forward(self, params, x, y, ctx):
        y[:] = np.maximum(x[:, ::2], x[:, 1::2]) - ctx.buffers["mean"]

    def backward(self, params, x, y, dy, dx, grads, ctx):
        left = x[:, ::2] > x[:, 1::2]
        if dx is not None:
            dx[:, ::2], dx[:, 1::2] = dy * left, dy * ~left


class Low(bp.layers.Elementwise):
    """Inherits ReLU's place and not its words."""

    def f(self, x, y):
        np.multiply(x, x, out=y)

    def df(self, x, y, out):
        np.multiply(x, 2, out=out)


def deep():
    layers = [Norm(), bp.Dense(6), Norm(), PReLU(), bp.Dense(4), bp.Dense(8), Halves(), Low()]
    return bp.Network(3, [*layers, bp.Dense(2), Norm()], dtype="float64", rng=1)


@pytest.fixture
def data():
    return np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 1, 1, 0])


def difference(net, X, y, row, weight):
    """4th order, of the row's own loss."""
    name, *index = weight
    losses, step = [], 1e-3
    for offset in (-2, -1, 1, 2):
        twin = net.copy()
        twin.params[name][tuple(index)] += offset * step
        losses.append(twin.loss(X[[row]], y[[row]]))
    return (losses[0] - 8 * losses[1] + 8 * losses[2] - losses[3]) / (12 * step)


def test_every_parameter_of_every_layer(data):
    X, y = data
    net = deep()
    net.buffers["halves1.mean"] = [0.1, 0.2, 0.3, 0.4]
    for name, array in net.params.items():
        for index in np.ndindex(array.shape):
            weight = (name, *map(int, index))
            walk = net.explain(X, y, row=2, weight=weight)
            want = difference(net, X, y, 2, weight)
            assert walk.product == pytest.approx(want, rel=1e-6, abs=1e-8), weight
            assert walk.product == pytest.approx(walk.gradient, rel=1e-10, abs=1e-14), weight
            assert (walk.outer is None) == (not name.startswith("dense"))


def test_the_chain_names_every_layer(data):
    walk = deep().explain(*data, weight=("norm1.gamma", 2))
    assert [factor.name for factor in walk.factors] == [
        "∂ℒ/∂ŷ", "∂ŷ/∂h₄", "∂h₄/∂a₄", "∂a₄/∂h₃", "∂h₃/∂halves1", "∂halves1/∂a₃", "∂a₃/∂h₂",
        "∂h₂/∂a₂", "∂a₂/∂h₁", "∂h₁/∂norm2", "∂norm2/∂a₁", "∂a₁/∂h₀", "∂h₀/∂norm1.gamma[2]",
    ]  # fmt: skip
    chain = functools.reduce(
        np.matmul,
        [f.value if isinstance(f.value, np.ndarray) else f.value.matrix() for f in walk.factors],
    )
    assert chain == pytest.approx(walk.product, rel=1e-12)
    text = str(walk)
    assert "halves1: Halves()'s own backward" in text
    assert "diag(g'(halves1)) of Low()" in text
    assert "I, as nothing follows a₂" in text
    sentence = walk.as_dict()["sentence"]
    assert sentence.split(", ") == [
        "talk to the output layer",
        *["talk to the previous hidden layer"] * 3,
        "talk to the input",
        "and now talk to the parameters",
    ]


@pytest.mark.parametrize(
    "functions", [("f",), ("df",), ("forward",), ("backward",), ("__fastbp_elementwise__",)]
)
def test_a_subclass_does_not_speak_with_its_base_classs_words(data, functions):
    class Leaky(bp.ReLU):
        pass

    for name in functions:
        setattr(Leaky, name, vars(bp.ReLU).get(name, getattr(bp.ReLU, name)))
    net = bp.mlp([3, 4, 2], activation=Leaky(), dtype="float64", rng=0)
    assert "1 where a > 0, else 0" not in str(net.explain(*data))
    assert "1 where a > 0, else 0" in str(bp.mlp([3, 4, 2], rng=0).explain(*data))


def test_a_layer_speaks_for_its_own_arguments(data):
    class Leaky(bp.layers.Elementwise):
        def __init__(self, slope=0.1, name=None):
            self.slope, self.name = slope, name

        @property
        def derivative(self):
            return f"1 where a > 0, else {self.slope}"

        def f(self, x, y):
            y[...] = np.where(x > 0, x, self.slope * x)

        def df(self, x, y, out):
            out[...] = np.where(x > 0, 1, self.slope)

    net = bp.mlp([3, 4, 2], activation=Leaky(0.25), dtype="float64", rng=0)
    text = str(net.explain(*data))
    assert "g₁' = 1 where a > 0, else 0.25" in text
    assert "g₁' = 0.25" not in text


class Noisy(bp.Layer):
    """Adds noise to each unit in evaluation, and nothing in training."""

    def build(self, n_in, dtype):
        return LayerSpec(n_in)

    def forward(self, params, x, y, ctx):
        y[...] = x if ctx.training else x + ctx.random(np.empty_like(x))

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            dx[...] = dy if ctx.training else dy * ctx.random(np.empty_like(x))


def test_it_walks_in_evaluation_mode_with_the_networks_own_numbers(data):
    """Buffers, and random numbers: those of the network's seed, step and layer."""
    X, y = data
    net = bp.Network(3, [bp.Dense(4), Noisy(), bp.Tanh(), bp.Dense(2)], dtype="float64", rng=5)
    for _ in range(2):
        walk = net.explain(X, y, row=0)  # alone it is row 0 as well
        assert walk.loss == pytest.approx(net.loss(X[:1], y[:1]), rel=1e-12)
        assert walk.product == pytest.approx(walk.gradient, rel=1e-12)
        net.step(X, y, bp.SGD(0.1))
    net = deep()
    net.buffers["halves1.mean"] = [1.0, 2.0, 3.0, 4.0]
    values = net.explain(*data, row=1).as_dict()["values"]
    np.testing.assert_allclose(values["h_4"], net.forward(data[0])[1], rtol=1e-12)
    assert (net.buffers["halves1.mean"] == [1, 2, 3, 4]).all()


# Classes that are not what their base class says


class Softened(bp.layers.Elementwise):
    """A softmax: no unit of it is alone."""

    def forward(self, params, x, y, ctx):
        e = np.exp(x)
        y[...] = e / e.sum(axis=1, keepdims=True)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            dx[...] = y * (dy - (y * dy).sum(axis=1, keepdims=True))


class Both(bp.layers.Elementwise):
    """max(x, 0) and max(-x, 0), twice as wide."""

    def build(self, n_in, dtype):
        return LayerSpec(2 * n_in)

    def forward(self, params, x, y, ctx):
        y[...] = np.maximum(np.hstack([x, -x]), 0)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            n = x.shape[1]
            dx[...] = np.where(x > 0, dy[:, :n], -dy[:, n:])


class Clipped(bp.Tanh):
    """Lets no gradient above 0.01 through."""

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            dx[...] = np.clip(dy * (1 - y * y), -0.01, 0.01)


class OnlyC(bp.Layer):
    """Elementwise by its C table, without the base class."""

    def build(self, n_in, dtype):
        return LayerSpec(n_in)

    def __fastbp_elementwise__(self):
        return elementwise_capsule("tanh")


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (Softened(), "backward"),
        (Both(), "backward"),
        (Clipped(), "backward"),
        (OnlyC(), "diagonal"),
    ],
)
def test_what_a_layer_does_counts_not_its_class(data, layer, kind):
    X, y = data
    net = bp.Network(3, [bp.Dense(8), layer, bp.Dense(2)], dtype="float64", rng=0)
    walk = net.explain(X, y, row=1)
    assert walk.product == pytest.approx(walk.gradient, rel=1e-10)
    (jacobian,) = (factor.value for factor in walk.factors if factor.name == "∂h₁/∂a₁")
    assert [*jacobian.compact()] == [kind]
    if kind == "backward":
        assert jacobian.compact() == {kind: f"{type(layer).__name__.lower()}1"}
    row = np.arange(1.0, jacobian.shape[0] + 1)
    np.testing.assert_allclose(row @ jacobian, jacobian.after(row))
    if not isinstance(layer, Clipped):  # which is not linear
        np.testing.assert_allclose(row @ jacobian, row @ np.asarray(jacobian), rtol=1e-12)


def test_a_layer_that_looks_at_the_batch_is_told_of(data):
    class Centred(bp.Layer):
        rows_independent = False

        def build(self, n_in, dtype):
            return LayerSpec(n_in)

        def forward(self, params, x, y, ctx):
            y[...] = x - 0.5 * x.mean(axis=0)

        def backward(self, params, x, y, dy, dx, grads, ctx):
            dx[...] = dy - 0.5 * dy.mean(axis=0)

    walk = bp.Network(3, [bp.Dense(2), Centred()], dtype="float64", rng=0).explain(*data)
    assert walk.note == "centred1 looks at whole batches, and got this example alone"
    assert walk.product == pytest.approx(walk.gradient, rel=1e-12)


def test_values_are_those_of_gradients(data):
    X, y = data
    net = bp.Network(3, [bp.Dense(5), bp.Tanh(), bp.Dense(4), bp.Dense(2)], dtype="float64", rng=0)
    values, g = net.explain(X, y, row=3).as_dict()["values"], net.gradients(X[[3]], y[[3]])
    want = {"x": g.values.x, "y_hat": g.values.y_hat}
    want |= {f"a_{k}": g.values.a[k] for k in (1, 2, 3)}
    want |= {f"h_{k}": g.values.h[k] for k in (0, 1, 2, 3)}
    assert values.keys() == want.keys()
    for name, array in want.items():
        np.testing.assert_allclose(values[name], array[0], rtol=1e-12, err_msg=name)

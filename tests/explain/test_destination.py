"""Rows and weights that are not there, and numbers that cannot be walked with."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

import fastbp as bp
from fastbp.layers import LayerSpec


@pytest.fixture
def data():
    return np.random.default_rng(0).normal(size=(5, 3)), np.array([0, 1, 1, 0, 1])


@pytest.fixture
def net():
    return bp.mlp([3, 4, 2], rng=0)


@pytest.fixture
def refuses(net, data):
    """Explain with one argument changed: the error's kind and words, and a network unchanged."""

    def call(kind, *words, net=net, X=data[0], y=data[1], **how):
        before = net.flat.copy()
        with pytest.raises(kind) as info:
            net.explain(X, y, **how)
        assert type(info.value) is kind
        for word in words:
            assert word in str(info.value)
        np.testing.assert_array_equal(net.flat, before)

    return call


def test_which_weight_is_meant(net, data):
    X, y = data
    g = net.gradients(X[[2]], y[[2]], reduction="sum")
    for weight, name in [(None, "dense1.W"), ("dense2.W", "dense2.W"), (("dense1.b",), "dense1.b")]:
        walk = net.explain(X, y, row=2, weight=weight)
        want = np.unravel_index(np.argmax(np.abs(g[name])), g[name].shape)
        assert walk.weight == (name, *map(int, want))
    texts = ("dense2.W:1,3", "dense2.W[1, 3]", "dense2.W: 1, 3", "dense2.W [1,3]")
    for weight in (*texts, ("dense2.W", 1, 3), [np.str_("dense2.W"), np.int64(1), np.uint8(3)]):
        found = net.explain(X, y, weight=weight).weight
        assert found == ("dense2.W", 1, 3)
        assert [*map(type, found)] == [str, int, int]


@pytest.mark.parametrize(
    ("weight", "kind", "words"),
    [
        ("dens1.W", bp.UnknownNameError, ["'dens1.W'", "did you mean 'dense1.W'?"]),
        ("W", bp.UnknownNameError, ["'W'", "wanted one of dense1.W, dense1.b, dense2.W"]),
        (("dense3.W", 0, 0), bp.UnknownNameError, ["'dense3.W'", "did you mean"]),
        ("dense2.w", bp.UnknownNameError, ["did you mean 'dense2.W'?"]),
        ("dense2:0,1", bp.UnknownNameError, ["'dense2'", "did you mean 'dense2.W'?"]),
        ("dense2.b:x", bp.UnknownNameError, ["'dense2.b:x'", "did you mean 'dense2.b'?"]),
        ("dense2.W:", bp.UnknownNameError, ["'dense2.W:'", "did you mean 'dense2.W'?"]),
        ("dense1.W:1", bp.ConfigError, ["'dense1.W:1'", "dense1.W:i,j"]),
        ("dense1.b[1,2]", bp.ConfigError, ["'dense1.b[1,2]'", "dense1.b:i"]),
        ("dense1.W[4, 0]", bp.UnknownNameError, ["dense1.W[4, 0]", "0 to 3 and 0 to 2"]),
        (("nothing", 0), bp.UnknownNameError, ["'nothing'", "dense2.b"]),
        ((1, 2), bp.UnknownNameError, ["1", "dense1.W"]),
        (("dense1.W", 4, 0), bp.UnknownNameError, ["dense1.W[4, 0]", "0 to 3 and 0 to 2"]),
        (("dense1.W", 0, -1), bp.UnknownNameError, ["dense1.W[0, -1]", "0 to 2"]),
        (("dense1.b", 4), bp.UnknownNameError, ["dense1.b[4]", "0 to 3"]),
        pytest.param(("dense1.b", 10**5000), bp.UnknownNameError, ["b[a number beyond"], id="vast"),
        (("dense1.W", 1), bp.ConfigError, ["('dense1.W', i, j)", "0 to 3 and 0 to 2"]),
        (("dense1.W", 1, 2, 0), bp.ConfigError, ["('dense1.W', i, j)"]),
        (("dense1.b", 1, 2), bp.ConfigError, ["('dense1.b', i)"]),
        (("dense1.W", 1.0, 2), bp.ConfigError, ["('dense1.W', i, j)"]),
        (("dense1.W", True, 2), bp.ConfigError, ["('dense1.W', i, j)"]),
        (("dense1.W", "1", 2), bp.ConfigError, ["('dense1.W', i, j)"]),
        (("dense1.W", None, 2), bp.ConfigError, ["('dense1.W', i, j)"]),
        ((), bp.ConfigError, ["()", '("dense1.W", 1, 2)']),
        (7, bp.ConfigError, ["7", '("dense1.W", 1, 2)']),
        ({"dense1.W": 1}, bp.ConfigError, ['("dense1.W", 1, 2)']),
        (([],), bp.UnknownNameError, ["[]", "dense1.W"]),
    ],
)  # fmt: skip
def test_weights_that_are_not_there(refuses, weight, kind, words):
    refuses(kind, "weight: got", *words, weight=weight)


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        (5, bp.UnknownNameError, ["5", "rows 0 to 4"]),
        (-1, bp.UnknownNameError, ["-1", "rows 0 to 4"]),
        pytest.param(10**5000, bp.UnknownNameError, ["a number beyond 10**18"], id="vast"),
        (1.5, bp.ConfigError, ["1.5"]),
        ("3", bp.ConfigError, ["'3'"]),
        (None, bp.ConfigError, ["None"]),
        (True, bp.ConfigError, ["True"]),
        ([0], bp.ConfigError, ["[0]"]),
    ],
)
def test_rows_that_are_not_there(refuses, row, kind, words):
    refuses(kind, "row: got", *words, row=row)


def test_only_the_walked_row_is_looked_at(net, data, refuses):
    X, y = data[0].copy(), data[1].astype(float)
    want = net.explain(*data, row=1).product
    X[3, 1], y[3] = np.nan, np.nan
    assert net.explain(X, y, row=1).product == want
    refuses(bp.NonFiniteError, "X: got nan at row 3, column 1", X=X, y=data[1], row=3)
    refuses(bp.LabelError, "row 3", y=y, row=3)
    refuses(bp.LabelError, "row 2", y=np.array([0, 1, 2, 0, 1]), row=2)
    refuses(bp.NonFiniteError, "X", X=np.full((5, 3), 1e300), row=0)  # overflows float32
    refuses(bp.ShapeError, "X", X=X[:, :2])
    refuses(bp.ShapeError, "X", X=X[:0], y=y[:0])
    refuses(bp.ShapeError, "y", y=y[:3])


def test_rows_of_probabilities(net, data):
    p = np.array([[0.25, 0.75]] * 5)
    walk = net.explain(data[0], p, row=4)
    assert walk.as_dict()["target"] == [0.25, 0.75]
    g = net.gradients(data[0][[4]], p[[4]], reduction="sum")
    assert walk.product == pytest.approx(float(g["dense1.W"][walk.weight[1:]]), rel=1e-5)
    assert "-p / ŷ" in str(walk)


def test_an_example_of_weight_0_moves_nothing(net, data, refuses):
    weight = np.array([1.0, 0.0, 3.0, 1.0, 1.0])
    refuses(bp.ConfigError, "row: got 1", "sample_weight is 0", row=1, sample_weight=weight)
    unscaled = net.explain(*data, row=2)
    assert net.explain(*data, row=2, sample_weight=weight).product == unscaled.product
    refuses(bp.ShapeError, "sample_weight", sample_weight=weight[:2])
    refuses(bp.ConfigError, "sample_weight", sample_weight=-weight)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["dense1.W", "dense2.b"])
def test_parameters_that_are_not_finite(net, data, bad, name):
    index = (3, 1) if name == "dense1.W" else (1,)
    net.params[name][index] = bad
    with pytest.raises(bp.NonFiniteError) as info:
        net.explain(*data)
    assert str(info.value) == (
        f"explain: got {bad} in {name}{list(index)}; wanted finite parameters"
    )


class Blown(bp.layers.Elementwise):
    """The square root, whose slope at 0 is infinite; NaN below."""

    def f(self, x, y):
        np.sqrt(np.abs(x), out=y)

    def df(self, x, y, out):
        np.divide(0.5, y, out=out)

    def backward(self, *arrays):
        with np.errstate(all="ignore"):
            super().backward(*arrays)


class Broken(bp.layers.Elementwise):
    """The identity, with one bad number where `at` says."""

    def __init__(self, at, name=None):
        self.at, self.name = at, name

    def build(self, n_in, dtype):
        return LayerSpec(n_in, params={"c": ()})

    def forward(self, params, x, y, ctx):
        y[...] = x
        if self.at == "forward":
            y[0, 0] = np.nan

    def backward(self, params, x, y, dy, dx, grads, ctx):
        grads["c"][...] = np.inf if self.at == "c" else 1
        if dx is not None:
            dx[...] = dy
            if self.at == "backward" and (dy != 1).any():  # not when the slope is asked for
                dx[0, 0] = np.inf


class Mean(bp.losses.Loss):
    """Σ a, or what `at` says is not finite."""

    def __init__(self, at=""):
        self.at = at

    def loss_and_delta(self, a, targets, delta):
        if delta is not None:
            delta[...] = np.nan if self.at == "delta" else 1
        return np.full(len(a), np.inf) if self.at == "loss" else a.sum(axis=1, dtype=float)


def test_numbers_on_the_way_that_are_not_finite(refuses):
    net = bp.Network(3, [bp.Dense(4), Blown(), bp.Dense(2)], rng=0)
    net.flat[:] = 0
    refuses(bp.NonFiniteError, "blown1's slope", "row 2", net=net, row=2)
    big = bp.Network(3, [bp.Dense(4), bp.Dense(2)], dtype="float64", rng=0)
    big.flat[:] = 1e200
    refuses(bp.NonFiniteError, "row 2", net=big, row=2)
    hidden = bp.Network(3, [bp.Dense(4), bp.Tanh(), bp.Dense(2)], dtype="float64", rng=0)
    hidden.params["dense1.W"][:] = 1.7e308  # the tanh of an infinite a_1 is 1
    refuses(
        bp.NonFiniteError, "dense1's output: got", "row 2", net=hidden, row=2, X=np.ones((5, 3))
    )
    for at in ("forward", "backward", "c"):
        net = bp.Network(3, [bp.Dense(2), Broken(at), bp.Dense(2)], rng=0)
        refuses(bp.NonFiniteError, "row 2", net=net, row=2, weight="broken1.c")
    for at in ("loss", "delta"):
        net = bp.Network(3, [bp.Dense(2)], loss=Mean(at), rng=0)
        refuses(bp.NonFiniteError, "row 2", net=net, row=2, y=np.zeros((5, 2)))
    one = bp.Network(1, [bp.Dense(1)], loss="squared_error", dtype="float64", rng=0)
    one.params["dense1.W"][:] = 1e-200
    refuses(bp.NonFiniteError, "∂ℒ/∂W₁[0,0]", net=one, X=[[1e250]], y=[[1e60]])


def test_a_gradient_that_overflows_float32_is_said_to():
    net = bp.Network(1, [bp.Dense(1)], loss="squared_error", rng=0)
    walk = net.explain([[1e25]], [[1e25]])
    assert np.isinf(walk.gradient)
    assert walk.as_dict()["gradient"] is None
    assert np.isfinite(walk.product)


def test_a_loss_for_the_whole_batch(refuses):
    class Ranking(bp.losses.Loss):
        rows_independent = False

        def batch_loss_and_delta(self, a, targets, weight, delta):
            raise AssertionError

    net = bp.Network(3, [bp.Dense(2)], loss=Ranking())
    refuses(bp.ConfigError, "explain: Ranking()", "whole batch", net=net, y=np.zeros((5, 2)))


def test_a_network_without_parameters(refuses):
    net = bp.Network(3, [bp.Tanh()])
    refuses(bp.ConfigError, "explain: the network has no parameters", net=net)


def test_a_part_without_float64(refuses):
    class Single(bp.Layer):
        def build(self, n_in, dtype):
            if dtype != np.float32:
                raise bp.DtypeError(f"single: got {dtype}; wanted float32")
            return LayerSpec(n_in)

        def forward(self, params, x, y, ctx):
            y[:] = x

        def backward(self, params, x, y, dy, dx, grads, ctx):
            dx[:] = dy

    net = bp.Network(3, [bp.Dense(2), Single()], rng=0)
    refuses(bp.DtypeError, "explain: walks in float64", "single: got float64", net=net)


def test_a_parameter_without_entries(refuses):
    class Empty(bp.Layer):
        def build(self, n_in, dtype):
            return LayerSpec(n_in, params={"none": (0,), "one": ()})

        def init(self, params, rng, gain=1.0):
            params["one"][...] = 2

        def forward(self, params, x, y, ctx):
            y[:] = x * params["one"]

        def backward(self, params, x, y, dy, dx, grads, ctx):
            grads["one"][...] = (dy * x).sum()
            if dx is not None:
                dx[:] = dy * params["one"]

    net = bp.Network(2, [Empty()], dtype="float64", rng=0)
    X, y = np.array([[1.0, 2.0]]), [0]
    refuses(
        bp.UnknownNameError,
        "'empty1.none', which has no entries",
        net=net,
        X=X,
        y=y,
        weight="empty1.none",
    )
    walk = net.explain(X, y)
    assert walk.weight == ("empty1.one",)
    assert walk.product == pytest.approx(float(net.gradients(X, y)["empty1.one"]), rel=1e-12)
    refuses(
        bp.ConfigError, "with no index: ('empty1.one')", net=net, X=X, y=y, weight=("empty1.one", 0)
    )


def test_a_network_in_training_is_walked_as_it_is(net, data):
    """A walk is of one moment, and a later write does not reach it."""
    walk = net.explain(*data)
    text, product = str(walk), walk.product
    net.flat[:] = 0
    assert (str(walk), walk.product) == (text, product)
    net.explain(*data).as_dict()["values"]["x"][0] = 9  # plain lists of its own
    walk.as_dict()["factors"][0]["value"][0] = 9
    for array in (
        walk.factors[0].value,
        walk.factors[3].value.diagonal,
        walk.factors[1].running.value,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9
    assert str(walk) == text
    for twin in (pickle.loads(pickle.dumps(walk)), copy.deepcopy(walk)):
        assert str(twin) == text
        assert twin.as_dict() == walk.as_dict()


class Waiting(bp.layers.Elementwise):
    """The identity, which in training waits until it may go on."""

    started, go_on = threading.Event(), threading.Event()

    def forward(self, params, x, y, ctx):
        if ctx.training:
            self.started.set()
            assert self.go_on.wait(60)
        y[...] = x

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            dx[...] = dy


def test_it_waits_for_a_step_of_another_thread(data):
    """A walk of half-made weights would be nobody's."""
    net = bp.Network(3, [bp.Dense(4), Waiting(), bp.Dense(2)], dtype="float64", rng=0)
    walks = []
    step = threading.Thread(target=net.step, args=(*data, bp.SGD(0.5)))
    walk = threading.Thread(target=lambda: walks.append(net.explain(*data, row=1)))
    step.start()
    assert Waiting.started.wait(60)
    walk.start()
    walk.join(0.3)
    assert not walks
    Waiting.go_on.set()
    step.join(60)
    walk.join(60)
    assert walks[0].product == net.explain(*data, row=1).product

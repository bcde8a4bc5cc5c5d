"""The contract of a layer, kept to by layers that somebody else might write.

Their gradients are compared with 4th-order central differences of the network's loss.
"""

import copy
import pickle

import numpy as np
import pytest

import fastbp as bp
from fastbp.layers import Context, Elementwise, Layer, LayerSpec


class Square(Elementwise):
    """h = a², the least an elementwise layer can be; df reads x."""

    def f(self, x, y):
        np.multiply(x, x, out=y)

    def df(self, x, y, out):
        np.multiply(x, 2, out=out)


class Swish(Elementwise):
    """h = a sigmoid(slope a): a setting of its own; df reads both x and y."""

    gain = 1.5

    def __init__(self, slope=1.0, name=None):
        super().__init__(name)
        self.slope = slope

    def f(self, x, y):
        y[...] = x / (1 + np.exp(-self.slope * x))

    def df(self, x, y, out):
        s = 1 / (1 + np.exp(-self.slope * x))
        out[...] = s + self.slope * y * (1 - s)


class RowNorm(Layer):
    """y = gamma (x - mean) / std + beta, each row by itself (layer normalisation).

    It has parameters, saves two arrays from forward to backward, and counts the rows it was
    trained on in a buffer.
    """

    def __init__(self, eps=1e-3, name=None):
        self.eps, self.name = eps, name

    def build(self, n_in, dtype):
        return LayerSpec(
            n_out=n_in,
            params={"gamma": (n_in,), "beta": (n_in,)},
            buffers={"rows": (), "total": (n_in,)},
            saved={"rstd": (), "unit": (n_in,)},
        )

    def init(self, params, rng, gain=1.0):
        params["gamma"][...] = 1
        params["beta"][...] = 0

    def forward(self, params, x, y, ctx):
        centred = x - x.mean(axis=1, keepdims=True)
        ctx.saved["rstd"][...] = 1 / np.sqrt((centred**2).mean(axis=1) + self.eps)
        ctx.saved["unit"][...] = centred * ctx.saved["rstd"][:, None]
        y[...] = params["gamma"] * ctx.saved["unit"] + params["beta"]
        if ctx.training:
            ctx.buffers["rows"] += len(x)
            ctx.buffers["total"] += x.sum(axis=0)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        unit, rstd = ctx.saved["unit"], ctx.saved["rstd"]
        grads["gamma"][...] = (dy * unit).sum(axis=0)
        grads["beta"][...] = dy.sum(axis=0)
        if dx is not None:
            d = dy * params["gamma"]
            d = d - d.mean(axis=1, keepdims=True) - unit * (d * unit).mean(axis=1, keepdims=True)
            dx[...] = d * rstd[:, None]


class Centre(Layer):
    """y = x less half its mean over the batch: any other block of rows would come out wrong."""

    rows_independent = False

    def build(self, n_in, dtype):
        return LayerSpec(n_out=n_in)

    def forward(self, params, x, y, ctx):
        np.subtract(x, x.mean(axis=0) / 2, out=y)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            np.subtract(dy, dy.mean(axis=0) / 2, out=dx)


class Shared(Layer):
    """a = h Wᵀ with a class of its own, affine: it gets a number k, and the host E6, E8 and E9."""

    affine = True

    def __init__(self, n_out, name=None):
        self.n_out, self.name = n_out, name

    def build(self, n_in, dtype):
        return LayerSpec(n_out=self.n_out, params={"W": (self.n_out, n_in), "b": (self.n_out,)})

    def init(self, params, rng, gain=1.0):
        params["W"][...] = rng.normal(scale=gain / 2, size=params["W"].shape)
        params["b"][...] = 0.1

    def forward(self, params, x, y, ctx):
        y[...] = x @ params["W"].T + params["b"]

    def backward(self, params, x, y, dy, dx, grads, ctx):
        grads["W"][...] = dy.T @ x
        grads["b"][...] = dy.sum(axis=0)
        if dx is not None:
            dx[...] = dy @ params["W"]


STACKS = {
    "elementwise": [bp.Dense(5), Square(), bp.Dense(3)],
    "elementwise with a setting": [Swish(0.7), bp.Dense(5), Swish(), bp.Dense(3), Swish(1.3)],
    "parameters and saved arrays": [RowNorm(), bp.Dense(5), RowNorm(0.1), bp.Tanh(), bp.Dense(3)],
    "whole batch": [bp.Dense(5), Centre(), bp.Tanh(), bp.Dense(3)],
    "affine": [Shared(5), bp.Tanh(), Shared(3)],
    "all of them": [Shared(6), Centre(), RowNorm(), Swish(), bp.Dense(3), Square()],
}


@pytest.fixture(params=STACKS)
def net(request):
    net = bp.Network(4, STACKS[request.param], dtype="float64", rng=3, l2=0.01)
    net.flat += 0.1 * np.random.default_rng(4).normal(size=net.flat.shape)  # biases off 0
    return net


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    return rng.normal(size=(7, 4)), rng.integers(0, 3, 7), rng.uniform(0.5, 2, 7)


def differences(loss, array, step=1e-3):
    """4th-order central differences of loss() by every entry of an array, moved in place."""
    slopes = np.empty_like(array)
    for where in np.ndindex(array.shape):
        here, f = array[where], []
        for k in (-2, -1, 1, 2):
            array[where] = here + k * step
            f.append(loss())
        array[where] = here
        slopes[where] = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step)
    return slopes


def test_gradients_against_central_differences(net, data, relative_error):
    X, y, weight = data
    g = net.gradients(X, y, sample_weight=weight, input_gradient=True)
    for name, array in net.params.items():
        slopes = differences(lambda: net.loss(X, y, sample_weight=weight), array)
        assert relative_error(g[name], slopes) < 1e-7, name
    X = X.copy()
    slopes = differences(lambda: net.loss(X, y, sample_weight=weight), X)
    assert relative_error(g.x, slopes) < 1e-7


def test_all_ways_to_the_gradient_agree(net, data, relative_error):
    X, y, weight = data
    g = net.gradients(X, y, sample_weight=weight)
    loss, flat = net.loss_and_grad(X, y, sample_weight=weight)
    assert loss == pytest.approx(g.loss, rel=1e-14)
    assert relative_error(flat, g.flat) < 1e-13
    before = net.flat.copy()
    assert net.step(X, y, bp.SGD(0.125), sample_weight=weight) == pytest.approx(loss, rel=1e-14)
    assert relative_error(before - net.flat, 0.125 * g.flat) < 1e-12


def test_gradients_are_overwritten_and_not_added_to(net, data):
    X, y, _ = data
    first, again = net.loss_and_grad(X, y)[1], net.loss_and_grad(X, y)[1]
    np.testing.assert_array_equal(first, again)


def test_one_layer_serves_many_networks_of_other_widths(data):
    X, y, _ = data
    shared = RowNorm()
    nets = [bp.Network(4, [bp.Dense(n), shared, bp.Dense(3)], rng=0) for n in (3, 8)]
    alone = [n.gradients(X, y).flat for n in nets]
    nets[1].fit(X, y, epochs=3)
    np.testing.assert_array_equal(nets[0].gradients(X, y).flat, alone[0])
    assert vars(shared) == vars(RowNorm())


def test_names_of_its_parameters_and_buffers():
    layers = [RowNorm(), Shared(5), RowNorm(name="last"), Shared(3)]
    net = bp.Network(4, layers, rng=0)
    assert [*net.params] == [
        "rownorm1.gamma", "rownorm1.beta", "shared1.W", "shared1.b", "last.gamma", "last.beta",
        "shared2.W", "shared2.b",
    ]  # fmt: skip
    assert [*net.buffers] == ["rownorm1.rows", "rownorm1.total", "last.rows", "last.total"]
    assert net.buffers["last.total"].shape == (5,)
    g = net.gradients(np.ones((2, 4)), [0, 1])
    assert g["last.gamma"].shape == (5,)
    assert [*g.W] == [*g.b] == [1, 2]


def test_a_dense_gets_the_gain_of_whatever_follows():
    nets = [
        bp.Network(4, [bp.Dense(9), layer, bp.Dense(2)], rng=0) for layer in (Square(), Swish())
    ]
    np.testing.assert_allclose(
        nets[1].params["dense1.W"], 1.5 * nets[0].params["dense1.W"], rtol=1e-6
    )


class Raising(Square):
    @property
    def gain(self):
        raise ZeroDivisionError("mine")


@pytest.mark.parametrize("gain", ["large", None, np.nan, np.inf, -1.0, 1e39, [1.0], True])
def test_a_bad_gain_is_its_own_layers_fault(gain):
    """And not the fault of the Dense that would start with it."""
    strange = type("Strange", (Square,), {"gain": gain})
    with pytest.raises(bp.ConfigError, match=r"^Strange.gain: got .*; wanted a finite number >= 0"):
        bp.Network(4, [bp.Dense(9), strange(), bp.Dense(2)])


def test_a_gain_that_fails_is_its_own_layers_fault():
    with pytest.raises(bp.PluginCallError, match=r"^Raising: gain failed \(ZeroDivisionError"):
        bp.Network(4, [bp.Dense(9), Raising(), bp.Dense(2)])


def test_a_gain_of_numpys_numbers():
    layer = type("Doubled", (Square,), {"gain": np.float32(2)})()
    nets = [bp.Network(4, [bp.Dense(9), which, bp.Dense(2)], rng=0) for which in (layer, Square())]
    np.testing.assert_array_equal(nets[0].params["dense1.W"], 2 * nets[1].params["dense1.W"])


# What the host hands over


class Watch(Layer):
    """Passes everything on, and notes in a list what it was handed."""

    seen: list = []  # noqa: RUF012  (the class's, for a layer itself does not change)

    def build(self, n_in, dtype):
        return LayerSpec(n_out=n_in, buffers={"n": ()}, saved={"one": (), "table": (2, 3)})

    def forward(self, params, x, y, ctx):
        y[...] = x
        shapes = {key: (array.shape, array.dtype) for key, array in ctx.saved.items()}
        self.seen.append(("forward", len(x), ctx.training, shapes))
        for array in (x, y, *ctx.saved.values()):
            assert array.flags.c_contiguous
            assert array.flags.aligned
        if ctx.training:
            ctx.buffers["n"] += 1

    def backward(self, params, x, y, dy, dx, grads, ctx):
        self.seen.append(("backward", len(x), ctx.training, dx is not None))
        if dx is not None:
            dx[...] = dy


@pytest.fixture
def watched():
    Watch.seen = []
    net = bp.Network(3, [Watch(), bp.Dense(2)], rng=0)
    yield net, Watch.seen
    Watch.seen = []


def test_only_step_and_fit_train(watched):
    net, seen = watched
    X, y = np.ones((4, 3)), [0, 1, 1, 0]

    def training_flags(call):
        seen.clear()
        call()
        return {training for kind, _, training, _ in seen if kind == "forward"}

    assert training_flags(lambda: net.forward(X)) == {False}
    assert training_flags(lambda: net.predict(X)) == {False}
    assert training_flags(lambda: net.predict_proba(X)) == {False}
    assert training_flags(lambda: net.loss(X, y)) == {False}
    assert training_flags(lambda: net.gradients(X, y)) == {False}
    assert training_flags(lambda: net.vjp(X, np.ones((4, 2)))) == {False}
    assert training_flags(lambda: net.loss_and_grad(X, y)) == {False}
    assert net.buffers["watch1.n"] == 0
    assert training_flags(lambda: net.step(X, y, bp.SGD(0.1))) == {True}
    assert training_flags(lambda: net.gradients(X, y, training=True)) == {True}
    net.reset_optimizer()
    assert training_flags(lambda: net.fit(X, y, epochs=2, validation_data=(X, y))) == {True, False}
    assert training_flags(lambda: net.forward(X)) == {False}


def test_saved_arrays_have_a_row_per_row(watched):
    net, seen = watched
    for rows in (6, 2, 6, 9):
        seen.clear()
        net.gradients(np.ones((rows, 3)), np.zeros(rows, int))
        f32 = np.dtype("float32")
        assert seen[0] == (
            "forward", rows, False, {"one": ((rows,), f32), "table": ((rows, 2, 3), f32)}
        )  # fmt: skip


def test_the_inputs_gradient_is_asked_for_only_when_wanted(watched):
    net, seen = watched
    X, y = np.ones((4, 3)), [0, 1, 1, 0]
    net.gradients(X, y)
    net.step(X, y, bp.SGD(0.1))
    net.gradients(X, y, input_gradient=True)
    net.vjp(X, np.ones((4, 2)))
    assert [wanted for kind, *_, wanted in seen if kind == "backward"] == [False, False, True, True]


def test_large_inputs_come_in_blocks_unless_rows_depend_on_each_other(watched):
    net, seen = watched
    X = np.random.default_rng(0).normal(size=(1300, 3))
    net.forward(X)
    rows = [rows for _, rows, *_ in seen]
    assert sum(rows) == 1300
    assert len(rows) > 1
    whole = bp.Network(3, [Watch(), Centre(), bp.Dense(2)], dtype="float64", rng=0)
    seen.clear()
    a = whole.forward(X)
    assert [rows for _, rows, *_ in seen] == [1300]
    np.testing.assert_allclose(
        a, (X - X.mean(axis=0) / 2) @ whole.params["dense1.W"].T, rtol=1e-12, atol=1e-14
    )
    y = np.zeros(1300, int)
    seen.clear()
    whole.loss(X, y)
    assert [rows for _, rows, *_ in seen] == [1300]


# Buffers


def test_buffers_are_kept_by_the_network():
    net = bp.Network(4, [RowNorm(), bp.Dense(2)], dtype="float64", rng=0)
    X, y = np.ones((6, 4)), [0, 1] * 3
    net.fit(X, y, epochs=2, batch_size=4)
    assert net.buffers["rownorm1.rows"] == 12
    np.testing.assert_array_equal(net.buffers["rownorm1.total"], [12.0] * 4)
    state = net.state_dict()
    assert state["rownorm1.rows"] == 12
    for twin in (net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        twin.step(X, y, bp.Adam())
        assert twin.buffers["rownorm1.rows"] == 18
        assert net.buffers["rownorm1.rows"] == 12
    other = bp.Network(4, [RowNorm(), bp.Dense(2)], dtype="float64", rng=1)
    other.load_state_dict(state)
    assert other.buffers["rownorm1.rows"] == 12


def test_a_step_that_fails_leaves_the_buffers_as_they_were():
    net = bp.Network(4, [RowNorm(), bp.Dense(2)], rng=0)
    X, y = np.ones((6, 4)), [0, 1] * 3
    net.step(X, y, bp.SGD(0.1))
    before, n = net.flat.copy(), net.buffers["rownorm1.rows"]
    net.params["dense1.b"][...] = np.nan
    with pytest.raises(bp.NonFiniteError):
        net.step(X, y, bp.SGD(0.1))
    assert net.buffers["rownorm1.rows"] is n
    assert n == 6
    assert net.optimizer_state.steps == 1
    np.testing.assert_array_equal(net.flat[:-2], before[:-2])


def test_a_layer_whose_own_function_fails_leaves_the_network_as_it_was():
    class Bad(Elementwise):
        def f(self, x, y):
            y[...] = x

        def df(self, x, y, out):
            raise ZeroDivisionError("df")

    net = bp.Network(4, [RowNorm(), bp.Dense(3), Bad(), bp.Dense(2)], rng=0)
    X, y, before = np.ones((6, 4)), [0, 1] * 3, net.flat.copy()
    with pytest.raises((ZeroDivisionError, bp.PluginCallError), match="df"):
        net.step(X, y, bp.SGD(0.1))
    np.testing.assert_array_equal(net.flat, before)
    assert net.buffers["rownorm1.rows"] == 0
    assert net.optimizer_state is None
    assert np.isfinite(net.loss(X, y))


# The bases themselves


def test_bases_say_what_is_missing():
    x = np.ones((2, 3))
    for call in (
        lambda: Layer().build(3, x.dtype),
        lambda: Layer().forward({}, x, x, Context()),
        lambda: Layer().backward({}, x, x, x, None, {}, Context()),
        lambda: Elementwise().f(x, x),
        lambda: Elementwise().df(x, x, x),
    ):
        with pytest.raises(NotImplementedError, match=r"(Layer|Elementwise)\.\w+"):
            call()
    assert Layer().init({}, np.random.default_rng(0)) is None  # nothing to fill is fine


def test_defaults_of_the_contract():
    assert (Layer.contract, Layer.gain) == (1, 1.0)
    assert (Layer.rows_independent, Layer.affine, Layer.name) == (True, False, None)
    assert Elementwise.needs_x
    assert LayerSpec(n_out=3) == LayerSpec(3, {}, {}, {})
    with pytest.raises(AttributeError):
        LayerSpec(3).n_out = 4
    assert Context() == Context(training=False, saved={}, buffers={})

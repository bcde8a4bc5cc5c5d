"""Parts by anybody that stand on fastbp's own classes, or break what C relies on."""

import warnings

import numpy as np
import pytest

import fastbp as bp

X = np.random.default_rng(0).standard_normal((5, 3))


def test_a_subclass_with_a_python_body_of_its_own_is_heard():
    class Sevens(bp.SoftmaxCrossEntropy):
        def loss_and_delta(self, a, targets, delta):
            if delta is not None:
                delta[...] = 0
            return np.full(len(a), 7.0)

    class Doubled(bp.ReLU):
        def f(self, x, y):
            np.multiply(np.maximum(x, 0), 2, out=y)

    assert bp.mlp([3, 2], loss=Sevens(), rng=0).loss(X, [0, 1, 1, 0, 1]) == 7.0
    plain, twice = (bp.Network(3, [layer], loss="squared_error") for layer in ("relu", Doubled()))
    assert (twice.forward(X) == 2 * plain.forward(X)).all()


def test_a_subclass_that_changes_nothing_keeps_the_c_body():
    class Mine(bp.Tanh):
        pass

    one = bp.Network(3, [Mine()], loss="squared_error").forward(X)
    assert (one == bp.Network(3, ["tanh"], loss="squared_error").forward(X)).all()


def test_an_optimizer_with_an_update_of_its_own_is_heard():
    class Fill(bp.Adam):
        def update(self, theta, grad, state):
            theta[...] = 42

    net = bp.mlp([3, 2], rng=0)
    net.step(X, [0, 1, 1, 0, 1], Fill())
    assert (net.flat == 42).all()


def test_an_update_that_raises_leaves_everything():
    class Torn(bp.SGD):
        def update(self, theta, grad, state):
            theta[...] = 0
            state.arrays["v"][...] = 1
            raise RuntimeError("halfway")

    net = bp.mlp([3, 2], rng=0)
    before = net.flat.copy()
    with pytest.raises(RuntimeError, match="halfway"):
        net.step(X, [0, 1, 1, 0, 1], Torn(0.1, momentum=0.9))
    assert (net.flat == before).all()
    assert net.optimizer_state is None


class Affine(bp.Layer):
    affine = True

    def __init__(self, params):
        self.params = params

    def build(self, n_in, dtype):
        return bp.layers.LayerSpec(n_out=4, params=self.params)


@pytest.mark.parametrize(
    "params",
    [{"W": (1, 1)}, {"W": (3, 4)}, {"b": (4,)}, {"W": (4, 3), "b": (3,)}, {"W": (4, 3), "c": (4,)}],
)
def test_an_affine_layer_with_other_parameters_is_refused(params):
    with pytest.raises(bp.PluginCallError, match=r"Affine: build failed .*affine layer has"):
        bp.Network(3, [Affine(params)], loss="squared_error")


def test_an_elementwise_table_with_another_width_is_refused():
    class Wide(bp.ReLU):
        def build(self, n_in, dtype):
            return bp.layers.LayerSpec(n_out=8)

    with pytest.raises(bp.PluginCallError, match=r"n_out: got 8; an elementwise layer has 3"):
        bp.Network(3, [Wide()], loss="squared_error")


@pytest.mark.parametrize("label", [-1, 2, 10**12])
def test_classes_out_of_range_from_check_targets_are_refused(label):
    class Wild(bp.SoftmaxCrossEntropy):
        def check_targets(self, y, n_out, dtype, rows=None):
            return np.full(len(y), label)

    with pytest.raises(bp.PluginCallError, match=r"check_targets failed .*wanted 0\.\.1"):
        bp.mlp([3, 2], loss=Wild(), rng=0).step(X, [0] * 5, bp.SGD(0.1))


def test_another_contract_is_refused_as_an_instance_too():
    class Later(bp.ReLU):
        contract = 2

    with pytest.raises(bp.PluginError, match="keeps contract 2; this fastbp keeps 1"):
        bp.Network(3, [Later()], loss="squared_error")


def test_buffers_are_for_training_alone():
    class Counts(bp.Layer):
        def build(self, n_in, dtype):
            return bp.layers.LayerSpec(n_out=n_in, buffers={"seen": ()})

        def forward(self, params, x, y, ctx):
            y[...] = x
            ctx.buffers["seen"] += len(x)

        def backward(self, params, x, y, dy, dx, grads, ctx):
            if dx is not None:
                dx[...] = dy

    net = bp.Network(3, [Counts(), bp.Dense(2)], rng=0)
    with pytest.raises(bp.PluginCallError, match="read-only"):
        net.predict(X)
    assert net.buffers["counts1.seen"] == 0
    net.step(X, [0, 1, 1, 0, 1], bp.SGD(0.1))
    assert net.buffers["counts1.seen"] == 5


def test_numbers_too_large_for_float32_raise_and_do_not_warn():
    net = bp.mlp([3, 2], rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(bp.OptimizerError, match=r"got lr 1e\+300, which overflows float32"):
            net.step(X, [0, 1, 1, 0, 1], bp.SGD(1e300))
        with pytest.raises(bp.ConfigError, match=r"l2: got 1e\+300, which overflows float32"):
            bp.mlp([3, 2], l2=1e300)

"""Parts without a Python body: networks run them in C, buffers or not, and the kit passes them."""

import numpy as np
import pytest

import fastbp as bp
from fastbp import testing
from fastbp.layers import Layer, LayerSpec
from fastbp.optimizers import SGD

ROWS = 40


class Twin(Layer):
    """What parts.h says of `scale`, in Python."""

    def build(self, n_in, dtype):
        return LayerSpec(n_in, {"gamma": (n_in,)}, {"seen": (1,)})

    def init(self, params, rng, gain=1.0):
        params["gamma"][...] = 1

    def forward(self, params, x, y, ctx):
        np.multiply(x, params["gamma"], out=y)
        if ctx.training:
            ctx.buffers["seen"] += len(x)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        grads["gamma"][...] = (dy * x).sum(axis=0, dtype=np.float64)
        if dx is not None:
            np.multiply(dy, params["gamma"], out=dx)


@pytest.fixture(params=["float32", "float64"])
def pair(request, install_c):
    """A network with the C layer, and one with its twin."""
    install_c()
    return [
        bp.Network(
            3, [bp.Dense(4), bp.Tanh(), layer, bp.Dense(2)], loss="squared_error",
            dtype=request.param, rng=0,
        )
        for layer in ("scale", Twin())
    ]  # fmt: skip


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 2))


CALLS = {
    "step": lambda net, X, y: [net.step(X, y, SGD(0.1)) for _ in range(5)],
    "step with weights": lambda net, X, y: net.step(X, y, SGD(0.1), sample_weight=y[:, 0] ** 2),
    "fit": lambda net, X, y: net.fit(X, y, epochs=3, batch_size=7, validation_data=(X, y)).val_loss,
    "gradients": lambda net, X, y: net.gradients(X, y, training=True, input_gradient=True).x,
    "vjp": lambda net, X, y: net.vjp(X, y).flat,
    "loss_and_grad": lambda net, X, y: net.loss_and_grad(X, y)[1],
    "predict": lambda net, X, y: net.predict(X),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_layer_with_buffers_does_as_its_twin(pair, rows, call):
    in_c, in_python = pair
    got, want = (call(net, *rows) for net in pair)
    tolerance = 1e-4 if in_c.dtype == np.float32 else 1e-11
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(in_c.flat, in_python.flat, rtol=tolerance, atol=tolerance)
    for one, other in zip(in_c.buffers.values(), in_python.buffers.values(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("kind", "name"), [("layer", "scale"), ("layer", "half")])
def test_the_kit_passes_them(install_c, kind, name):
    install_c()
    for _, check in testing.checks_for(bp.plugins.get(kind, name)):
        check()

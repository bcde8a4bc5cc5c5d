import numpy as np
import pytest
from fastbp_layernorm import LayerNorm

import fastbp as bp
from fastbp.testing import parametrize_checks


class InPython(LayerNorm):
    """The same layer without its C body."""

    __fastbp_layer__ = property()  # hasattr says no


@parametrize_checks([LayerNorm(), LayerNorm(eps=0.1), InPython()])
def test_contract(check):
    check()


def network(kind, dtype="float64"):
    layers = [bp.Dense(7), kind(name="norm"), bp.Tanh(), bp.Dense(3), kind(eps=0.1)]
    net = bp.Network(5, layers, loss="squared_error", dtype=dtype, rng=0)
    net.flat[:] += np.random.default_rng(1).normal(scale=0.1, size=net.flat.shape)
    return net


def test_rows_have_mean_0_and_variance_1():
    X = np.random.default_rng(0).normal(3, 2, size=(20, 50))
    net = bp.Network(50, [LayerNorm()], loss="squared_error", dtype="float64")
    y = net.forward(X)
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(axis=1), 1, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_c_and_python_agree(dtype):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(33, 5)), rng.normal(size=(33, 3))
    in_c, in_python = network(LayerNorm, dtype), network(InPython, dtype)
    got = in_c.gradients(X, y, input_gradient=True)
    want = in_python.gradients(X, y, input_gradient=True)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(in_c.forward(X), in_python.forward(X), tolerance, tolerance)
    np.testing.assert_allclose(got.flat, want.flat, tolerance, tolerance)
    np.testing.assert_allclose(got.x, want.x, tolerance, tolerance)


def test_central_differences():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 5)), rng.normal(size=(6, 3))
    net = network(LayerNorm)
    got, theta, h = net.gradients(X, y).flat, net.flat.copy(), 1e-6
    for i in range(len(theta)):
        net.flat[i] = theta[i] + h
        above = net.loss(X, y)
        net.flat[i] = theta[i] - h
        below = net.loss(X, y)
        net.flat[i] = theta[i]
        assert got[i] == pytest.approx((above - below) / (2 * h), abs=1e-7)


def test_names_and_training():
    net = bp.Network(4, [bp.Dense(8), bp.layer("layernorm"), bp.ReLU(), bp.Dense(2)], rng=0)
    assert net.params["layernorm1.gamma"].tolist() == [1] * 8
    X = np.random.default_rng(0).normal(size=(64, 4))
    y = (X[:, 0] > 0).astype(int)
    first = net.loss(X, y)
    for _ in range(30):
        net.step(X, y, bp.Adam(0.01))
    assert net.loss(X, y) < first / 2


@pytest.mark.parametrize("eps", [0, -1, float("nan")])
def test_an_eps_that_makes_no_sense(eps):
    with pytest.raises(bp.ConfigError, match="eps: got"):
        LayerNorm(eps=eps)

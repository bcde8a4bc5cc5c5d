import numpy as np
import pytest
from fastbp_maxout import Maxout

import fastbp as bp
from fastbp.testing import parametrize_checks


class InPython(Maxout):
    """The same layer without its C body."""

    __fastbp_layer__ = property()  # hasattr says no


@parametrize_checks([*Maxout.examples(), InPython(2)])
def test_contract(check):
    check()


def network(kind, pieces, dtype="float64"):
    layers = [kind(7, pieces=pieces, name="first"), bp.Tanh(), kind(3, pieces=pieces)]
    net = bp.Network(5, layers, loss="squared_error", dtype=dtype, rng=0)
    net.flat[:] += np.random.default_rng(1).normal(scale=0.1, size=net.flat.shape)
    return net


def test_numbers():
    net = bp.Network(2, [Maxout(2, pieces=2)], loss="squared_error", dtype="float64")
    net.params["maxout1.W"][...] = [[1, 0], [0, 1], [1, 1], [-1, -1]]
    net.params["maxout1.b"][...] = [0, 0.5, 0, 0]
    X = np.array([[3.0, 1.0], [-1.0, -3.0]])
    np.testing.assert_array_equal(net.forward(X), [[3, 4], [-1, 4]])
    g = net.gradients(X[:1], np.zeros((1, 2)), input_gradient=True)
    np.testing.assert_array_equal(g["maxout1.W"], [[9, 3], [0, 0], [12, 4], [0, 0]])
    np.testing.assert_array_equal(g["maxout1.b"], [3, 0, 4, 0])
    np.testing.assert_array_equal(g.x, [[7, 4]])


def test_nan_stays_nan_and_the_first_of_equals_wins():
    net = bp.Network(1, [Maxout(1, pieces=3)], loss="squared_error", dtype="float64")
    net.params["maxout1.W"][...] = [[1], [1], [0]]
    assert np.isnan(net.forward([[np.nan]])).all()
    assert net.gradients([[2.0]], [0.0])["maxout1.b"].tolist() == [2, 0, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pieces", [1, 2, 5])
@pytest.mark.parametrize("batch", [1, 33])
def test_c_and_python_agree(dtype, pieces, batch):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(batch, 5)), rng.normal(size=(batch, 3))
    in_c, in_python = network(Maxout, pieces, dtype), network(InPython, pieces, dtype)
    got = in_c.gradients(X, y, input_gradient=True)
    want = in_python.gradients(X, y, input_gradient=True)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(in_c.forward(X), in_python.forward(X), tolerance, tolerance)
    np.testing.assert_allclose(got.flat, want.flat, tolerance, tolerance)
    np.testing.assert_allclose(got.x, want.x, tolerance, tolerance)


def test_learns_the_absolute_value():
    net = bp.Network(1, [bp.layer("maxout", units=1, pieces=2)], loss="squared_error", rng=0)
    X = np.linspace(-1, 1, 64)[:, None]
    for _ in range(300):
        net.step(X, np.abs(X), bp.Adam(0.03))
    assert net.loss(X, np.abs(X)) < 1e-3


@pytest.mark.parametrize("arguments", [(0,), (2.5,), (True,), (3, 0), (3, "2")])
def test_arguments_that_make_no_sense(arguments):
    with pytest.raises(bp.ConfigError, match="wanted a whole number"):
        Maxout(*arguments)

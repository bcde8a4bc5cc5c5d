"""One body at a time: both kinds give the same, arguments are checked, failures are told."""

import doctest

import numpy as np
import pytest

import fastbp as bp
from fastbp.kernels import bodies
from fastbp.kernels.bodies import LayerBody, LossBody
from fastbp.layers import Context, Elementwise


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [bp.Dense(3), bp.Dense(3, bias=False), bp.ReLU(), bp.Tanh()])
def test_c_and_python_body_agree(layer, dtype, relative_error):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 4)).astype(dtype)
    results = []
    for python in (False, True):
        body = LayerBody(layer, 4, dtype, python)
        assert body.python is python
        assert (body.flags != 0) is not python
        params = {k: np.full(shape, 0.5, dtype) for k, shape in body.spec.params.items()}
        grads = {k: np.full(shape, np.nan, dtype) for k, shape in body.spec.params.items()}
        y, dx = np.empty((6, body.spec.n_out), dtype), np.empty_like(x)
        body.forward(params, x, y, Context())
        body.backward(params, x, y, np.cos(y), dx, grads, Context())
        results.append([y, dx, *grads.values()])
    for got, want in zip(*results, strict=True):
        assert relative_error(got, want) < 1e-6


@pytest.mark.parametrize("python", [False, True])
def test_df_and_backward_are_called_apart(python):
    body = LayerBody(bp.Tanh(), 2, "float64", python)
    assert body.has_df
    x, y, slope, dx = np.array([[0.0, 1.0]]), *(np.empty((1, 2)) for _ in range(3))
    body.forward({}, x, y, Context())
    body.df(x, y, slope)
    np.testing.assert_allclose(slope, 1 - np.tanh(x) ** 2)
    body.backward({}, x, y, np.array([[2.0, 3.0]]), dx, {}, Context())
    np.testing.assert_allclose(dx, slope * [[2.0, 3.0]])


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (bp.SoftmaxCrossEntropy(), np.array([0, 2])),
        (bp.SoftmaxCrossEntropy(), np.array([[0.0, 1, 0], [0.5, 0.25, 0.25]])),
        (bp.SigmoidCrossEntropy(), np.array([[0.0, 1, 0], [1, 1, 0]])),
        (bp.SquaredError(), np.array([[0.0, 1, 0], [1, 1, 0]])),
    ],
)
def test_losses(loss, targets, python):
    a = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
    body, delta, want = LossBody(loss, 3, "float64", python), np.empty((2, 3)), np.empty((2, 3))
    got = body.loss_and_delta(a, targets, delta)
    np.testing.assert_allclose(got, loss.loss_and_delta(a, targets, want))
    np.testing.assert_allclose(delta, want)
    hat, expected = np.empty((2, 3)), np.empty((2, 3))
    body.y_hat(a, hat)
    loss.y_hat(a, expected)
    np.testing.assert_array_equal(hat, expected)


def test_arrays_that_do_not_fit_are_refused():
    body = LayerBody(bp.Dense(3), 2, "float64")
    x, y = np.zeros((4, 2)), np.zeros((4, 3))
    params = {"W": np.zeros((3, 2)), "b": np.zeros(3)}
    for bad in (x[:3], x.astype("f"), np.zeros((4, 4))[:, ::2], np.zeros((4, 3))):
        with pytest.raises(bp.FastbpError):
            body.backward(params, x, y, y, bad, {k: v.copy() for k, v in params.items()}, Context())
    with pytest.raises(bp.ShapeError):
        body.forward(params | {"b": np.zeros(4)}, x, y, Context())
    loss = LossBody(bp.SquaredError(), 3, "float64")
    with pytest.raises(bp.ShapeError):
        loss.loss_and_delta(y, y, y[:3].copy())
    for bad in (y[:3], y.astype("f"), np.zeros((4, 2)), np.zeros((4, 6))[:, ::2]):
        with pytest.raises(bp.FastbpError):
            loss.loss_and_delta(y, bad, None)


def test_df_of_a_layer_without_one():
    body = LayerBody(bp.Dense(3), 2, "float64")
    assert not body.has_df
    with pytest.raises(bp.ConfigError, match="Dense: has no function df"):
        body.df(np.zeros((1, 2)), np.zeros((1, 3)), np.zeros((1, 2)))


def test_a_python_body_raises_what_it_raises():
    class Fails(Elementwise):
        def f(self, x, y):
            raise ZeroDivisionError("no luck")

    with pytest.raises(ZeroDivisionError, match="no luck"):
        LayerBody(Fails(), 1, "float32").forward({}, *np.zeros((2, 1, 1), "f"), Context())


def test_the_examples_in_the_docstrings():
    done = doctest.testmod(bodies)
    assert done.attempted > 5
    assert done.failed == 0

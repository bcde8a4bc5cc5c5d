"""Squared error as a part: E10."""

import numpy as np
import pytest

import fastbp as bp
from fastbp import reference

DTYPES = ["float32", "float64"]
BOUND = {"float32": 1e-6, "float64": 1e-14}
LOSS = bp.SquaredError()


@pytest.fixture(params=DTYPES)
def a(request):
    return np.random.default_rng(0).normal(size=(8, 4)).astype(request.param)


@pytest.fixture
def t(a):
    return np.random.default_rng(1).normal(size=a.shape).astype(a.dtype)


def test_loss_and_delta_of_single_examples(a, t, relative_error):
    delta = np.full_like(a, np.nan)
    losses = LOSS.loss_and_delta(a, t, delta)
    assert losses.dtype == np.float64
    a_, t_, bound = a.astype(np.longdouble), t.astype(np.longdouble), BOUND[a.dtype.name]
    assert relative_error(losses, reference.squared_error(a_, t_)) < bound  # E10
    assert relative_error(delta, a_ - t_) < bound
    np.testing.assert_array_equal(LOSS.loss_and_delta(a, t, None), losses)


def test_it_is_half_the_sum_of_squares_and_no_mean():
    assert LOSS.loss_and_delta(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]), None) == 2.5


def test_y_hat_is_the_output_itself(a, t):
    y_hat, gradient = np.full_like(a, np.nan), np.full_like(a, np.nan)
    LOSS.y_hat(a, y_hat)
    np.testing.assert_array_equal(y_hat, a)
    LOSS.y_hat_gradient(y_hat, t, gradient)
    np.testing.assert_array_equal(gradient, a - t)


def test_it_decides_on_values_and_knows_no_right_or_wrong():
    values = np.array([[0.2], [3.0]])
    np.testing.assert_array_equal(LOSS.decide(values), [0.2, 3.0])  # (batch,) for one output
    assert LOSS.decide(np.ones((2, 3))).shape == (2, 3)
    assert LOSS.correct(values, values) is None
    assert not LOSS.probabilities


def test_targets():
    f32 = np.dtype("float32")
    assert LOSS.check_targets(np.array([1, 2]), 1, f32).tolist() == [[1.0], [2.0]]
    assert LOSS.check_targets(np.array([[True, False]]), 2, f32).dtype == f32
    for y, n_out, words in [
        (np.ones(4), 2, r"y: got shape \(4,\); wanted \(4, 2\)$"),  # never broadcast
        (np.ones((4, 1)), 2, r"y: got shape \(4, 1\); wanted \(4, 2\)$"),
        (np.ones((4, 2)), 1, r"y: got shape \(4, 2\); wanted \(4, 1\) or \(4,\)$"),
    ]:
        with pytest.raises(bp.ShapeError, match=words):
            LOSS.check_targets(y, n_out, f32)
    with pytest.raises(
        bp.NonFiniteError, match=r"y: got 1e\+39 at row 0, column 1, which overflow"
    ):
        LOSS.check_targets(np.array([[0.0, 1e39]]), 2, f32)


def test_in_a_network():
    net = bp.mlp([2, 1], loss="squared_error", dtype="float64", rng=0)
    net.flat[:] = [1.0, 2.0, 0.5]
    X = np.array([[0.0, 0.0], [1.0, 1.0]])
    assert net.predict(X).tolist() == [0.5, 3.5]
    assert net.loss(X, [0.5, 1.5]) == 1.0  # the mean of 0 and ½ 2²
    assert net.loss(X, [[0.5], [1.5]], reduction="sum") == 2.0
    with pytest.raises(bp.ConfigError, match=r"predict_proba: SquaredError\(\) makes no prob"):
        net.predict_proba(X)

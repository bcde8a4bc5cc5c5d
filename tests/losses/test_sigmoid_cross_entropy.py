"""Sigmoid cross-entropy as a part: one yes-or-no question per output."""

import numpy as np
import pytest

import fastbp as bp
from fastbp import reference

DTYPES = ["float32", "float64"]
BOUND = {"float32": 1e-6, "float64": 1e-14}
LOSS = bp.SigmoidCrossEntropy()


@pytest.fixture(params=DTYPES)
def a(request):
    return np.random.default_rng(0).normal(scale=2, size=(8, 4)).astype(request.param)


@pytest.fixture
def t(a):
    return np.random.default_rng(1).choice([0.0, 1.0, 0.3], a.shape).astype(a.dtype)


def test_loss_and_delta_of_single_examples(a, t, relative_error):
    delta = np.full_like(a, np.nan)
    losses = LOSS.loss_and_delta(a, t, delta)
    assert losses.dtype == np.float64
    a_, t_, bound = a.astype(np.longdouble), t.astype(np.longdouble), BOUND[a.dtype.name]
    assert relative_error(losses, reference.sigmoid_cross_entropy(a_, t_)) < bound
    assert relative_error(delta, reference.sigmoid_cross_entropy_backward(a_, t_)) < bound
    np.testing.assert_array_equal(LOSS.loss_and_delta(a, t, None), losses)


def test_y_hat_and_its_gradient(a, t, relative_error):
    y_hat, gradient = np.full_like(a, np.nan), np.full_like(a, np.nan)
    LOSS.y_hat(a, y_hat)
    bound = BOUND[a.dtype.name]
    assert relative_error(y_hat, reference.sigmoid_forward(a.astype(np.longdouble))) < bound
    LOSS.y_hat_gradient(a, t, gradient)
    exact = reference.sigmoid_forward(a.astype(np.longdouble))
    want = reference.sigmoid_cross_entropy_dy_hat(exact, t.astype(np.longdouble))
    assert relative_error(gradient, want) < bound
    assert LOSS.probabilities


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_of_y_hat_at_its_ends(dtype):
    a = np.array([[-1e3, -1e3, 1e3, 1e3]], dtype)  # y_hat is 0, 0, 1, 1
    t, gradient = np.array([[0, 1, 1, 0]], dtype), np.full((1, 4), np.nan, dtype)
    LOSS.y_hat_gradient(a, t, gradient)
    np.testing.assert_array_equal(gradient, [[1, -np.inf, -1, np.inf]])  # 0/0 counts as 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_of_y_hat_keeps_its_digits_near_1(dtype):
    a = np.array([[25.0, 30.0]], dtype)  # 1 - y_hat is lost in the rounding of y_hat
    gradient = np.empty_like(a)
    LOSS.y_hat_gradient(a, np.zeros_like(a), gradient)
    np.testing.assert_allclose(gradient, 1 + np.exp([[25.0, 30.0]]), rtol=1e-6)


def test_decide_and_correct():
    one = np.array([[0.2], [0.5], [0.7]])
    np.testing.assert_array_equal(LOSS.decide(one), [0, 0, 1])
    assert LOSS.decide(one).dtype == np.int64
    t = np.array([[0.0], [0.0], [0.0]])
    np.testing.assert_array_equal(LOSS.correct(one, t), [True, True, False])
    many = np.array([[0.2, 0.9], [0.6, 0.6]])
    np.testing.assert_array_equal(LOSS.decide(many), [[0, 1], [1, 1]])
    # a row is right when all of its labels are
    np.testing.assert_array_equal(LOSS.correct(many, np.array([[0.0, 1], [1, 0]])), [True, False])


def test_targets():
    f32 = np.dtype("float32")
    t = LOSS.check_targets(np.array([0, 1, 1]), 1, f32)  # (batch,) will do for one output
    assert (t.shape, t.dtype) == ((3, 1), f32)
    assert LOSS.check_targets(np.array([True, False]), 1, f32).tolist() == [[1.0], [0.0]]
    for y, error, words in [
        (np.array([[0.0, 1.5]]), bp.LabelError, r"y: got 1\.5 at row 0, column 1; wanted labels"),
        (np.array([[-1.0, 1.0]]), bp.LabelError, r"y: got -1\.0 at row 0, column 0"),
        (np.array([0, 1]), bp.ShapeError, r"y: got shape \(2,\); wanted \(2, 2\)$"),
        (np.ones((2, 1)), bp.ShapeError, r"y: got shape \(2, 1\); wanted \(2, 2\)$"),
    ]:
        with pytest.raises(error, match=words):
            LOSS.check_targets(y, 2, f32)


def test_in_a_network():
    net = bp.mlp([2, 1], loss=LOSS, dtype="float64", rng=0)
    net.flat[:] = [1.0, 0.0, -1.0]
    X = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
    np.testing.assert_allclose(net.predict_proba(X)[:, 0], 1 / (1 + np.exp([1.0, 0.0, -2.0])))
    assert net.predict(X).tolist() == [0, 0, 1]
    assert net.predict(X).dtype == np.int64
    several = bp.mlp([2, 3], loss="sigmoid_cross_entropy", rng=0)
    assert several.predict(X).shape == (3, 3)

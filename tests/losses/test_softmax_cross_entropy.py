"""Softmax cross-entropy as a part: E3, E4 and E5, classes or rows, and what is decided."""

import numpy as np
import pytest

import fastbp as bp
from fastbp import reference

DTYPES = ["float32", "float64"]
BOUND = {"float32": 1e-6, "float64": 1e-14}
LOSS = bp.SoftmaxCrossEntropy()


@pytest.fixture(params=DTYPES)
def a(request):
    return np.random.default_rng(0).normal(scale=2, size=(8, 4)).astype(request.param)


@pytest.fixture(params=["classes", "rows"])
def targets(request, a):
    rng = np.random.default_rng(1)
    if request.param == "classes":
        return rng.integers(0, 4, len(a))
    rows = rng.dirichlet(np.ones(4), len(a)).astype(a.dtype)
    rows[0] = [0, 1, 0, 0]
    return rows


def exact(array):
    return array.astype(np.longdouble) if array.dtype.kind == "f" else array


def test_loss_and_delta_of_single_examples(a, targets, relative_error):
    delta = np.full_like(a, np.nan)
    losses = LOSS.loss_and_delta(a, targets, delta)
    assert losses.dtype == np.float64
    bound = BOUND[a.dtype.name]
    want = reference.softmax_cross_entropy(exact(a), exact(targets))  # E3
    assert relative_error(losses, want) < bound
    want = reference.softmax_cross_entropy_backward(exact(a), exact(targets))  # E5
    assert relative_error(delta, want) < bound
    np.testing.assert_array_equal(LOSS.loss_and_delta(a, targets, None), losses)


def test_y_hat_and_its_gradient(a, targets, relative_error):
    y_hat, gradient = np.full_like(a, np.nan), np.full_like(a, np.nan)
    LOSS.y_hat(a, y_hat)
    assert relative_error(y_hat, reference.softmax(exact(a))) < BOUND[a.dtype.name]
    LOSS.y_hat_gradient(a, targets, gradient)
    want = reference.softmax_cross_entropy_dy_hat(reference.softmax(exact(a)), exact(targets))  # E4
    assert relative_error(gradient, want) < BOUND[a.dtype.name]
    assert LOSS.probabilities


def test_e4_has_one_entry_per_row_and_no_negative_zeros():
    gradient = np.full((1, 3), np.nan)
    LOSS.y_hat_gradient(np.log([[1.0, 2.0, 1.0]]), np.array([1]), gradient)
    np.testing.assert_allclose(gradient, [[0, -2, 0]], rtol=1e-15)
    assert not np.signbit(gradient[0, [0, 2]]).any()


def test_decide_and_correct():
    y_hat = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.4, 0.4, 0.2]])
    classes = LOSS.decide(y_hat)
    assert classes.dtype == np.int64
    np.testing.assert_array_equal(classes, [1, 0, 0])  # of equals the first
    np.testing.assert_array_equal(LOSS.correct(y_hat, np.array([1, 2, 0])), [True, False, True])
    rows = np.array([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9], [1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(LOSS.correct(y_hat, rows), [True, False, True])


def test_one_output_is_refused_where_the_network_is_made():
    with pytest.raises(bp.ShapeError, match="softmax_cross_entropy on 1 output; wanted 2 or more"):
        bp.mlp([3, 1])
    assert LOSS.target_width(2) == 2


def test_targets():
    f32 = np.dtype("float32")
    classes = LOSS.check_targets(np.array([0.0, 2.0, 1.0]), 3, f32)
    assert classes.dtype == np.int64
    np.testing.assert_array_equal(classes, [0, 2, 1])
    np.testing.assert_array_equal(LOSS.check_targets(np.array([True, False]), 2, f32), [1, 0])
    rows = LOSS.check_targets(np.array([[0.25, 0.75]]), 2, f32)
    assert rows.dtype == f32
    for y, error, words in [
        (np.array([0, 3]), bp.LabelError, r"y: got 3 at row 1; wanted classes 0\.\.2"),
        (np.array([0, -1]), bp.LabelError, r"y: got -1 at row 1; wanted classes 0\.\.2"),
        (np.array([0.5, 0]), bp.LabelError, r"y: got 0\.5 at row 0; wanted whole numbers 0\.\.2"),
        (np.array([[0], [1]]), bp.ShapeError, r"y: got shape \(2, 1\).*pass y\.ravel\(\)"),
        (np.eye(2), bp.ShapeError, r"y: got shape \(2, 2\); wanted \(2,\) or \(2, 3\)"),
        (np.ones((2, 3)), bp.LabelError, r"at row 0, which sums to 3;.*sigmoid_cross_entropy"),
    ]:
        with pytest.raises(error, match=words):
            LOSS.check_targets(y, 3, f32)
    with pytest.raises(bp.LabelError, match="y: got 7 at row 40; wanted classes"):
        LOSS.check_targets(np.array([0, 7]), 3, f32, rows=np.array([30, 40]))


def test_in_a_network():
    net = bp.mlp([2, 3], dtype="float64", rng=0)
    net.flat[:] = 0
    X = np.ones((2, 2))
    assert net.loss(X, [0, 2]) == pytest.approx(np.log(3), rel=1e-15)
    np.testing.assert_allclose(net.predict_proba(X), np.full((2, 3), 1 / 3), rtol=1e-15)
    assert net.predict(X).tolist() == [0, 0]
    assert net.predict(X).dtype == np.int64

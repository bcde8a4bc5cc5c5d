"""E3 and E5 against other forms of them in long double, and at the ends of the number range."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbp.errors import ShapeError
from fastbp.kernels import softmax, softmax_cross_entropy

LARGE = {np.float32: 3e38, np.float64: 1e308}


def exact(a, row):
    """Loss and delta for a probability row, from y_hat_j = 1 / Σ_i exp(a_i - a_j)."""
    a, p = a.astype(np.longdouble), row.astype(np.longdouble)
    inverse = np.exp(a[None, :] - a[:, None]).sum(1)
    y_hat = 1 / inverse
    np.fill_diagonal(others := np.exp(a[None, :] - a[:, None]), 0)
    pairs = y_hat[:, None] * p[None, :] - p[:, None] * y_hat[None, :]
    np.fill_diagonal(pairs, 0)
    return (p * np.log1p(others.sum(1))).sum(), pairs.sum(1), y_hat


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.sampled_from([1e-3, 1.0, 30.0]), st.integers(0))
@pytest.mark.parametrize("float_type", [np.float32, np.float64])
def test_classes(within, float_type, batch, n, spread, seed):
    rng = np.random.default_rng(seed)
    a = (spread * rng.standard_normal((batch, n))).astype(float_type)
    labels = rng.integers(0, n, batch)
    delta = np.full((batch, n), np.nan, float_type)
    loss = softmax_cross_entropy(a, labels, delta)
    assert loss.dtype == np.float64
    eps, tiny = np.finfo(float_type).eps, 2 * np.finfo(float_type).smallest_subnormal
    for i in range(batch):
        want_loss, want_delta, want_y_hat = exact(a[i], np.eye(n)[labels[i]])
        within(loss[i], want_loss, 1e-13 * want_loss)
        # relative, entry by entry: nothing cancels
        within(delta[i], want_delta, (4 * eps + 1e-13) * abs(want_delta) + tiny)
        within(softmax(a[i : i + 1])[0], want_y_hat, (4 * eps + 1e-13) * want_y_hat + tiny)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.sampled_from([1e-3, 1.0, 30.0]), st.integers(0))
@pytest.mark.parametrize("float_type", [np.float32, np.float64])
def test_rows(within, float_type, batch, n, spread, seed):
    rng = np.random.default_rng(seed)
    a = (spread * rng.standard_normal((batch, n))).astype(float_type)
    p = (rng.dirichlet(np.full(n, 0.3), batch) * rng.choice([1.0, 0.9])).astype(float_type)
    p[0] *= rng.random(n) > 0.3  # also rows that do not sum to 1
    delta = np.full((batch, n), np.nan, float_type)
    loss = softmax_cross_entropy(a, p, delta)
    eps, tiny = np.finfo(float_type).eps, 2 * np.finfo(float_type).smallest_subnormal
    for i in range(batch):
        want_loss, want_delta, y_hat = exact(a[i], p[i])
        within(loss[i], want_loss, 1e-13 * want_loss)
        size = y_hat * p[i].sum() + p[i]
        within(delta[i], want_delta, (4 * eps + 1e-13) * size + tiny)


def test_one_hot_rows_are_classes(dtype, rng):
    a = (20 * rng.standard_normal((50, 7))).astype(dtype)
    labels = rng.integers(0, 7, 50)
    one, two = np.empty_like(a), np.empty_like(a)
    loss = softmax_cross_entropy(a, labels, one)
    same = softmax_cross_entropy(a, np.eye(7, dtype=dtype)[labels], two)
    np.testing.assert_allclose(same, loss, rtol=1e-15, atol=0)
    np.testing.assert_allclose(two, one, rtol=2 * np.finfo(dtype).eps, atol=0)


def test_delta_is_the_gradient_of_the_loss(rng):
    a, p = rng.standard_normal((4, 5)), rng.dirichlet(np.ones(5), 4)
    for targets in (np.array([0, 4, 2, 2]), p):
        delta = np.empty_like(a)
        softmax_cross_entropy(a, targets, delta)
        want, step = np.empty_like(a), 1e-3
        for j in range(5):
            shift = step * np.eye(5)[j]
            ahead = [softmax_cross_entropy(a + k * shift, targets) for k in (-2, -1, 1, 2)]
            want[:, j] = (ahead[0] - 8 * ahead[1] + 8 * ahead[2] - ahead[3]) / (12 * step)
        np.testing.assert_allclose(delta, want, rtol=0, atol=1e-11)


def test_against_scipy(rng):
    a, labels = 5 * rng.standard_normal((30, 9)), rng.integers(0, 9, 30)
    np.testing.assert_allclose(softmax(a), scipy.special.softmax(a, axis=1), rtol=1e-14)
    want = -scipy.special.log_softmax(a, axis=1)[np.arange(30), labels]
    np.testing.assert_allclose(softmax_cross_entropy(a, labels), want, rtol=1e-13)


def test_a_sure_and_right_answer_keeps_its_small_loss(dtype):
    # y_hat_0 rounds to 1: 1 - y_hat_0 and log y_hat_0 would be 0
    a, want = np.array([[50, 0, 0]], dtype), 2 * np.exp(-50.0)
    for targets in (np.array([0]), np.array([[1, 0, 0]], dtype)):
        delta = np.empty_like(a)
        np.testing.assert_allclose(softmax_cross_entropy(a, targets, delta), want, rtol=1e-14)
        np.testing.assert_allclose(delta, [[-want, want / 2, want / 2]], rtol=1e-6)


def test_a_nearly_sure_target_keeps_its_small_rest(dtype):
    # Σp - p_0 and Σy_hat - y_hat_0 would both be 0
    a, p, delta = (
        np.array([[0, -60]], dtype),
        np.array([[1, 1e-20]], dtype),
        np.empty((1, 2), dtype),
    )
    softmax_cross_entropy(a, p, delta)
    want = np.exp(-60.0) - float(p[0, 1])
    np.testing.assert_allclose(delta, [[-want, want]], rtol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_ends_of_the_range(dtype, sign):
    big = LARGE[dtype.type] * sign
    a = np.array([[big, -big], [big, -big], [big, big], [-big, 0]], dtype)
    right, wrong = (0, 1) if sign == 1 else (1, 0)
    labels = np.array([right, wrong, 0, int(sign == 1)])
    delta = np.empty_like(a)
    loss = softmax_cross_entropy(a, labels, delta)
    true = 2 * abs(float(a[0, 0]))  # in float64 beyond double's range
    np.testing.assert_array_equal(loss, [0, true, np.log(2), 0])
    step = np.array([1, -1]) * (1 if wrong else -1)
    np.testing.assert_array_equal(delta, [[0, 0], step, [-0.5, 0.5], [0, 0]])
    np.testing.assert_array_equal(softmax(a)[0], np.eye(2)[right])


def test_loss_is_finite_as_long_as_its_true_value_is():
    labels = np.array([1])
    a = np.array([[0.8e308, -0.8e308]])
    np.testing.assert_array_equal(softmax_cross_entropy(a, labels), [1.6e308])
    # the difference of these overflows, half of it does not
    a = np.array([[1e308, -1e308]])
    np.testing.assert_array_equal(softmax_cross_entropy(a, labels), [np.inf])
    for weight, want in ((0.5, 1e308), (0.125, 0.25e308), (0.0, 0.0)):
        delta, p = np.empty_like(a), np.array([[1 - weight, weight]])
        np.testing.assert_array_equal(softmax_cross_entropy(a, p, delta), [want])
        np.testing.assert_array_equal(delta, [[weight, -weight]])
    p = np.full((1, 4), 0.25)
    a = np.array([[1e308, -1e308, -1e308, -1e308]])
    np.testing.assert_allclose(softmax_cross_entropy(a, p), [1.5e308], rtol=1e-15)


def test_minus_infinity_is_probability_0(dtype):
    a = np.array([[0, -np.inf, np.log(3)]] * 2, dtype)
    delta = np.empty_like(a)
    loss = softmax_cross_entropy(a, np.array([0, 1]), delta)
    np.testing.assert_allclose(loss, [np.log(4), np.inf], rtol=1e-7)
    np.testing.assert_allclose(delta, [[-0.75, 0, 0.75], [0.25, -1, 0.75]], rtol=1e-6)
    p = np.array([[0.5, 0, 0.5], [0.5, 0.25, 0.25]], dtype)
    loss = softmax_cross_entropy(a, p, delta)
    np.testing.assert_allclose(loss, [np.log(4) - np.log(3) / 2, np.inf], rtol=1e-7)
    np.testing.assert_allclose(delta, [[-0.25, 0, 0.25], [-0.25, -0.25, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(softmax(a)[0], [0.25, 0, 0.75], rtol=1e-6)


@pytest.mark.parametrize("bad", [[np.inf, 0], [0, np.inf], [np.nan, 0], [0, np.nan]])
@pytest.mark.parametrize("label", [0, 1])
def test_a_row_without_softmax_is_nan_and_leaves_its_neighbours_alone(bad, label, dtype):
    for row in (bad, [-np.inf, -np.inf], [np.inf, -np.inf], [np.inf, np.inf]):
        a = np.array([[1, 2], row, [1, 2]], dtype)
        labels = np.array([0, label, 0])
        for targets in (labels, np.eye(2, dtype=dtype)[labels]):
            delta = np.zeros_like(a)
            loss = softmax_cross_entropy(a, targets, delta)
            assert np.isnan(loss[1])
            assert np.isnan(delta[1]).all()
            assert np.isfinite(loss[[0, 2]]).all()
            assert np.isfinite(delta[[0, 2]]).all()
        assert np.isnan(softmax(a)[1]).all()


def test_rows_of_a_batch_do_not_depend_on_each_other(dtype, rng):
    a, labels = rng.standard_normal((9, 11)).astype(dtype), rng.integers(0, 11, 9)
    p, delta = rng.dirichlet(np.ones(11), 9).astype(dtype), np.empty_like(a)
    for targets in (labels, p):
        loss = softmax_cross_entropy(a, targets, delta)
        for i in range(9):
            alone = np.empty((1, 11), dtype)
            assert softmax_cross_entropy(a[i : i + 1], targets[i : i + 1], alone) == loss[i]
            np.testing.assert_array_equal(alone[0], delta[i])


def test_empty_batch_one_class_and_no_class(dtype):
    none = np.empty((0, 3), dtype)
    assert softmax(none).shape == (0, 3)
    for targets in (np.empty(0, np.int64), none):
        assert softmax_cross_entropy(none, targets, none.copy()).shape == (0,)
    a, delta = np.array([[5], [-7]], dtype), np.empty((2, 1), dtype)
    np.testing.assert_array_equal(softmax(a), [[1], [1]])
    np.testing.assert_array_equal(softmax_cross_entropy(a, np.array([0, 0]), delta), [0, 0])
    np.testing.assert_array_equal(delta, [[0], [0]])
    for call in (softmax, lambda a: softmax_cross_entropy(a, np.zeros(2, np.int64))):
        with pytest.raises(ShapeError, match=r"^a: got shape \(2, 0\); wanted at least one class"):
            call(np.empty((2, 0), dtype))


@pytest.mark.parametrize("n", [1, 3, 10, 31, 1023, 1024, 1025, 2500])
def test_rows_in_any_block_have_the_same_bits(dtype, rng, n):
    batch = 131 if n < 100 else 3
    a = (5 * rng.standard_normal((batch, n))).astype(dtype)
    labels = rng.integers(0, n, batch)
    labels[0] = n - 1
    for targets in (labels, rng.dirichlet(np.ones(n), batch).astype(dtype)):
        delta, y_hat = np.empty_like(a), softmax(a)
        loss = softmax_cross_entropy(a, targets, delta)
        for first, last in ((0, 1), (1, 3), (0, 63), (2, 67), (5, 131)):
            part = slice(first, last)
            some = np.empty_like(a[part])
            np.testing.assert_array_equal(
                softmax_cross_entropy(a[part], targets[part], some), loss[part]
            )
            np.testing.assert_array_equal(some, delta[part])
            np.testing.assert_array_equal(softmax(a[part]), y_hat[part])


@pytest.mark.parametrize("n", [1024, 1025, 2500])
def test_long_rows(within, dtype, rng, n):
    a, p = (
        (3 * rng.standard_normal((2, n))).astype(dtype),
        rng.dirichlet(np.ones(n), 2).astype(dtype),
    )
    wide, labels = a.astype(np.longdouble), np.array([n - 1, 0])
    y_hat = np.exp(wide) / np.exp(wide).sum(1, keepdims=True)
    delta, eps = np.empty_like(a), np.finfo(dtype).eps
    for targets, q in ((labels, np.eye(n, dtype=np.longdouble)[labels]), (p, p)):
        q = q.astype(np.longdouble)
        loss = softmax_cross_entropy(a, targets, delta)
        within(loss, -(q * np.log(y_hat)).sum(1), 1e-13 * np.log(n))
        within(delta, y_hat * q.sum(1, keepdims=True) - q, (4 * eps + 1e-13) * (y_hat + q))
    within(softmax(a), y_hat, (4 * eps + 1e-13) * y_hat)

"""Sigmoid cross-entropy against its definition in long double, and at the ends of the range."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbp.kernels import sigmoid_cross_entropy, softmax_cross_entropy

LARGE = {np.float32: 3e38, np.float64: 1e308}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 6), st.integers(0, 9), st.sampled_from([1e-3, 1.0, 30.0]), st.integers(0))
@pytest.mark.parametrize("float_type", [np.float32, np.float64])
def test_loss_and_delta(within, float_type, batch, n, spread, seed):
    rng = np.random.default_rng(seed)
    a = (spread * rng.standard_normal((batch, n))).astype(float_type)
    t = rng.choice([0, 1, 0.25, 1e-6, 1 - 1e-6], (batch, n)).astype(float_type)
    delta = np.full((batch, n), np.nan, float_type)
    loss = sigmoid_cross_entropy(a, t, delta)
    assert loss.dtype == np.float64
    wide, part = a.astype(np.longdouble), t.astype(np.longdouble)
    terms = part * np.log1p(np.exp(-wide)) + (1 - part) * np.log1p(np.exp(wide))
    within(loss, terms.sum(1), 1e-13 * terms.sum(1))
    yes, no = 1 / (1 + np.exp(-wide)), 1 / (1 + np.exp(wide))
    want = np.where(t == 0, yes, np.where(t == 1, -no, yes - part))
    # relative where t is 0 or 1: nothing cancels
    size = np.where((t == 0) | (t == 1), abs(want), 1)
    limits = np.finfo(float_type)
    within(delta, want, (2 * limits.eps + 1e-13) * size + limits.smallest_subnormal)


def test_delta_is_the_gradient_of_the_loss(rng):
    a, t = rng.standard_normal((6, 1)), rng.random((6, 1))
    delta, step = np.empty_like(a), 1e-3
    sigmoid_cross_entropy(a, t, delta)
    ahead = [sigmoid_cross_entropy(a + k * step, t) for k in (-2, -1, 1, 2)]
    want = (ahead[0] - 8 * ahead[1] + 8 * ahead[2] - ahead[3]) / (12 * step)
    np.testing.assert_allclose(delta[:, 0], want, rtol=0, atol=1e-11)


def test_against_scipy_and_softmax(rng):
    a, yes = 5 * rng.standard_normal((20, 1)), rng.integers(0, 2, 20)
    t = yes[:, None].astype(float)
    delta = np.empty_like(a)
    loss = sigmoid_cross_entropy(a, t, delta)
    np.testing.assert_allclose(delta, scipy.special.expit(a) - t, rtol=0, atol=1e-15)
    pair = np.hstack([np.zeros_like(a), a])  # sigmoid(a) is softmax (0, a)
    np.testing.assert_allclose(loss, softmax_cross_entropy(pair, yes), rtol=1e-13)


def test_a_sure_and_right_answer_keeps_its_small_loss(dtype):
    a, t = np.array([[60], [-60]], dtype), np.array([[1], [0]], dtype)
    delta, small = np.empty_like(a), np.exp(-60.0)
    np.testing.assert_allclose(sigmoid_cross_entropy(a, t, delta), [small, small], rtol=1e-14)
    np.testing.assert_allclose(delta, [[-small], [small]], rtol=1e-6)


def test_the_ends_of_the_range(dtype):
    big = dtype.type(LARGE[dtype.type])
    a = np.array([[big], [big], [-big], [-big], [big]], dtype)
    t = np.array([[1], [0], [0], [1], [0.25]], dtype)
    delta = np.empty_like(a)
    loss = sigmoid_cross_entropy(a, t, delta)
    np.testing.assert_array_equal(loss, np.array([0, 1, 0, 1, 0.75]) * float(big))
    np.testing.assert_array_equal(delta[:, 0], [0, 1, 0, -1, 0.75])
    total = sigmoid_cross_entropy(np.full((1, 2), big), np.zeros((1, 2), dtype))
    np.testing.assert_array_equal(total, [2 * float(big)])  # in float64 beyond double's range


def test_infinities_and_nan(dtype):
    inf, nan = np.inf, np.nan
    a = np.array([[-inf, 0], [-inf, 0], [inf, 0], [inf, 0], [nan, 0], [0, 0]], dtype)
    t = np.array([[0, 0], [1, 0], [1, 0], [0, 0], [0, 0], [0, 0]], dtype)
    delta, half = np.empty_like(a), np.log(2)
    loss = sigmoid_cross_entropy(a, t, delta)
    np.testing.assert_allclose(loss, [half, inf, nan, nan, nan, 2 * half], rtol=1e-15)
    np.testing.assert_array_equal(delta[:, 0], [0, -1, nan, nan, nan, 0.5])
    np.testing.assert_array_equal(delta[:, 1], 0.5)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty(shape, dtype):
    none = np.empty(shape, dtype)
    np.testing.assert_array_equal(
        sigmoid_cross_entropy(none, none.copy(), none.copy()), np.zeros(shape[0])
    )

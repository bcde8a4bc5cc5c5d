"""E8 and E9: the lecture's outer product entry by entry, and sums written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastbp.kernels import bias_sum, outer_sum

# batch, n_in, n_out
SHAPES = [(1, 1, 1), (1, 5, 3), (2, 1, 1), (2, 3, 1), (7, 1, 4), (5, 9, 7), (65, 33, 17)]


def test_the_lectures_three_by_three_matrix_entry_by_entry(dtype):
    delta, h = np.array([[2, 3, 5]], dtype), np.array([[7, 11, 13]], dtype)
    want = [
        [2 * 7, 2 * 11, 2 * 13],
        [3 * 7, 3 * 11, 3 * 13],
        [5 * 7, 5 * 11, 5 * 13],
    ]
    np.testing.assert_array_equal(outer_sum(delta, h), want)


@pytest.mark.parametrize("shape", SHAPES)
def test_outer_sum_is_e8(within, shape, dtype, rng):
    batch, n_in, n_out = shape
    delta = rng.standard_normal((batch, n_out)).astype(dtype)
    h = rng.standard_normal((batch, n_in)).astype(dtype)
    terms = delta.astype(np.longdouble)[:, :, None] * h[:, None, :]
    bound = (batch + 2) * np.finfo(dtype).eps * abs(terms).sum(0)
    within(outer_sum(delta, h), terms.sum(0), bound)
    stale = np.full((n_out, n_in), np.nan, dtype)
    within(outer_sum(delta, h, out=stale), terms.sum(0), bound)


@pytest.mark.parametrize("n_out", [1, 2, 63, 64, 65, 200])
@pytest.mark.parametrize("batch", [1, 2, 33])
def test_bias_sum_is_e9_rounded_once(batch, n_out, dtype, rng):
    delta = rng.standard_normal((batch, n_out)).astype(dtype)
    exact = np.array([math.fsum(column) for column in delta.T])
    tolerance = 0 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(bias_sum(delta), exact.astype(dtype), rtol=0, atol=tolerance)


def test_bias_sum_of_many_float32_rows_is_summed_in_double():
    # a float32 sum would stop growing at 2**24
    assert bias_sum(np.ones((2**24 + 2, 1), np.float32)) == 2**24 + 2


@pytest.mark.parametrize(("n_out", "n_in"), [(3, 4), (600, 500)])
def test_empty_batch_gives_zero_gradients(n_out, n_in, dtype):
    stale = np.full((n_out, n_in), np.nan, dtype)
    none = np.empty((0, n_out), dtype)
    assert np.all(outer_sum(none, np.empty((0, n_in), dtype), out=stale) == 0)
    assert np.all(bias_sum(none, out=stale[:, :1].copy()[:, 0]) == 0)


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_width_zero(batch, dtype):
    delta, none = np.ones((batch, 3), dtype), np.ones((batch, 0), dtype)
    assert outer_sum(delta, none).shape == (3, 0)
    assert outer_sum(none, delta).shape == (0, 3)
    assert bias_sum(none).shape == (0,)

"""E10 against exact sums, and at the ends of the range."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastbp.kernels import squared_error


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (4, 1), (1, 7), (9, 33)])
def test_e10(shape, dtype, rng):
    a, t = (rng.standard_normal(shape).astype(dtype) for _ in "at")
    delta = np.full(shape, np.nan, dtype)
    loss = squared_error(a, t, delta)
    assert loss.dtype == np.float64
    want = [
        math.fsum((float(x) - float(y)) ** 2 for x, y in zip(p, q, strict=True)) / 2
        for p, q in zip(a, t, strict=True)
    ]
    np.testing.assert_allclose(loss, want, rtol=1e-14)
    np.testing.assert_array_equal(delta, a - t)


def test_half_the_square_of_a_known_distance(dtype):
    a, t = np.array([[1, 2, 3]], dtype), np.array([[1, 5, -1]], dtype)
    np.testing.assert_array_equal(squared_error(a, t), [(9 + 16) / 2])


def test_delta_is_the_gradient_of_the_loss(rng):
    a, t = rng.standard_normal((6, 1)), rng.standard_normal((6, 1))
    delta, step = np.empty_like(a), 0.5  # the loss is a parabola: any step is exact
    squared_error(a, t, delta)
    want = (squared_error(a + step, t) - squared_error(a - step, t)) / (2 * step)
    np.testing.assert_allclose(delta[:, 0], want, rtol=1e-13)


def test_the_ends_of_the_range():
    a, t = np.array([[3e38], [-3e38]], np.float32), np.array([[-3e38], [0]], np.float32)
    big = float(a[0, 0])
    np.testing.assert_allclose(squared_error(a, t), [2 * big**2, big**2 / 2], rtol=1e-15)
    # the square of the first exceeds double's range, half of it does not
    far = np.array([[1.8e154], [2e154]])
    want = [0.5 * 1.8e154 * 1.8e154, np.inf]
    np.testing.assert_allclose(squared_error(far, np.zeros((2, 1))), want, rtol=1e-15)


def test_nan_and_infinity_stay_in_their_row(dtype):
    a = np.array([[np.nan, 1], [np.inf, 1], [1, 1]], dtype)
    t = np.ones((3, 2), dtype)
    delta = np.empty_like(a)
    np.testing.assert_array_equal(squared_error(a, t, delta), [np.nan, np.inf, 0])
    np.testing.assert_array_equal(delta, [[np.nan, 0], [np.inf, 0], [0, 0]])

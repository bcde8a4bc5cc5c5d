"""E1 and E6 against sums written out, known numbers and differences."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp.kernels import dense_backward, dense_forward

# batch, n_in, n_out
SHAPES = [(1, 1, 1), (1, 7, 5), (2, 1, 3), (3, 4, 1), (5, 7, 9), (65, 33, 17), (1, 784, 10)]


def layer(rng, shape, dtype):
    batch, n_in, n_out = shape
    made = [rng.standard_normal(s).astype(dtype) for s in ((batch, n_in), (n_out, n_in), n_out)]
    return (*made, rng.standard_normal((batch, n_out)).astype(dtype))


@pytest.mark.parametrize("shape", SHAPES)
def test_forward_is_e1(within, shape, dtype, rng):
    x, W, b, _ = layer(rng, shape, dtype)
    terms = x.astype(np.longdouble)[:, None, :] * W  # W_ij x_nj at [n, i, j]
    for bias in (b, None):
        shift = 0 if bias is None else bias
        bound = (shape[1] + 4) * np.finfo(dtype).eps * (abs(terms).sum(2) + abs(shift))
        within(dense_forward(x, W, bias), terms.sum(2) + shift, bound)


@pytest.mark.parametrize("shape", SHAPES)
def test_backward_is_e6(within, shape, dtype, rng):
    _, W, _, delta = layer(rng, shape, dtype)
    terms = delta.astype(np.longdouble)[:, :, None] * W  # delta_ni W_ij at [n, i, j]
    bound = (shape[2] + 4) * np.finfo(dtype).eps * abs(terms).sum(1)
    within(dense_backward(delta, W), terms.sum(1), bound)


@pytest.mark.parametrize("shape", SHAPES)
def test_backward_is_the_gradient_of_forward(within, shape, rng):
    x, W, b, delta = layer(rng, shape, np.float64)
    dh = dense_backward(delta, W)
    step = rng.standard_normal(x.shape)  # one direction tests every entry; forward is linear
    change = (delta * (dense_forward(x + step, W, b) - dense_forward(x - step, W, b))).sum() / 2
    within((dh * step).sum(), change, 1e-12 * np.abs(dh).sum() + 1e-12 * abs(change))


def test_the_lectures_indices(dtype):
    W = np.array([[1, 2, 3], [4, 5, 6]], dtype)
    got = dense_forward(np.array([[1, 0, 0], [0, 0, 1]], dtype), W, np.array([10, 20], dtype))
    np.testing.assert_array_equal(got, [[11, 24], [13, 26]])  # b_i + W_i0, then b_i + W_i2
    np.testing.assert_array_equal(dense_backward(np.array([[0, 1]], dtype), W), [[4, 5, 6]])


def test_cs231n_affine_forward():
    # https://cs231n.github.io/assignments2024/assignment2, affine_forward; its W is (n_in, n_out)
    x = np.linspace(-0.1, 0.5, 240).reshape(2, 120)
    w = np.linspace(-0.2, 0.3, 360).reshape(120, 3)
    got = dense_forward(x, np.ascontiguousarray(w.T), np.linspace(-0.3, 0.1, 3))
    want = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
    np.testing.assert_allclose(got, want, rtol=0, atol=5e-9)


@pytest.mark.parametrize(("batch", "n"), [(0, 2), (1, 2), (2, 2), (200, 500)])
def test_no_inputs_leave_the_bias_and_no_outputs_leave_zeros(batch, n, dtype):
    b = np.arange(n).astype(dtype)
    stale = np.full((batch, n), np.nan, dtype)
    none_in, W = np.empty((batch, 0), dtype), np.empty((n, 0), dtype)
    assert np.all(dense_forward(none_in, W, b, out=stale) == b)
    stale[...] = np.nan
    assert np.all(dense_forward(none_in, W, out=stale) == 0)
    none_out = dense_forward(stale, np.empty((0, n), dtype), np.empty(0, dtype))
    assert none_out.shape == (batch, 0)
    assert np.all(dense_backward(none_out, np.empty((0, n), dtype), out=stale) == 0)


def test_empty_batch(dtype):
    W = np.ones((3, 4), dtype)
    assert dense_forward(np.empty((0, 4), dtype), W, np.ones(3, dtype)).shape == (0, 3)
    assert dense_backward(np.empty((0, 3), dtype), W).shape == (0, 4)


def test_what_out_held_does_not_matter(dtype, rng):
    for batch in (1, 3):
        x, W, _, delta = layer(rng, (batch, 4, 5), dtype)
        stale = np.full((batch, 5), np.nan, dtype)
        np.testing.assert_array_equal(dense_forward(x, W, out=stale), dense_forward(x, W))
        stale = np.full((batch, 4), np.nan, dtype)
        np.testing.assert_array_equal(dense_backward(delta, W, stale), dense_backward(delta, W))

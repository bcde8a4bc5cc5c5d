"""The BLAS gateway against sums written out, over all shapes and transposes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import cython_blas

from fastbp.errors import ConfigError, ShapeError
from fastbp.kernels import axpy, gemm, gemv, ger

SIZES = st.sampled_from([0, 1, 2, 3, 5, 8, 17])
SCALES = st.sampled_from([0.0, 1.0, -0.5, 3.0])
DTYPES = st.sampled_from([np.float32, np.float64])
few = settings(max_examples=25, deadline=None)


def draw(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def product(A, B, transposed_a=False, transposed_b=False):
    """op(A) op(B), entry by entry in long double, and the same sum over absolute values."""
    A, B = (M.astype(np.longdouble) for M in (A, B))
    A, B = A.T if transposed_a else A, B.T if transposed_b else B
    return (A[:, :, None] * B).sum(1), (np.abs(A)[:, :, None] * np.abs(B)).sum(1)


@few
@given(SIZES, SIZES, SIZES, st.booleans(), st.booleans(), SCALES, SCALES, DTYPES, st.integers(0))
def test_gemm(within, m, n, k, trans_a, trans_b, alpha, beta, dtype, seed):
    rng = np.random.default_rng(seed)
    A = draw(rng, (k, m) if trans_a else (m, k), dtype)
    B = draw(rng, (n, k) if trans_b else (k, n), dtype)
    C = draw(rng, (m, n), dtype)
    want, size = product(A, B, trans_a, trans_b)
    bound = (k + 4) * np.finfo(dtype).eps * (abs(alpha) * size + abs(beta * C))
    options = {"trans_a": trans_a, "trans_b": trans_b, "alpha": alpha}
    within(gemm(A, B, beta=beta, out=C.copy(), **options), alpha * want + beta * C, bound)
    if beta == 0:
        within(gemm(A, B, **options), alpha * want, bound)


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_gemm_transposes_each_factor(trans_a, trans_b, dtype):
    A = np.array([[1, 2, 3], [4, 5, 6]], dtype)
    B = np.array([[1, 0], [0, 2], [3, 0]], dtype)
    got = gemm(
        np.ascontiguousarray(A.T) if trans_a else A,
        np.ascontiguousarray(B.T) if trans_b else B,
        trans_a=trans_a,
        trans_b=trans_b,
    )
    np.testing.assert_array_equal(got, [[10, 4], [22, 10]])


@few
@given(SIZES, SIZES, st.booleans(), SCALES, SCALES, DTYPES, st.integers(0))
def test_gemv(within, m, n, trans, alpha, beta, dtype, seed):
    rng = np.random.default_rng(seed)
    A = draw(rng, (m, n), dtype)
    x, y = draw(rng, m if trans else n, dtype), draw(rng, n if trans else m, dtype)
    want, size = (part[:, 0] for part in product(A, x[:, None], trans))
    bound = (x.size + 4) * np.finfo(dtype).eps * (abs(alpha) * size + abs(beta * y))
    got = gemv(A, x, trans=trans, alpha=alpha, beta=beta, out=y.copy())
    within(got, alpha * want + beta * y, bound)
    if beta == 0:
        within(gemv(A, x, trans=trans, alpha=alpha), alpha * want, bound)


@few
@given(SIZES, SIZES, SCALES, DTYPES, st.integers(0))
def test_ger(within, m, n, alpha, dtype, seed):
    rng = np.random.default_rng(seed)
    x, y, A = draw(rng, m, dtype), draw(rng, n, dtype), draw(rng, (m, n), dtype)
    term = np.longdouble(alpha) * x[:, None] * y.astype(np.longdouble)
    bound = 4 * np.finfo(dtype).eps * (abs(term) + abs(A))
    within(ger(x, y, alpha=alpha, out=A.copy()), A + term, bound)


@few
@given(SIZES, SCALES, DTYPES, st.integers(0))
def test_axpy(within, n, alpha, dtype, seed):
    rng = np.random.default_rng(seed)
    x, y = draw(rng, n, dtype), draw(rng, n, dtype)
    term = np.longdouble(alpha) * x
    bound = 2 * np.finfo(dtype).eps * (abs(term) + abs(y))
    within(axpy(x, y.copy(), alpha=alpha), y + term, bound)


@pytest.mark.parametrize("k", [0, 1, 3])
def test_what_out_held_is_not_read_when_beta_is_0(k, dtype):
    A, B = np.ones((2, k), dtype), np.ones((k, 4), dtype)
    np.testing.assert_array_equal(
        gemm(A, B, out=np.full((2, 4), np.nan, dtype)), np.full((2, 4), k)
    )
    for trans in (False, True):
        out = np.full(2, np.nan, dtype)
        M = np.ones((k, 2) if trans else (2, k), dtype)
        np.testing.assert_array_equal(gemv(M, np.ones(k, dtype), trans=trans, out=out), [k, k])


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_an_empty_sum_scales_out(beta, dtype):
    out = np.full((2, 3), 4, dtype)
    gemm(np.empty((2, 0), dtype), np.empty((0, 3), dtype), beta=beta, out=out)
    assert np.all(out == 4 * beta)
    out = np.full(2, 4, dtype)
    gemv(np.empty((2, 0), dtype), np.empty(0, dtype), beta=beta, out=out)
    assert np.all(out == 4 * beta)


def test_beta_without_out_is_refused(dtype):
    A = np.ones((2, 2), dtype)
    with pytest.raises(ConfigError, match=r"^beta: got 2\.0 without out"):
        gemm(A, A, beta=2.0)
    with pytest.raises(ConfigError, match=r"^beta: got 0\.5 without out"):
        gemv(A, A[0], beta=0.5)


def test_a_long_sum_stays_within_blas_accuracy(within, dtype, rng):
    x, y = draw(rng, (1, 4001), dtype), draw(rng, (4001, 1), dtype)
    terms = x[0].astype(np.float64) * y[:, 0]
    want, bound = math.fsum(terms), 4001 * np.finfo(dtype).eps * math.fsum(abs(terms))
    within(gemm(x, y), [[want]], bound)


BLAS_INT_IS_32_BITS = " int *," in repr(cython_blas.__pyx_capi__["dgemm"])


@pytest.mark.skipif(not BLAS_INT_IS_32_BITS, reason="this SciPy's BLAS counts with 64 bits")
def test_an_axis_that_blas_cannot_count_is_refused(dtype):
    # an array without entries may be as long as it likes
    long, empty = np.empty((2**31, 0), dtype), np.empty((0, 3), dtype)
    wanted = r"^A: got shape \(2147483648, 0\); wanted axes that BLAS can count \(32-bit integers\)"
    with pytest.raises(ShapeError, match=wanted):
        gemm(long, empty)
    with pytest.raises(ShapeError, match=wanted):
        gemv(long, empty[:, 0].copy())
    with pytest.raises(ShapeError, match=r"^B: got shape \(0, 2147483648\)"):
        gemm(np.empty((3, 0), dtype), np.empty((0, 2**31), dtype))

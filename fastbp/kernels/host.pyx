"""The host's side of the C contract: the table that every call carries, and random numbers."""

from cython cimport floating
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

import numpy as np

from fastbp import checks
from fastbp.errors import ConfigError

from fastbp.kernels.blas cimport c_gemm
from fastbp.kernels.product cimport c_product
from fastbp.plugin cimport FASTBP_MINOR, fastbp_call, fastbp_host

cdef extern from "src/random.h" nogil:
    void uniform(uint64_t seed, uint64_t step, uint64_t layer, int64_t first_row, int64_t rows,
                 int64_t count, double* out)

cdef fastbp_host host


cdef void product(
        int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, double alpha,
        const floating* A, int64_t lda, const floating* B, int64_t ldb, double beta,
        floating* C, int64_t ldc) noexcept nogil:
    # C (m, n) = alpha op(A) op(B) + beta C
    if alpha == 1 and (beta == 0 or beta == 1) and not (trans_a and trans_b):
        c_product(trans_a, trans_b, m, n, k, A, lda, B, ldb, beta == 1, C, ldc)
    else:
        c_gemm(trans_a, trans_b, m, n, k, <floating>alpha, A, lda, B, ldb, <floating>beta, C, ldc)


cdef void gemm_f32(
        int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, double alpha, const void* A,
        int64_t lda, const void* B, int64_t ldb, double beta, void* C, int64_t ldc) noexcept nogil:
    product[float](trans_a, trans_b, m, n, k, alpha, <const float*>A, lda, <const float*>B, ldb,
                   beta, <float*>C, ldc)


cdef void gemm_f64(
        int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, double alpha, const void* A,
        int64_t lda, const void* B, int64_t ldb, double beta, void* C, int64_t ldc) noexcept nogil:
    product[double](trans_a, trans_b, m, n, k, alpha, <const double*>A, lda, <const double*>B,
                    ldb, beta, <double*>C, ldc)


cdef void random(const fastbp_call* call, int64_t count, double* out) noexcept nogil:
    uniform(call.seed, call.step, call.layer, call.first_row, call.rows, count, out)


host.struct_size = sizeof(fastbp_host)
host.minor = FASTBP_MINOR
host.gemm[0] = gemm_f32
host.gemm[1] = gemm_f64
host.random = random
host.threads = 1


cdef const fastbp_host* the_host() noexcept nogil:
    return &host


cdef void start_call(
        fastbp_call* call, int64_t rows, int64_t n_in, int64_t n_out) noexcept nogil:
    # A call with nothing but sizes.
    memset(call, 0, sizeof(fastbp_call))
    call.struct_size = sizeof(fastbp_call)
    call.host = &host
    call.rows = rows
    call.n_in = call.ld_x = n_in
    call.n_out = call.ld_y = n_out


cdef void* pointer(object array) except? NULL:
    # Where a C-contiguous array's numbers stand, NULL when it has none; the caller keeps it alive.
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    PyBuffer_Release(&view)
    return view.buf if view.len else NULL


def random_uniform(seed, step, layer, first_row, out):
    """Fill an array with uniform numbers in [0, 1) that depend on their place alone.

    Row n gets numbers that are a function of seed, step, layer and first_row + n: filling an array
    in blocks of rows gives what filling it at once gives.

    Parameters
    ----------
    seed, step, layer, first_row : int, >= 0
    out : ndarray (rows, ...), float32 or float64, C-contiguous
        Filled. float32 gets the float64 numbers, rounded down so as to stay below 1.

    Returns
    -------
    ndarray
        `out`.

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        `out` cannot be filled, or a number is negative.

    References
    ----------
    .. [1] Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import random_uniform
    >>> whole = random_uniform(1, 0, 0, 0, np.empty((4, 3)))
    >>> bool((random_uniform(1, 0, 0, 2, np.empty((2, 3))) == whole[2:]).all())
    True
    """
    for name, value in (("seed", seed), ("step", step), ("layer", layer), ("first_row", first_row)):
        checks.integer(name, value, low=0)
    if not isinstance(out, np.ndarray) or out.ndim == 0:
        raise ConfigError(f"out: got {out!r}; wanted an array with one row or more")
    checks.operand("out", out, out.shape, out=True)
    cdef int64_t rows = out.shape[0], count = out[:1].size
    wide = out if out.dtype == np.float64 else np.empty(out.shape)
    cdef double* numbers = <double*>pointer(wide)
    cdef uint64_t key = seed, when = step, where = layer
    cdef int64_t first = first_row
    with nogil:
        uniform(key, when, where, first, rows, count, numbers)
    if wide is not out:
        np.minimum(wide, np.float32(1) - np.finfo(np.float32).epsneg, out=wide)
        out[...] = wide
    return out

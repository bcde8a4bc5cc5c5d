"""The BLAS gateway: the only file that names a BLAS routine.

It alone knows that BLAS stores columns, how wide its integer is, and which routine serves which
float type. The routines are SciPy's, through the function pointers of `scipy.linalg.cython_blas`,
or those of the library that the environment variable FASTBP_BLAS names.
"""

import os

from libc.stdint cimport int64_t
from scipy.linalg.cython_blas cimport daxpy, dgemm, dgemv, dger, saxpy, sgemm, sgemv, sger

import numpy as np

from fastbp import checks
from fastbp.errors import ConfigError, ShapeError

# setup.py reads the width from SciPy's declarations, and importing a routine compares signatures:
# a SciPy of the other width fails at import and never computes nonsense.
cdef extern from *:
    """
    #include <stdint.h>
    #ifdef FASTBP_BLAS_ILP64
    typedef int64_t fastbp_blas_int;
    #else
    typedef int fastbp_blas_int;
    #endif
    """
    ctypedef int64_t blas_int "fastbp_blas_int"

# BLAS takes everything by address. Untyped addresses make one call out of two float types and two
# widths of integers; which routine is behind it is decided by the type, below and nowhere else.
ctypedef const void* addr
ctypedef void (*gemm_t)(addr, addr, addr, addr, addr, addr, addr, addr, addr, addr, addr, void*,
                        addr) noexcept nogil
ctypedef void (*gemv_t)(addr, addr, addr, addr, addr, addr, addr, addr, addr, void*,
                        addr) noexcept nogil
ctypedef void (*ger_t)(addr, addr, addr, addr, addr, addr, addr, void*, addr) noexcept nogil
ctypedef void (*axpy_t)(addr, addr, addr, addr, void*, addr) noexcept nogil

# The routines in use: SciPy's, until `ready` has taken those of FASTBP_BLAS.
cdef enum:
    SGEMM
    DGEMM
    SGEMV
    DGEMV
    SGER
    DGER
    SAXPY
    DAXPY
    ROUTINES

cdef object names = ("sgemm", "dgemm", "sgemv", "dgemv", "sger", "dger", "saxpy", "daxpy")
cdef void* routines[ROUTINES]
routines[SGEMM], routines[DGEMM] = <void*>sgemm, <void*>dgemm
routines[SGEMV], routines[DGEMV] = <void*>sgemv, <void*>dgemv
routines[SGER], routines[DGER] = <void*>sger, <void*>dger
routines[SAXPY], routines[DAXPY] = <void*>saxpy, <void*>daxpy

cdef object asked_for = os.environ.get("FASTBP_BLAS") or None  # None also when it has been taken
cdef object taken = None  # what is known about the library in use, None for SciPy's


cdef int ready() except -1:
    # Take the library of FASTBP_BLAS, once. Who is about to call BLAS asks here, while it can still
    # raise: the C functions below cannot. Two threads that come at once do the same thing twice,
    # and whoever computes meanwhile gets a routine of the one or the other library, each sound.
    global asked_for, taken
    cdef size_t address
    cdef int i
    if asked_for is None:
        return 0
    if sizeof(blas_int) != 4:
        raise ConfigError(
            f"FASTBP_BLAS: got {asked_for!r}; this fastbp is built for a SciPy whose BLAS has "
            "64-bit integers, and such a build takes no other BLAS"
        )
    from fastbp.kernels import blas_library  # and with it ctypes, which nothing else needs
    addresses, description = blas_library.load(asked_for, names)
    for i, address in enumerate(addresses):
        routines[i] = <void*>address
    taken, asked_for = description, None
    return 0


def library():
    """The BLAS library that FASTBP_BLAS names, loaded and tested now if it was not yet.

    Returns
    -------
    str or None
        The library's name and version, as far as it tells them, and its path; None when the
        variable is not set or empty, and BLAS is SciPy's.

    Raises
    ------
    ConfigError
        FASTBP_BLAS is no absolute path of a BLAS library with 32-bit integers that computes what
        it should.
    """
    ready()
    return taken


cdef bint fits(Py_ssize_t size) noexcept nogil:
    return <Py_ssize_t><blas_int>size == size


cdef int require_fits(str name, object array) except -1:
    cdef Py_ssize_t size
    for size in array.shape:
        if not fits(size):
            raise ShapeError(
                f"{name}: got shape {array.shape}; wanted axes that BLAS can count "
                f"({8 * sizeof(blas_int)}-bit integers)"
            )
    return 0


cdef inline void scale(
        Py_ssize_t n, floating beta, floating* y, Py_ssize_t incy) noexcept nogil:
    # y (n,) = beta y, where beta = 0 clears whatever stood there, NaN too.
    cdef Py_ssize_t i
    if beta == 0:
        for i in range(n):
            y[i * incy] = 0
    elif beta != 1:
        for i in range(n):
            y[i * incy] = beta * y[i * incy]


cdef void c_gemm(
        bint ta, bint tb, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
        floating alpha, const floating* A, Py_ssize_t lda, const floating* B, Py_ssize_t ldb,
        floating beta, floating* C, Py_ssize_t ldc) noexcept nogil:
    # C (m, n) = alpha op(A) (m, k) op(B) (k, n) + beta C.
    # BLAS reads a row-major matrix as its transpose, and Cᵀ = op(B)ᵀ op(A)ᵀ: B goes first.
    cdef gemm_t routine
    cdef char a_op = b"T" if ta else b"N"
    cdef char b_op = b"T" if tb else b"N"
    cdef blas_int rows = m, cols = n, inner = k, a_ld = lda, b_ld = ldb, c_ld = ldc
    cdef Py_ssize_t i
    if m == 0 or n == 0:
        return
    if k == 0:
        for i in range(m):
            scale(n, beta, C + i * ldc, 1)
        return
    routine = <gemm_t>routines[SGEMM if floating is float else DGEMM]
    routine(&b_op, &a_op, &cols, &rows, &inner, &alpha, B, &b_ld, A, &a_ld, &beta, C, &c_ld)


cdef void c_gemv(
        bint ta, Py_ssize_t m, Py_ssize_t n, floating alpha, const floating* A, Py_ssize_t lda,
        const floating* x, Py_ssize_t incx, floating beta, floating* y, Py_ssize_t incy
) noexcept nogil:
    # y = alpha op(A) x + beta y, A (m, n); y (m,), or (n,) with Aᵀ.
    # BLAS holds Aᵀ, so what is not transposed here is transposed there.
    cdef gemv_t routine
    cdef char op = b"N" if ta else b"T"
    cdef blas_int rows = m, cols = n, a_ld = lda, x_inc = incx, y_inc = incy
    # Here and not in BLAS: it leaves y as it is when the sum is empty, and reference
    # implementations differ on whether 0 * NaN clears y.
    scale(n if ta else m, beta, y, incy)
    beta = 1
    if m == 0 or n == 0:
        return
    routine = <gemv_t>routines[SGEMV if floating is float else DGEMV]
    routine(&op, &cols, &rows, &alpha, A, &a_ld, x, &x_inc, &beta, y, &y_inc)


cdef void c_ger(
        Py_ssize_t m, Py_ssize_t n, floating alpha, const floating* x, Py_ssize_t incx,
        const floating* y, Py_ssize_t incy, floating* A, Py_ssize_t lda) noexcept nogil:
    # A (m, n) += alpha x yᵀ, x (m,), y (n,); BLAS holds Aᵀ, so x and y change places.
    cdef ger_t routine
    cdef blas_int rows = m, cols = n, x_inc = incx, y_inc = incy, a_ld = lda
    if m == 0 or n == 0:
        return
    routine = <ger_t>routines[SGER if floating is float else DGER]
    routine(&cols, &rows, &alpha, y, &y_inc, x, &x_inc, A, &a_ld)


cdef void c_axpy(
        Py_ssize_t n, floating alpha, const floating* x, Py_ssize_t incx,
        floating* y, Py_ssize_t incy) noexcept nogil:
    # y (n,) += alpha x.
    cdef axpy_t routine
    cdef blas_int size = n, x_inc = incx, y_inc = incy
    if n == 0:
        return
    routine = <axpy_t>routines[SAXPY if floating is float else DAXPY]
    routine(&size, &alpha, x, &x_inc, y, &y_inc)


def gemm(A, B, *, trans_a=False, trans_b=False, alpha=1.0, beta=0.0, out=None):
    """Multiply two matrices.

    out = alpha op(A) op(B) + beta out, where op(A) is A, or Aᵀ with `trans_a`.

    Parameters
    ----------
    A : ndarray (m, k), or (k, m) with trans_a; float32 or float64
        Left factor.
    B : ndarray (k, n), or (n, k) with trans_b; A's dtype
        Right factor.
    trans_a, trans_b : bool
        Whether the factor stands transposed.
    alpha, beta : float
        Factors of the product and of what `out` held before; beta = 0 reads nothing of it.
    out : ndarray (m, n), A's dtype, optional
        Where the result goes; a new array by default.

    Returns
    -------
    ndarray (m, n), A's dtype
        `out`, unscaled but for alpha and beta.

    Raises
    ------
    DtypeError
        An argument is no array, or its dtype is not float32 or float64, or not that of A.
    ShapeError
        The shapes do not fit, an array is not C-contiguous and aligned, or an axis is longer than
        BLAS can count.
    ConfigError
        `out` is read-only or shares memory with a factor, or beta is not 0 without `out`; or
        FASTBP_BLAS names a library that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import gemm
    >>> gemm(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), trans_b=True)
    array([[11.]])

    References
    ----------
    The matrix products of E1, E6 and E8.
    """
    ready()
    dtype = checks.operand("A", A, (None, None))
    m, k = A.shape[::-1] if trans_a else A.shape
    checks.operand("B", B, (None, k) if trans_b else (k, None), dtype)
    n = B.shape[0] if trans_b else B.shape[1]
    require_fits("A", A)
    require_fits("B", B)
    if out is None:
        if beta != 0:
            raise ConfigError(f"beta: got {beta} without out; wanted 0, or an array to add to")
        out = np.empty((m, n), dtype)
    else:
        checks.operand("out", out, (m, n), dtype, out=True)
        checks.no_overlap("out", out, A=A, B=B)
    if dtype == np.float32:
        run_gemm[float](A, B, trans_a, trans_b, alpha, beta, out)
    else:
        run_gemm[double](A, B, trans_a, trans_b, alpha, beta, out)
    return out


cdef int run_gemm(
        const floating[:, ::1] A, const floating[:, ::1] B, bint trans_a, bint trans_b,
        floating alpha, floating beta, floating[:, ::1] C) except -1:
    cdef Py_ssize_t k = A.shape[0] if trans_a else A.shape[1]
    if C.shape[0] == 0 or C.shape[1] == 0:
        return 0
    with nogil:
        c_gemm(trans_a, trans_b, C.shape[0], C.shape[1], k, alpha, origin(A), A.shape[1],
               origin(B), B.shape[1], beta, &C[0, 0], C.shape[1])
    return 0


def gemv(A, x, *, trans=False, alpha=1.0, beta=0.0, out=None):
    """Multiply a matrix with a vector.

    out = alpha op(A) x + beta out, where op(A) is A, or Aᵀ with `trans`.

    Parameters
    ----------
    A : ndarray (m, n), float32 or float64
        The matrix.
    x : ndarray (n,), or (m,) with trans; A's dtype
        The vector.
    trans : bool
        Whether the matrix stands transposed.
    alpha, beta : float
        Factors of the product and of what `out` held before; beta = 0 reads nothing of it.
    out : ndarray (m,), or (n,) with trans; A's dtype, optional
        Where the result goes; a new array by default.

    Returns
    -------
    ndarray (m,), or (n,) with trans; A's dtype
        `out`, unscaled but for alpha and beta.

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `gemm` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import gemv
    >>> gemv(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 10.0]))
    array([21., 43.])

    References
    ----------
    E1 and E6 for one example.
    """
    ready()
    dtype = checks.operand("A", A, (None, None))
    n_out, n_in = A.shape[::-1] if trans else A.shape
    checks.operand("x", x, (n_in,), dtype)
    require_fits("A", A)
    if out is None:
        if beta != 0:
            raise ConfigError(f"beta: got {beta} without out; wanted 0, or an array to add to")
        out = np.empty(n_out, dtype)
    else:
        checks.operand("out", out, (n_out,), dtype, out=True)
        checks.no_overlap("out", out, A=A, x=x)
    if dtype == np.float32:
        run_gemv[float](A, x, trans, alpha, beta, out)
    else:
        run_gemv[double](A, x, trans, alpha, beta, out)
    return out


cdef int run_gemv(
        const floating[:, ::1] A, const floating[::1] x, bint trans, floating alpha,
        floating beta, floating[::1] y) except -1:
    cdef const floating* start = &x[0] if x.shape[0] > 0 else NULL
    if y.shape[0] == 0:
        return 0
    with nogil:
        c_gemv(trans, A.shape[0], A.shape[1], alpha, origin(A), A.shape[1], start, 1,
               beta, &y[0], 1)
    return 0


def ger(x, y, *, alpha=1.0, out):
    """Add the outer product of two vectors to a matrix, in place.

    out += alpha x yᵀ, i.e. out_ij += alpha x_i y_j.

    Parameters
    ----------
    x : ndarray (m,), float32 or float64
        Left vector.
    y : ndarray (n,), x's dtype
        Right vector.
    alpha : float
        Factor of the product.
    out : ndarray (m, n), x's dtype
        The matrix that is added to.

    Returns
    -------
    ndarray (m, n), x's dtype
        `out`, unscaled but for alpha.

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `gemm` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import ger
    >>> ger(np.array([1.0, 2.0]), np.array([3.0, 4.0]), out=np.zeros((2, 2)))
    array([[3., 4.],
           [6., 8.]])

    References
    ----------
    E8 for one example.
    """
    ready()
    dtype = checks.operand("x", x, (None,))
    checks.operand("y", y, (None,), dtype)
    checks.operand("out", out, (x.shape[0], y.shape[0]), dtype, out=True)
    checks.no_overlap("out", out, x=x, y=y)
    require_fits("out", out)
    if dtype == np.float32:
        run_ger[float](x, y, alpha, out)
    else:
        run_ger[double](x, y, alpha, out)
    return out


cdef int run_ger(
        const floating[::1] x, const floating[::1] y, floating alpha, floating[:, ::1] A
) except -1:
    if A.shape[0] == 0 or A.shape[1] == 0:
        return 0
    with nogil:
        c_ger(A.shape[0], A.shape[1], alpha, &x[0], 1, &y[0], 1, &A[0, 0], A.shape[1])
    return 0


def axpy(x, y, *, alpha=1.0):
    """Add a multiple of one vector to another, in place.

    y += alpha x.

    Parameters
    ----------
    x : ndarray (n,), float32 or float64
        What is added.
    y : ndarray (n,), x's dtype
        What is added to.
    alpha : float
        Factor of x.

    Returns
    -------
    ndarray (n,), x's dtype
        `y`, unscaled but for alpha.

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `gemm` does, with `y` in the place of `out`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import axpy
    >>> axpy(np.array([1.0, 2.0]), np.array([3.0, 4.0]), alpha=10.0)
    array([13., 24.])

    References
    ----------
    The step θ -= lr ∇θ of plain gradient descent, with alpha = -lr.
    """
    ready()
    dtype = checks.operand("x", x, (None,))
    checks.operand("y", y, x.shape, dtype, out=True)
    checks.no_overlap("y", y, x=x)
    require_fits("x", x)
    if dtype == np.float32:
        run_axpy[float](x, alpha, y)
    else:
        run_axpy[double](x, alpha, y)
    return y


cdef int run_axpy(const floating[::1] x, floating alpha, floating[::1] y) except -1:
    if x.shape[0] > 0:
        with nogil:
            c_axpy(x.shape[0], alpha, &x[0], 1, &y[0], 1)
    return 0

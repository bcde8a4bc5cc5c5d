from cython cimport floating

# The C side of the gateway: row-major matrices, sizes and strides counted in entries. Nothing here
# checks, allocates or raises; every size must pass `fits`, and outputs overlap no input.

# Must have been called, with the interpreter lock, before anything below computes.
cdef int ready() except -1

cdef bint fits(Py_ssize_t size) noexcept nogil

cdef int require_fits(str name, object array) except -1

# C (m, n) = alpha op(A) (m, k) op(B) (k, n) + beta C
cdef void c_gemm(
    bint ta, bint tb, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    floating alpha, const floating* A, Py_ssize_t lda, const floating* B, Py_ssize_t ldb,
    floating beta, floating* C, Py_ssize_t ldc) noexcept nogil

# y = alpha op(A) x + beta y, A (m, n)
cdef void c_gemv(
    bint ta, Py_ssize_t m, Py_ssize_t n, floating alpha, const floating* A, Py_ssize_t lda,
    const floating* x, Py_ssize_t incx, floating beta, floating* y, Py_ssize_t incy) noexcept nogil

# A (m, n) += alpha x yᵀ
cdef void c_ger(
    Py_ssize_t m, Py_ssize_t n, floating alpha, const floating* x, Py_ssize_t incx,
    const floating* y, Py_ssize_t incy, floating* A, Py_ssize_t lda) noexcept nogil

# y (n,) += alpha x
cdef void c_axpy(
    Py_ssize_t n, floating alpha, const floating* x, Py_ssize_t incx,
    floating* y, Py_ssize_t incy) noexcept nogil


cdef inline const floating* origin(const floating[:, ::1] A) noexcept nogil:
    # Where a matrix begins; a matrix without entries has no first entry to point to.
    return &A[0, 0] if A.shape[0] > 0 and A.shape[1] > 0 else NULL

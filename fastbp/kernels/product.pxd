from cython cimport floating
from libc.stdint cimport int64_t

# C (m, n) = op(A) (m, k) op(B) (k, n), added to C when `add`; row-major, entries counted by lda,
# ldb, ldc from row to row; not both transposed. Outputs overlap no input.
cdef void c_product(
    bint trans_a, bint trans_b, int64_t m, int64_t n, int64_t k, const floating* A, int64_t lda,
    const floating* B, int64_t ldb, bint add, floating* C, int64_t ldc) noexcept nogil

from cython cimport floating
from libc.stdint cimport int64_t

# E3 and E5; n >= 1 classes; losses and deltas unscaled; delta may be NULL.
# Labels must lie in 0..n-1. A row that holds +inf or NaN, or -inf only, gives NaN.

cdef void c_softmax(
    const floating* a, floating* y_hat, Py_ssize_t batch, Py_ssize_t n) noexcept nogil

cdef void c_cross_entropy_classes(
    const floating* a, const int64_t* l, double* loss, floating* delta,
    Py_ssize_t batch, Py_ssize_t n) noexcept nogil

cdef void c_cross_entropy_rows(
    const floating* a, const floating* p, double* loss, floating* delta,
    Py_ssize_t batch, Py_ssize_t n) noexcept nogil

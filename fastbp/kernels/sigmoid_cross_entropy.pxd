from cython cimport floating

# Loss and gradient, unscaled; t in [0, 1]; delta may be NULL.

cdef void c_sigmoid_cross_entropy(
    const floating* a, const floating* t, double* loss, floating* delta,
    Py_ssize_t batch, Py_ssize_t n) noexcept nogil

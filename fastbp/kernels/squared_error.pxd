from cython cimport floating

# E10 and its gradient, unscaled; delta may be NULL.

cdef void c_squared_error(
    const floating* a, const floating* t, double* loss, floating* delta,
    Py_ssize_t batch, Py_ssize_t n) noexcept nogil

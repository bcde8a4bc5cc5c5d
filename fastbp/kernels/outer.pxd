from cython cimport floating

# E8 and E9: sums over the batch, on delta's scale.

cdef void c_outer_sum(
    const floating* delta, const floating* h, floating* dW,
    Py_ssize_t batch, Py_ssize_t n_in, Py_ssize_t n_out) noexcept nogil

cdef void c_bias_sum(
    const floating* delta, floating* db, Py_ssize_t batch, Py_ssize_t n_out) noexcept nogil

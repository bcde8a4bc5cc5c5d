from cython cimport floating

# E1, E6 of a dense layer; W (n_out, n_in); b may be NULL.

cdef void c_dense_forward(
    const floating* x, const floating* W, const floating* b, floating* a,
    Py_ssize_t batch, Py_ssize_t n_in, Py_ssize_t n_out) noexcept nogil

cdef void c_dense_backward(
    const floating* delta, const floating* W, floating* dh,
    Py_ssize_t batch, Py_ssize_t n_in, Py_ssize_t n_out) noexcept nogil

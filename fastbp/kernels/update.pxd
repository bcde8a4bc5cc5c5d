from cython cimport floating
from libc.stdint cimport int64_t

# Optimizer steps over n parameters, in place. The arrays must not overlap.

cdef void c_sgd(
    floating* theta, const floating* g, double lr, double weight_decay, Py_ssize_t n
) noexcept nogil

cdef void c_momentum(
    floating* theta, const floating* g, floating* v, double lr, double mu, bint nesterov,
    double weight_decay, Py_ssize_t n) noexcept nogil

cdef void c_adam(
    floating* theta, const floating* g, floating* m, floating* v, double lr, double beta1,
    double beta2, double eps, double weight_decay, int64_t t, Py_ssize_t n) noexcept nogil

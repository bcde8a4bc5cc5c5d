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

# An optimizer's step as plain numbers, for the plan to make without Python.

cdef enum Rule:
    NONE
    SGD
    MOMENTUM
    ADAM

cdef struct Update:
    Rule rule
    double constants[6]
    void* slots[2]
    int64_t t

cdef int read_rule(Update* u, rule, slots, int64_t t) except -1
cdef void apply_update(Update* u, floating* theta, const floating* g, int64_t n) noexcept nogil

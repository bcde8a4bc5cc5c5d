from libc.stdint cimport int64_t

from fastbp.kernels.chain cimport Pass
from fastbp.kernels.product cimport update_rule
from fastbp.kernels.updates cimport StepTask, Updates, slot_bounds

cdef class Descent(Updates):
    cdef readonly object flat  # the gradient, formed or not

    cdef int c_chain(self, Pass* p) noexcept nogil
    cdef int c_step(
        self, Pass* p, char* theta, double l2, const update_rule* rule,
        slot_bounds* slots) noexcept nogil

    cdef int flushed_step(
        self, Pass* p, char* theta, double l2, const update_rule* rule,
        slot_bounds* slots) noexcept nogil
    cdef bint apart(self, const char* x, const update_rule* rule) noexcept nogil
    cdef bint less_to_measure(self) noexcept nogil
    cdef bint bounded(self, const Pass* p, double limit) noexcept nogil
    cdef void form_gradients(self, Pass* p) noexcept nogil
    cdef void weight_gradients(self, StepTask* task) noexcept nogil
    cdef void weight_gradients_of(self, const StepTask* task, int part) noexcept nogil
    cdef void weight_gradient(
        self, const StepTask* task, int i, int64_t first, int64_t rows) noexcept nogil
    cdef double c_l2(self, const char* theta, double l2, char* g) noexcept nogil

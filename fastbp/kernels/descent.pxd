from libc.stdint cimport int64_t

from fastbp.kernels.chain cimport Pass
from fastbp.kernels.passes cimport Passes
from fastbp.kernels.product cimport update_rule

cdef struct StepTask:  # what a thread needs to know to run a part
    void* descent
    Pass* p
    char* theta  # of a step; NULL: gradients are formed
    bint bounded  # E9 adds up rows in their own type: nothing overflows, or it is looked at
    update_rule rule
    update_rule decayed  # for weights: with the decay that l2 is

cdef class Descent(Passes):
    cdef readonly object flat  # the gradient, formed or not
    cdef char* gradient  # where its numbers stand

    cdef int c_chain(self, Pass* p) noexcept nogil
    cdef int c_step(
        self, Pass* p, char* theta, double l2, const update_rule* rule) noexcept nogil

    cdef int flushed_step(
        self, Pass* p, char* theta, double l2, const update_rule* rule) noexcept nogil
    cdef bint apart(self, const char* x, const update_rule* rule) noexcept nogil
    cdef bint less_to_measure(self) noexcept nogil
    cdef bint decay_bounded(self, const update_rule* rule, double l2) noexcept nogil
    cdef bint bounded(self, const Pass* p) noexcept nogil
    cdef void form_gradients(self, Pass* p) noexcept nogil
    cdef void weight_gradients(self, StepTask* task) noexcept nogil
    cdef void weight_gradients_of(self, const StepTask* task, int part) noexcept nogil
    cdef void weight_gradient(
        self, const StepTask* task, int i, int64_t first, int64_t rows) noexcept nogil
    cdef void update_of(self, const StepTask* task, int part) noexcept nogil
    cdef void update(
        self, const StepTask* task, int64_t first, int64_t last, bint others) noexcept nogil
    cdef void update_some(
        self, const StepTask* task, int64_t start, int64_t stop,
        const update_rule* rule) noexcept nogil
    cdef double c_l2(self, const char* theta, double l2, char* g) noexcept nogil

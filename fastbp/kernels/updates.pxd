from libc.stdint cimport int64_t

from fastbp.kernels.chain cimport Pass
from fastbp.kernels.passes cimport Passes
from fastbp.kernels.product cimport update_rule

cdef extern from "src/limits.h" nogil:
    const double* LARGE
    ctypedef struct slot_bounds:
        double m
        double v
    double limit_of_d(const update_rule* rule, int type, const slot_bounds* slots)
    bint limit_shrinks(const update_rule* rule, double decay)
    void limit_follow(const update_rule* rule, int type, slot_bounds* slots)

cdef struct StepTask:  # what a thread needs to know to run a part
    void* steps  # Updates, or Descent
    Pass* p
    char* theta  # of a step; NULL: gradients are formed
    bint bounded  # E9 adds up rows in their own type: nothing overflows, or it is looked at
    update_rule rule
    update_rule decayed  # for weights: with the decay that l2 is

cdef class Updates(Passes):
    cdef char* gradient  # where the numbers of flat stand
    cdef int64_t spoilt_at  # the entry that an update would have made NaN or infinite

    cdef double limit(
        self, const update_rule* rule, double l2, double squares,
        slot_bounds* slots) noexcept nogil
    cdef int update_copies(self, StepTask* task, slot_bounds* slots) noexcept nogil
    cdef int64_t spoilt(self, const char* now, const char* before) noexcept nogil
    cdef void update_all(self, StepTask* task) noexcept nogil
    cdef void update_of(self, const StepTask* task, int part) noexcept nogil
    cdef void update(
        self, const StepTask* task, int64_t first, int64_t last, bint others) noexcept nogil
    cdef void update_some(
        self, const StepTask* task, int64_t start, int64_t stop,
        const update_rule* rule) noexcept nogil

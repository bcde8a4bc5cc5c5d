from libc.stdint cimport int64_t

from fastbp.kernels.product cimport dense_type, update_rule
from fastbp.kernels.updates cimport slot_bounds

cdef int64_t MOST_STEPS  # with room to count on

cdef class OptimizerState:
    cdef public object name, constants
    cdef readonly object _arrays  # the same arrays, for those who do not write
    cdef int64_t _steps
    cdef slot_bounds bounds  # of what the arrays hold
    cdef bint handed_out  # somebody may write into them at any time

    cdef void forget_bounds(self) noexcept
    cdef bint sound(
        self, const dense_type* own, int64_t n, int type, const update_rule* rule) noexcept

from libc.stdint cimport int64_t, uint64_t

from fastbp.kernels.optimizer_state cimport OptimizerState
from fastbp.kernels.plan cimport Plan
from fastbp.kernels.product cimport update_rule
from fastbp.kernels.turn cimport Turn

cdef enum Targets:
    CAREFUL  # only the loss knows what they are
    CLASSES
    VALUES
    BINARY

cdef class Steps:
    cdef public object optimizer_state, _flat
    cdef public Plan _plan
    cdef public Turn _lock
    cdef public double _l2
    cdef public int _most_threads  # that a call asks for, 0: as many as the limit allows
    cdef public uint64_t _seed
    cdef Targets kind
    # What the last step was made with
    cdef object optimizer, bound_flat, slots, slot_arrays, written
    cdef OptimizerState state
    cdef update_rule rule

    cdef int update_in_python(self, optimizer, OptimizerState state) except -1
    cdef bint still_bound(self, optimizer, int depth) except -1
    cdef bint take_step(self, X, y, bint locked, double* value) except -1
    cdef const char* targets_of(self, y, int64_t rows) except? NULL
    cdef int run(
        self, const char* x, double largest_x, const char* targets, int64_t rows,
        bint locked, double* value) except -1
    cdef tuple run_epoch(
        self, optimizer, batch, const int64_t[::1] order, x, int64_t first, double total_weight,
        double running, double seconds, int threads)

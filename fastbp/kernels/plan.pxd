cimport cython
from libc.stdint cimport int64_t

from fastbp.kernels.buffers cimport Buffers
from fastbp.kernels.chain cimport Pass, Stage


@cython.final
cdef class Plan(Buffers):
    cdef int _use(self, int64_t rows, bint training, int64_t first_row) except -1
    cdef int _start(
        self, Pass* p, x, targets, weight, double scale, bint training, input_gradient) except -1
    cdef int _weigh(self, Pass* p, weight) except -1
    cdef int _run_loss(self, targets, bint gradient) except -1
    cdef const char* _targets_of(self, targets) except? NULL

cdef void start_pass(Pass* p, const char* x, const char* targets, double scale) noexcept nogil

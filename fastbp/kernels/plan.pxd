cimport cython
from libc.stdint cimport int64_t

from fastbp.kernels.chain cimport Pass, Stage
from fastbp.kernels.descent cimport Descent


@cython.final
cdef class Plan(Descent):
    cdef readonly int64_t capacity
    cdef int64_t n_in
    cdef int type_number  # NumPy's
    cdef int64_t* classes  # room for labels
    cdef double* block_bounds  # of all blocks
    cdef int64_t rows_seen  # how many the views in Python have
    cdef object _labels, _kept, _y, _dy, _saved, _row_scale, _classes, _scratch, _theta

    cdef int _use(self, int64_t rows, bint training, int64_t first_row) except -1
    cdef int _see(self) except -1
    cdef int _need_dy(self, bint wanted) except -1
    cdef int _need_gradient(self) except -1
    cdef int _start(
        self, Pass* p, x, targets, weight, double scale, bint training, input_gradient) except -1
    cdef const char* _targets_of(self, targets) except? NULL

cdef void start_pass(Pass* p, const char* x, const char* targets, double scale) noexcept nogil

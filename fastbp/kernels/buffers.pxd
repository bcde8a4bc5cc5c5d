from libc.stdint cimport int64_t

from fastbp.kernels.descent cimport Descent

cdef class Buffers(Descent):
    cdef readonly int64_t capacity
    cdef readonly bint rows_independent, losses_independent
    cdef int64_t n_in
    cdef int type_number  # NumPy's
    cdef int64_t* classes  # room for labels
    cdef double* block_bounds  # of all blocks
    cdef int64_t rows_seen  # how many the views in Python have
    cdef object _labels, _kept, _y, _dy, _saved, _classes, _scratch, _theta

    cdef int _see(self) except -1
    cdef int _need_dy(self, bint wanted) except -1
    cdef int _need_gradient(self) except -1

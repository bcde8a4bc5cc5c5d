from libc.stdint cimport int64_t

from fastbp.kernels.chain cimport Block, Chain, Node, Pass
from fastbp.threads.pool cimport pool_task

cdef enum:
    MOST_BLOCKS = 64  # of a pass's rows, and threads

cdef struct Task:  # what a thread needs to know to run a block, or its share of a layer
    void* passes
    Pass* p
    int layer

cdef class Passes(Chain):
    cdef Block* blocks
    cdef int n_blocks
    cdef int threads  # of the present pass
    cdef double[MOST_BLOCKS + 1] upto  # of 1, where each thread's share of the work begins
    cdef double[MOST_BLOCKS + 1] given  # the same of a job, by whole units
    cdef public int most_threads  # that a call asks for, 0: as many as the limit allows

    cdef void c_use(self, int64_t rows, bint training, int64_t first_row) noexcept nogil
    cdef int c_forward(self, Pass* p) noexcept nogil
    cdef int c_rows(self, Pass* p) noexcept nogil

    cdef void divide_rows(self) noexcept nogil
    cdef int64_t share(self, int part, int64_t n, int64_t unit) noexcept nogil
    cdef void divide_layers(self, Pass* p) noexcept nogil
    cdef bint by_numbers(self, const Node* node, bint first) noexcept nogil
    cdef void give(self, int64_t n, int64_t unit) noexcept nogil
    cdef void affine_share(self, const Task* task, int part) noexcept nogil
    cdef void upstream_share(self, const Task* task, int part) noexcept nogil
    cdef int run_blocks(self, Pass* p, pool_task task) noexcept nogil

from libc.stdint cimport int64_t, uint64_t


cdef class Callbacks:
    # What parts in Python see: views of as many rows as the pass has
    cdef readonly object layout, loss, y, dy, grads
    cdef object _y_read, _params, _buffers, _contexts, _x, _targets, _out, _dx, _losses, _row_scale
    cdef object _exception

    cdef int count  # of layers
    cdef int64_t rows
    cdef int64_t first_row  # its number in the whole batch
    cdef uint64_t seed, step
    cdef bint training

    cdef int py_forward(self, int i, bint has_out) noexcept with gil
    cdef int py_losses(self, bint gradient) noexcept with gil
    cdef int py_backward(self, int i, bint has_dx) noexcept with gil

cdef object read_only(object array)

from cpython.pythread cimport PyThread_type_lock
from libc.stdint cimport uint64_t


cdef struct Waiter:  # on the stack of the thread that waits
    PyThread_type_lock gate
    uint64_t thread
    int forks
    Waiter* behind


cdef class Turn:
    cdef uint64_t owner
    cdef readonly int depth
    cdef int forks
    cdef Waiter* first
    cdef Waiter* last

    cdef void after_fork(self) noexcept
    cdef bint take(self) except -1
    cdef void leave(self) noexcept
    cdef bint wait(self, uint64_t me) except -1
    cdef bint was_handed_over(self, uint64_t me) noexcept
    cdef void give_up(self, Waiter* own) noexcept

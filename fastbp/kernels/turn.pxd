from cpython.pythread cimport PyThread_type_lock


cdef class Turn:
    cdef PyThread_type_lock gate
    cdef bint open
    cdef long owner
    cdef readonly int depth
    cdef int waiting, forks

    cdef bint take(self) except -1
    cdef void leave(self) noexcept
    cdef bint wait(self) except -1
    cdef bint start(self) except -1

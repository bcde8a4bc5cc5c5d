from cpython.pythread cimport PyThread_type_lock


cdef class Turn:
    cdef PyThread_type_lock lock
    cdef long owner
    cdef readonly int depth
    cdef int forks  # how many this process had come from when the lock was made

    cdef bint take(self) except -1
    cdef void leave(self) noexcept

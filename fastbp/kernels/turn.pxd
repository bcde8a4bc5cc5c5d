cdef class Turn:
    cdef object lock, owner
    cdef readonly int depth
    cdef int forks  # how many this process had come from when the lock was made

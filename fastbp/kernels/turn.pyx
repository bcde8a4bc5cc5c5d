"""The lock of a network."""

import os

from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport (
    NOWAIT_LOCK, PY_LOCK_ACQUIRED, PyLockStatus, PyThread_acquire_lock, PyThread_allocate_lock,
    PyThread_free_lock, PyThread_get_thread_ident, PyThread_release_lock, PyThread_type_lock,
)

cdef extern from "pythread.h" nogil:
    PyLockStatus PyThread_acquire_lock_timed(
        PyThread_type_lock lock, long long microseconds, int until_signal)

cdef int forks = 0  # that led from the process which imported this to the present one


def count_fork():
    """Called in a forked child."""
    global forks
    forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=count_fork)


cdef class Turn:
    """A lock for one thread at a time, which may take it again; C sees whether it is taken.

    A small step would take a tenth longer with threading.RLock. In a forked child only the thread
    that forked is left: a lock that another had, or was about to have, is free there.
    """

    def __cinit__(self):
        self.lock, self.depth, self.forks = PyThread_allocate_lock(), 0, forks
        if self.lock == NULL:
            raise MemoryError("no room for a lock")

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    def __enter__(self):
        self.take()

    def __exit__(self, *error):
        self.leave()

    cdef bint take(self) except -1:
        # With Python's lock, but for the time of waiting. Ctrl-C ends that.
        cdef long me = PyThread_get_thread_ident()
        cdef PyThread_type_lock fresh
        cdef PyLockStatus status
        if self.depth and self.owner == me:
            self.depth += 1
            return True
        if self.forks != forks:
            fresh = PyThread_allocate_lock()
            if fresh == NULL:
                raise MemoryError("no room for a lock")
            # the old one stays: it may not be given back while a thread, here no more, has it
            self.lock, self.depth, self.forks = fresh, 0, forks
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            while True:
                with nogil:
                    status = PyThread_acquire_lock_timed(self.lock, -1, 1)
                if status == PY_LOCK_ACQUIRED:
                    break
                PyErr_CheckSignals()
        self.owner, self.depth = me, 1
        return True

    cdef void leave(self) noexcept:
        self.depth -= 1
        if self.depth == 0:
            PyThread_release_lock(self.lock)

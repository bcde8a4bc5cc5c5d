"""The lock of a network."""

import os

from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport (
    NOWAIT_LOCK, PY_LOCK_ACQUIRED, PyLockStatus, PyThread_acquire_lock, PyThread_allocate_lock,
    PyThread_free_lock, PyThread_release_lock,
)
from libc.stdint cimport uint64_t

cdef extern from "pythread.h" nogil:
    PyLockStatus PyThread_acquire_lock_timed(
        PyThread_type_lock lock, long long microseconds, int until_signal)

# The system gives a thread in a forked child the identity that another had in the parent, so
# threads get numbers of our own.
cdef extern from *:
    """
    #include <stdint.h>
    static _Thread_local uint64_t fastbp_thread;
    """
    uint64_t fastbp_thread

cdef uint64_t threads = 0  # that got a number
cdef int forks = 0  # that led from the process which imported this to the present one
cdef uint64_t survivor = 0  # the thread that came through the last of them


cdef uint64_t this_thread() noexcept:
    global threads
    global fastbp_thread
    if fastbp_thread == 0:
        threads += 1
        fastbp_thread = threads
    return fastbp_thread


def count_fork():
    """Called in a forked child."""
    global forks, survivor
    forks += 1
    survivor = this_thread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=count_fork)


cdef class Turn:
    """A lock for one thread at a time, which may take it again; C sees whether it is taken.

    Who has Python's lock, as all do here, takes a free one by writing it down; with threading.RLock
    a step at 64-64-10 on 32 examples took 8% longer. Others wait in a queue, each at a gate of its
    own, and who leaves hands over to the first: a thread that steps in a loop would else be back
    before the next is awake. In a forked child only the thread that forked is left: a lock that
    another had is free there, and the queue is empty.
    """

    def __enter__(self):
        self.take()

    def __exit__(self, *error):
        self.leave()

    cdef void after_fork(self) noexcept:
        # What threads that are not here had or waited for is nobody's.
        self.forks = forks
        self.first = self.last = NULL
        if self.owner != survivor:
            self.depth = 0

    cdef bint take(self) except -1:
        cdef uint64_t me = this_thread()
        if self.forks != forks:
            self.after_fork()
        if self.depth and self.owner == me:
            self.depth += 1
        elif self.depth:
            self.wait(me)
        else:
            self.owner, self.depth = me, 1
        return True

    cdef void leave(self) noexcept:
        cdef Waiter* next
        if self.forks != forks:
            self.after_fork()
        self.depth -= 1
        if self.depth == 0 and self.first != NULL:
            next = self.first
            self.first = next.behind
            if self.first == NULL:
                self.last = NULL
            self.owner, self.depth = next.thread, 1
            PyThread_release_lock(next.gate)

    cdef bint wait(self, uint64_t me) except -1:
        # Until it is handed over; Ctrl-C ends that.
        cdef Waiter own
        own.thread, own.behind, own.forks = me, NULL, forks
        own.gate = PyThread_allocate_lock()
        if own.gate == NULL:
            raise MemoryError("no room for a lock")
        PyThread_acquire_lock(own.gate, NOWAIT_LOCK)
        if self.last == NULL:
            self.first = &own
        else:
            self.last.behind = &own
        self.last = &own
        try:
            while True:
                with nogil:
                    if PyThread_acquire_lock_timed(own.gate, -1, 1) == PY_LOCK_ACQUIRED:
                        break
                PyErr_CheckSignals()
                if own.forks != forks:  # a handler did, and this is the child: there is no queue
                    return self.was_handed_over(me) or self.take()
        except BaseException:
            self.give_up(&own)
            raise
        finally:
            PyThread_release_lock(own.gate)
            PyThread_free_lock(own.gate)
        return True

    cdef bint was_handed_over(self, uint64_t me) noexcept:
        # In a forked child, whether this thread, which waited, was given the lock before the fork.
        if self.forks != forks:
            self.after_fork()
        return self.depth > 0 and self.owner == me

    cdef void give_up(self, Waiter* own) noexcept:
        # Leave the queue, or what was handed over meanwhile.
        cdef Waiter* before = NULL
        cdef Waiter* one = self.first
        if own.forks != forks:
            if self.was_handed_over(own.thread):
                self.leave()
            return
        while one != NULL and one != own:
            before, one = one, one.behind
        if one == NULL:
            PyThread_acquire_lock(own.gate, NOWAIT_LOCK)
            self.leave()
            return
        if before == NULL:
            self.first = own.behind
        else:
            before.behind = own.behind
        if self.last == own:
            self.last = before

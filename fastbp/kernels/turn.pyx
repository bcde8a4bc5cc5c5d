"""The lock of a network."""

import os
import threading

cdef int forks = 0  # that led from the process which imported this to the present one


def count_fork():
    """Called in a forked child."""
    global forks
    forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=count_fork)


cdef class Turn:
    """A lock for one thread at a time, which may take it again; C sees whether it is taken.

    In a forked child only the thread that forked is left: a lock that another had is free there.
    """

    def __cinit__(self):
        self.lock, self.depth, self.forks = threading.RLock(), 0, forks

    def __enter__(self):
        me = threading.get_ident()
        if self.forks != forks:
            if self.owner != me:
                self.lock, self.depth = threading.RLock(), 0
            self.forks = forks
        self.lock.acquire()
        self.owner = me
        self.depth += 1

    def __exit__(self, *error):
        self.depth -= 1
        self.lock.release()

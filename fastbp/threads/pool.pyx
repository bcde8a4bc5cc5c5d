"""How many threads fastbp may use, the pool they come from, and the workspace each has.

One limit holds for the process: the innermost `thread_limit`, or what a tool like threadpoolctl
has set, or else a count of CPUs made at the first need and again after a fork.
"""

from libc.stdint cimport int64_t, uint64_t

import numpy as np

from fastbp import checks
from fastbp.threads import cpus
from fastbp.errors import ConfigError

cdef extern from "limit.h" nogil:
    int fastbp_get_num_threads()
    int limit_get()
    void limit_set(int threads)
    void limit_counter(int (*count)() noexcept nogil)
    int limit_counted()
    void limit_keep_count(int threads)

cdef extern from "pool.h" nogil:
    void pool_run(int threads, int parts, const double* given, pool_task task, void* context)
    int pool_warm()
    int pool_thread()

cdef extern from "speeds.h" nogil:
    void speeds_shares(int threads, double* upto)

cdef extern from "workspace.h" nogil:
    void* workspace()


cdef int c_threads() noexcept nogil:
    return fastbp_get_num_threads()


cdef void c_shares(int threads, double* upto) noexcept nogil:
    speeds_shares(threads, upto)


cdef void c_pool_run(
        int threads, int parts, const double* given, pool_task task, void* context) noexcept nogil:
    pool_run(threads, parts, given, task, context)


cdef void* c_workspace() noexcept nogil:
    return workspace()


cdef int c_pool_warm() noexcept nogil:
    return pool_warm()


# The limit. Lists and numbers change together because nothing here lets go of the lock in between.

cdef list owners = []  # of the limits in force, innermost last
cdef list outside = []  # beside each, the limit that held around it; 0: none was set


cdef int count() noexcept with gil:
    try:
        return num_threads()
    except Exception:  # num_threads() raises it to whoever asks from Python
        return 1


limit_counter(count)


def num_threads():
    """How many threads fastbp may use for one call.

    Returns
    -------
    int
        >= 1.

    Raises
    ------
    ConfigError
        FASTBP_NUM_THREADS is needed and no whole number from 1 to 1024.

    Examples
    --------
    >>> from fastbp.threads.pool import num_threads
    >>> num_threads() >= 1
    True
    """
    if limit_get() == 0 and limit_counted() == 0:
        limit_keep_count(cpus.default_threads())
    return fastbp_get_num_threads()


def enter_limit(owner, int threads):
    """Let a limit hold, 0 lifting those around it, until its owner leaves.

    Parameters
    ----------
    owner : object
        Whose limit it is.
    threads : int
        0 to 1024; 0 counts CPUs and reads the environment anew.

    Examples
    --------
    >>> from fastbp.threads.pool import enter_limit, leave_limit, num_threads
    >>> enter_limit("me", 3)
    >>> num_threads()
    3
    >>> leave_limit("me")
    """
    if threads == 0:
        limit_keep_count(cpus.default_threads())
    owners.append(owner)
    outside.append(limit_get())
    limit_set(threads)


def leave_limit(owner):
    """Take back the owner's innermost limit; limits entered since then by others stay.

    Parameters
    ----------
    owner : object
        The very object that entered.

    Raises
    ------
    ConfigError
        It has not entered, or has left as often as it entered.

    Examples
    --------
    >>> from fastbp.threads.pool import enter_limit, leave_limit
    >>> enter_limit("me", 3)
    >>> leave_limit("me")
    """
    cdef Py_ssize_t i = len(owners) - 1
    while i >= 0 and owners[i] is not owner:
        i -= 1
    if i < 0:
        raise ConfigError(f"{owner}: got an exit without an entry; wanted one for each")
    del owners[i]
    before = outside.pop(i)
    if i == len(owners):
        limit_set(before)
    else:  # the one inside it now has around it what this one had
        outside[i] = before


cdef class Limit:
    """A limit for a `with` block. Compiled, so that Ctrl-C cannot come between it and the block.

    Attributes
    ----------
    n : int or None
        0 and None lift the limits around the block.

    Examples
    --------
    >>> from fastbp.threads.pool import Limit, num_threads
    >>> limit = Limit()
    >>> limit.n = 3
    >>> with limit:
    ...     num_threads()
    3
    """

    cdef public object n

    def __enter__(self):
        enter_limit(self, self.n or 0)
        return self

    def __exit__(self, *exc):
        leave_limit(self)


# A look at the pool from Python, for tests and measurements

cdef struct Look:
    int64_t* row  # (parts, 2)
    const int64_t* work  # (parts,)
    int inner
    int threads


cdef void spin(int64_t turns) noexcept nogil:
    cdef volatile uint64_t x = 0
    for _ in range(turns):
        x += 1


cdef void inner_part(void* context, int part) noexcept nogil:
    (<int64_t*>context)[0] += 1  # not atomic: they all have to run on one thread


cdef void look(void* context, int part) noexcept nogil:
    cdef Look* it = <Look*>context
    cdef int64_t* row = it.row + 2 * part
    spin(it.work[part])
    row[1] = pool_thread()
    if it.inner:
        pool_run(it.threads, it.inner, NULL, inner_part, row)
    else:
        row[0] += 1


def warm_helpers():
    """How many of the pool's helpers are awake, spinning or at work.

    Returns
    -------
    int
    """
    return pool_warm()


def shares(threads):
    """How a job's work is divided over so many threads, as fast as each was of late.

    Parameters
    ----------
    threads : int
        Of the job.

    Returns
    -------
    ndarray (threads + 1,), float64
        Thread t gets from entry t to entry t + 1, of 1; the caller is thread 0.

    Raises
    ------
    ConfigError
        `threads` is not from 1 to 1024.

    Examples
    --------
    >>> from fastbp.threads.pool import shares
    >>> shares(1)
    array([0., 1.])
    """
    upto = np.empty(checks.threads(threads) + 1)
    cdef double[::1] seen = upto
    speeds_shares(threads, &seen[0])
    return upto


def run_parts(threads, parts, *, work=0, inner=0, rounds=1, learn=False):
    """Run a job that does nothing but count, to see what the pool does.

    Parameters
    ----------
    threads, parts : int
        Of the job.
    work : int or sequence (parts,) of int
        Turns of an empty loop in each part.
    inner : int
        Parts of a job that each part starts from inside; they are counted instead.
    rounds : int
        How often to run the job.
    learn : bool
        Whether each part is one thread's share of the work, so that its time says how fast that is.

    Returns
    -------
    ndarray (parts, 2), int64
        How often each part ran, and the number of the thread that ran it last, 0 being the caller.

    Raises
    ------
    ConfigError
        `threads` is not from 1 to 1024, or another number is negative or none.
    ValueError
        `work` has another length.

    Examples
    --------
    >>> from fastbp.threads.pool import run_parts
    >>> run_parts(2, 4, rounds=3)[:, 0]
    array([3, 3, 3, 3])
    """
    cdef int n_threads = checks.threads(threads)
    cdef int n_parts = checks.integer("parts", parts, low=1)
    cdef int64_t n_rounds = checks.integer("rounds", rounds, low=0)
    cdef int64_t[:, ::1] seen = np.zeros((n_parts, 2), np.int64)
    cdef int64_t[::1] turns = np.empty(n_parts, np.int64)
    cdef double[::1] upto = shares(n_threads)
    cdef const double* learnt = &upto[0] if learn else NULL
    cdef Look it
    it.row, it.work = &seen[0, 0], &turns[0]
    for i, part in enumerate(np.broadcast_to(work, n_parts)):
        turns[i] = checks.integer("work", part, low=0)
    it.inner = checks.integer("inner", inner, low=0)
    it.threads = n_threads
    with nogil:
        for _ in range(n_rounds):
            pool_run(n_threads, n_parts, learnt, look, &it)
    return np.asarray(seen)

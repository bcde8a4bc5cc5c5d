"""The limit on fastbp's threads, and its entry in threadpoolctl's list of libraries."""

from __future__ import annotations

from contextlib import ContextDecorator

from fastbp import checks
from fastbp.threads import threadpools
from fastbp.threads.pool import Limit

threadpools.register()


class thread_limit(Limit, ContextDecorator):
    """Limit the threads that fastbp uses inside a `with` block, or inside a decorated function.

    The limit is the process's, as those of BLAS libraries are: it also holds for threads that work
    at the same time, such as those of an executor started inside the block. The innermost limit
    counts, whether smaller or larger than those around it; where blocks of several threads
    overlap, the one entered last that is still open. Only how long calls take depends on it: the
    number of threads changes no bit of any result.

    Outside of every block the limit is ``FASTBP_NUM_THREADS``, or else the number of CPUs this
    process may use (its affinity and its cgroup's quota) and no more than ``OMP_NUM_THREADS``.
    That is read at the first need, after a fork, and by ``thread_limit(None)``.

    Parameters
    ----------
    n : int or None
        Threads, 1 to 1024. More than there are CPUs is allowed and slow. None lifts the limits
        around the block.

    Raises
    ------
    ConfigError
        `n` is no such number; on entering, with None, FASTBP_NUM_THREADS is none.

    Examples
    --------
    >>> import fastbp as bp
    >>> X, y = bp.data.digits()
    >>> net = bp.mlp([64, 32, 10], rng=0)
    >>> with bp.thread_limit(1):
    ...     history = net.fit(X, y, epochs=1, progress=False)

    >>> @bp.thread_limit(1)
    ... def train():
    ...     return net.fit(X, y, epochs=1, progress=False)
    """

    def __init__(self, n: int | None) -> None:
        self.n = None if n is None else checks.threads(n, name="n")

    def __repr__(self) -> str:
        return f"thread_limit({self.n})"

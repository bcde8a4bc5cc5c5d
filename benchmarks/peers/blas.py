"""The thread count of the BLAS that NumPy, SciPy and scikit-learn call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

try:
    from threadpoolctl import threadpool_limits
except ImportError:
    threadpool_limits = None

COUNTS = () if threadpool_limits is None else (1, 2)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Every BLAS of this process uses n threads; without threadpoolctl, as many as it did."""
    if threadpool_limits is None:
        yield
        return
    with threadpool_limits(n, user_api="blas"):
        yield

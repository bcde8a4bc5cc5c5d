"""One CPU for one thread. To be called before NumPy, PyTorch or JAX is imported."""

from __future__ import annotations

import os
import sys

POOLS = ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "FASTBP")


class TooFewCPUs(Exception):
    """This process may run on fewer CPUs than the grid has threads."""


def allowed() -> list[int]:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(threads: int) -> None:
    """Keep this process on its first `threads` CPUs, and every pool of threads at that size.

    JAX takes every CPU it sees and obeys no variable, which is why the process is pinned.
    """
    cpus = allowed()[:threads]
    if len(cpus) < threads:
        raise TooFewCPUs(f"needs {threads} CPUs; this process may run on {len(cpus)}")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)
    else:
        print("this system cannot pin a process: JAX takes every CPU", file=sys.stderr)
    for pool in POOLS:
        os.environ[f"{pool}_NUM_THREADS"] = str(threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")

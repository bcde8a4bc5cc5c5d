"""The benchmarks of fastbp: a module per family of kernels, then the whole step and fit.

One BLAS thread, unless OPENBLAS_NUM_THREADS says otherwise. The environment alone would not do:
asv imports NumPy before it imports this package, and `asv run --python=same` passes over the
variables in asv.conf.json.
"""

import contextlib
import os

from threadpoolctl import threadpool_limits

import fastbp  # noqa: F401  # loads the BLAS of NumPy and of SciPy, so that both are limited

threadpool_limits(int(os.environ.get("OPENBLAS_NUM_THREADS", "1")))

# Since 0.3 asv_runner times one call after each setup: a step of 0.6 us takes 70 us so, with cold
# caches. As before, one setup and then many calls in a row:
with contextlib.suppress(ImportError):  # the tests import this package without asv
    from asv_runner.benchmarks.time import TimeBenchmark

    TimeBenchmark._setup_isolates_timed_calls = False

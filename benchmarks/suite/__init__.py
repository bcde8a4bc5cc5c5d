"""The benchmarks of fastbp: a module per family of kernels, then the whole step and fit.

One BLAS thread, unless OPENBLAS_NUM_THREADS says otherwise. The environment alone would not do:
asv imports NumPy before it imports this package, and `asv run --python=same` passes over the
variables in asv.conf.json.
"""

import os

from threadpoolctl import threadpool_limits

import fastbp  # noqa: F401  # loads the BLAS of NumPy and of SciPy, so that both are limited

threadpool_limits(int(os.environ.get("OPENBLAS_NUM_THREADS", "1")))

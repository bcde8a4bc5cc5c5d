"""The benchmarks of fastbp: a module per family of kernels, then the whole step and fit.

One thread unless the caller's environment says otherwise: two BLAS pools that share a machine's
cores measure the scheduler. It must be said before NumPy is imported, and said here, because
`asv run --python=same` passes over the environment variables of asv.conf.json.
"""

import os

for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

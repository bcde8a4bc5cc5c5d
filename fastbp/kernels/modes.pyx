"""The calling thread's floating-point mode, kept over whatever may change it."""

from fastbp.kernels.chain cimport fpmode, fpmode_get, fpmode_set


cdef class kept_mode:
    """Give the thread back its floating-point mode: rounding, and whether denormals count as zero.

    A part may change it in any of its functions, and a library that was linked with -ffast-math
    does when it is loaded.

    Examples
    --------
    >>> from fastbp.kernels.modes import kept_mode
    >>> with kept_mode():
    ...     import math  # or what else is not to be trusted
    """

    cdef fpmode before

    def __enter__(self):
        self.before = fpmode_get()

    def __exit__(self, *error):
        fpmode_set(self.before)

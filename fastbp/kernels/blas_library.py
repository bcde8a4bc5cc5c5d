"""A BLAS library that the user names: its routines are looked up, and tested before they are used.

This runs once in a process, through ctypes. What computes with the routines is in blas.pyx.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from fastbp.errors import ConfigError
from fastbp.kernels.blas_cases import CASES, call, dtype_of

# How libraries spell a routine. SciPy's OpenBLAS puts its own name in front, so that two OpenBLAS
# can live in one process. By custom 64 in a name says that integers have 64 bits; not every
# library with such integers says so.
SPELLINGS = ("{}_", "{}", "scipy_{}_")
SPELLINGS_64 = ("{}_64_", "{}64_", "{}_64", "scipy_{}_64_", "scipy_{}64_")
TRIAL_SECONDS = 60


def load(path: str, names: Sequence[str]) -> tuple[list[int], str]:
    """Open a library for good and test its routines.

    Parameters
    ----------
    path : str
        Value of FASTBP_BLAS, not empty.
    names : sequence of str
        The routines, as in "dgemm": a letter for the float type and one of CASES.

    Returns
    -------
    addresses : list of int
        Where each routine begins.
    description : str
        What the library calls itself, and its path.

    Raises
    ------
    ConfigError
        The path leads to no library that can be used.
    """
    if not os.path.isabs(path):
        refuse(path, "wanted the absolute path of a BLAS library")
    if not os.path.exists(path):
        refuse(path, "there is no such file")
    if not os.path.isfile(path):
        refuse(path, "wanted the file of a BLAS library, not a folder or a device")
    if sys.byteorder != "little":
        refuse(path, "another BLAS than SciPy's can be used on little-endian machines only")
    if hasattr(os, "fork"):
        try_apart(path, names)
    return open_and_test(path, names)


def try_apart(path: str, names: Sequence[str]) -> None:
    """Open and test the library in a child process first, for it may end the process.

    MKL does where one of its own files is missing; a library that only looks like BLAS may crash.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Since Python 3.12 there is one about threads, whose locks a child can never get. This
        # child takes none but the loader's, and an alarm ends it should it wait for that.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(TRIAL_SECONDS)
            with contextlib.suppress(Exception):  # the parent will meet the same
                open_and_test(path, names)
            os.write(writing, b"lived")
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        lived = pipe.read()
    code: int | str = "unknown"
    with contextlib.suppress(ChildProcessError):  # where the program takes no notice of children
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not lived:
        refuse(path, f"it ended the process that tried it (exit code {code})")


def open_and_test(path: str, names: Sequence[str]) -> tuple[list[int], str]:
    try:
        library = ctypes.CDLL(path)  # RTLD_NOW | RTLD_LOCAL; ctypes never closes it
    except OSError as exc:
        refuse(path, f"it cannot be loaded as a library ({exc})", exc)
    routines = find(path, library, names)
    # Widths come first: only a routine of the right width may be handed more than a vector.
    for name, routine in routines.items():
        if name[1:] == "axpy":
            require_32_bits(path, name, routine)
    for name, routine in routines.items():
        for got, want in CASES[name[1:]](routine, dtype_of(name)):
            if not np.array_equal(got, want, equal_nan=True):
                refuse(path, f"its {name} computes wrong numbers")
    addresses = [ctypes.cast(routines[name], ctypes.c_void_p).value or 0 for name in names]
    return addresses, f"{own_name(library)} ({path})"


def refuse(path: str, why: str, cause: OSError | None = None) -> NoReturn:
    raise ConfigError(f"FASTBP_BLAS: got {path!r}; {why}") from cause


def find(path: str, library: ctypes.CDLL, names: Sequence[str]) -> dict[str, Any]:
    """All the routines in one spelling."""
    for spelling in SPELLINGS:
        if hasattr(library, spelling.format(names[0])):
            break
    else:
        for spelling in SPELLINGS_64:
            if hasattr(library, spelling.format(names[0])):
                found = spelling.format(names[0])
                refuse(path, f"wanted 32-bit integers (LP64), not 64-bit (ILP64: it has {found})")
        spelling = SPELLINGS[0]
    missing = [name for name in names if not hasattr(library, spelling.format(name))]
    if missing:
        refuse(path, f"wanted a BLAS library; it has no {', '.join(missing)}")
    routines = {name: library[spelling.format(name)] for name in names}
    for routine in routines.values():
        routine.restype = None
    return routines


def require_32_bits(path: str, name: str, axpy: Any) -> None:
    """Refuse a routine that reads integers of 64 bits.

    The length is 4 when 32 bits of its cell are read, and below zero when all are: BLAS then
    returns at once, touching nothing.
    """
    y, want = np.zeros(8, dtype_of(name)), np.zeros(8)
    want[:4] = 3
    call(axpy, 4 - (1 << 32), np.full(1, 3, y.dtype), np.ones(8, y.dtype), 1, y, 1)
    if not y.any():
        refuse(path, f"wanted 32-bit integers (LP64), not 64-bit (ILP64, as its {name} reads them)")
    if not np.array_equal(y, want):
        refuse(path, f"its {name} computes wrong numbers")


def own_name(library: ctypes.CDLL) -> str:
    """Name and version, where the library has a function that tells them."""
    for symbol in ("openblas_get_config", "scipy_openblas_get_config"):
        if hasattr(library, symbol):
            return text_of(library[symbol])
    if hasattr(library, "bli_info_get_version_str"):
        return f"BLIS {text_of(library['bli_info_get_version_str'])}"
    if hasattr(library, "MKL_Get_Version_String"):
        buffer = ctypes.create_string_buffer(256)
        library["MKL_Get_Version_String"](buffer, len(buffer))
        return buffer.value.decode(errors="replace").strip()
    return "a BLAS that does not tell its name"


def text_of(function: Any) -> str:
    function.restype = ctypes.c_char_p
    return (function() or b"").decode(errors="replace").strip()

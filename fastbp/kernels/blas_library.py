"""A BLAS library that the user names: its routines are looked up, and tested before they are used.

This runs once in a process, through ctypes. What computes with the routines is in blas.pyx.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastbp.errors import ConfigError

# How libraries spell a routine. SciPy's OpenBLAS puts its own name in front, so that two OpenBLAS
# can live in one process. By custom 64 in a name says that integers have 64 bits; not every
# library with such integers says so.
SPELLINGS = ("{}_", "{}", "scipy_{}_")
SPELLINGS_64 = ("{}_64_", "{}64_", "{}_64", "scipy_{}_64_", "scipy_{}64_")

Array = NDArray[Any]
Pairs = Iterator[tuple[Array, Array]]  # what a routine made, and what it should have made


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


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(np.float32 if name[0] == "s" else np.float64)


def call(routine: Any, *arguments: Array | bytes | int) -> None:
    """Pass everything by address, integers in cells of 64 bits.

    A small number in such a cell reads the same at both widths.
    """
    routine(
        *(
            ctypes.c_void_p(argument.ctypes.data)
            if isinstance(argument, np.ndarray)
            else ctypes.c_char_p(argument)
            if isinstance(argument, bytes)
            else ctypes.byref(ctypes.c_int64(argument))
            for argument in arguments
        )
    )


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


# Each of these gives what a routine made and what it should have made. All numbers are small whole
# ones, so that every order of summation gives the same bits; what is not to be read is NaN.


def matrix(rows: int, columns: int, dtype: np.dtype[Any]) -> Array:
    """Stored by columns, with two more entries between one column and the next."""
    full = np.full((rows + 2, columns), np.nan, dtype, order="F")
    full[:rows] = np.arange(rows * columns).reshape(rows, columns) * 7 % 11 - 5
    return full


def vector(size: int, step: int, dtype: np.dtype[Any]) -> Array:
    """`size` numbers, one in every `step` entries."""
    full = np.full(size * step, np.nan, dtype)
    full[::step] = np.arange(size) * 5 % 9 - 4
    return full


def scalars(dtype: np.dtype[Any], *pairs: tuple[int, int]) -> Iterator[tuple[Array, Array]]:
    return ((np.full(1, a, dtype), np.full(1, b, dtype)) for a, b in pairs)


def gemm_cases(routine: Any, dtype: np.dtype[Any]) -> Pairs:
    """C = alpha op(A) op(B) + beta C, where beta = 0 does not read C."""
    sizes = (5, 3, 4), (37, 21, 29)
    for (m, n, k), a_op, b_op in itertools.product(sizes, (b"N", b"T"), (b"N", b"T")):
        A = matrix(m, k, dtype) if a_op == b"N" else matrix(k, m, dtype)
        B = matrix(k, n, dtype) if b_op == b"N" else matrix(n, k, dtype)
        left = A[:-2] if a_op == b"N" else A[:-2].T
        right = B[:-2] if b_op == b"N" else B[:-2].T
        product = (left[:, :, None] * right).sum(1)
        for alpha, beta in scalars(dtype, (1, 0), (1, 1), (-2, 3)):
            C = matrix(m, n, dtype)
            want = C.copy()
            want[:m] = alpha * product + beta * C[:m]
            if beta == 0:
                C[:m] = np.nan
            call(routine, a_op, b_op, m, n, k, alpha, A, len(A), B, len(B), beta, C, len(C))
            yield C, want


def gemv_cases(routine: Any, dtype: np.dtype[Any]) -> Pairs:
    """y = alpha op(A) x + beta y."""
    for (m, n), op, step in itertools.product(((5, 3), (37, 21)), (b"N", b"T"), (1, 3)):
        A = matrix(m, n, dtype)
        x = vector(n if op == b"N" else m, step, dtype)
        product = ((A[:m] if op == b"N" else A[:m].T) * x[::step]).sum(1)
        for alpha, beta in scalars(dtype, (1, 1), (-2, 3)):
            y = vector(len(product), 2 * step, dtype)
            want = y.copy()
            want[:: 2 * step] = alpha * product + beta * y[:: 2 * step]
            call(routine, op, m, n, alpha, A, len(A), x, step, beta, y, 2 * step)
            yield y, want


def ger_cases(routine: Any, dtype: np.dtype[Any]) -> Pairs:
    """A += alpha x yᵀ."""
    for (m, n), step in itertools.product(((5, 3), (37, 21)), (1, 3)):
        A, x, y = matrix(m, n, dtype), vector(m, step, dtype), vector(n, 2 * step, dtype)
        want = A.copy()
        want[:m] += -2 * x[::step, None] * y[:: 2 * step]
        call(routine, m, n, np.full(1, -2, dtype), x, step, y, 2 * step, A, len(A))
        yield A, want


def axpy_cases(routine: Any, dtype: np.dtype[Any]) -> Pairs:
    """y += alpha x."""
    for n, step in itertools.product((3, 67), (1, 3)):
        x, y = vector(n, step, dtype), vector(n, 2 * step, dtype)
        want = y.copy()
        want[:: 2 * step] += -2 * x[::step]
        call(routine, n, np.full(1, -2, dtype), x, step, y, 2 * step)
        yield y, want


CASES: dict[str, Callable[[Any, np.dtype[Any]], Pairs]] = {
    "gemm": gemm_cases,
    "gemv": gemv_cases,
    "ger": ger_cases,
    "axpy": axpy_cases,
}


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

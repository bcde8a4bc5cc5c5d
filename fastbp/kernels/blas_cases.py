"""What every BLAS routine that fastbp uses must compute, as tests of a library nobody knows yet.

Each of the `*_cases` gives what a routine made and what it should have made. All numbers are small
whole ones, so that every order of summation gives the same bits; what is not to be read is NaN.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pairs = Iterator[tuple[Array, Array]]


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

"""Arrays that start on a cache line, as the kernels' vectors like it.

A step at 784-128-10 on one example takes a fifth longer where they do not. Huge pages were
measured too, and gained nothing more; NumPy asks for them from 4 MB upward, and the kernels for the
one in which they pack (threads/src/workspace.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from fastbp.checks import Array

LINE = 64  # bytes of a cache line, and of the widest register


def arena(
    shapes: Sequence[tuple[int, ...]],
    dtype: np.dtype[Any],
    memory: Callable[..., Array] = np.empty,
) -> list[Array]:
    """Arrays in one piece of memory, each on a cache line, uninitialised unless by `memory`."""
    sizes = [dtype.itemsize * prod(shape) for shape in shapes]
    lines = [-(-size // LINE) * LINE for size in sizes]
    whole = memory(sum(lines) + LINE, np.uint8)
    at = -whole.ctypes.data % LINE
    arrays = []
    for shape, size, room in zip(shapes, sizes, lines, strict=True):
        arrays.append(whole[at : at + size].view(dtype).reshape(shape))
        at += room
    return arrays


def per_row(rows: int, shapes: Iterable[tuple[int, ...]], dtype: np.dtype[Any]) -> list[Array]:
    """An arena of arrays that have so many rows, of these shapes."""
    return arena([(rows, *shape) for shape in shapes], dtype)


def first_rows(arrays: Iterable[Array], rows: int) -> list[Array]:
    """Views of the first rows of each."""
    return [array[:rows] for array in arrays]


def zeros(n: int, dtype: np.dtype[Any]) -> Array:
    """A vector of n zeros."""
    return arena([(n,)], dtype, np.zeros)[0]


def line_copy(array: Array) -> Array:
    """A copy that starts on a cache line."""
    copy = arena([array.shape], array.dtype)[0]
    copy[...] = array
    return copy


def aligned(array: Array) -> Array:
    """The vector, or a copy of it that starts on a cache line."""
    return array if array.ctypes.data % LINE == 0 else line_copy(array)


def with_copies(arrays: Iterable[Array]) -> list[tuple[Array, Array]]:
    """Each array beside a copy of what it holds, to be put back from."""
    return [(array, array.copy()) for array in arrays]

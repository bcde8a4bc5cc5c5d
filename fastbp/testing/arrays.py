"""Arrays as the checks need them: with marked memory around, compared by bits or by size."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.checks import Array

GUARD = 4096  # bytes on either side of an array
TOLERANCE = {"float32": 2e-4, "float64": 1e-9}  # of max|got - want| / max|want|


class Guarded:
    """Makes arrays with marked memory on either side, and finds out who wrote there."""

    def __init__(self, mark: int = 0xFF) -> None:
        self._mark = mark  # 0xFF: a float read there is NaN
        self._zones: list[tuple[str, Array]] = []

    def array(self, name: str, shape: tuple[int, ...], dtype: Any, fill: float) -> Array:
        """A C-contiguous array, aligned to 64 bytes, full of `fill`."""
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        memory = np.full(size + 2 * GUARD + 64, self._mark, np.uint8)
        start = GUARD + (-(memory.ctypes.data + GUARD)) % 64
        self._zones += [(name, memory[:start]), (name, memory[start + size :])]
        array: Array = memory[start : start + size].view(kind).reshape(shape)
        array.fill(fill)
        return array

    def copy(self, name: str, array: Array) -> Array:
        """A copy of `array` in guarded memory."""
        copied = self.array(name, array.shape, array.dtype, 0)
        copied[...] = array
        return copied

    def broken(self) -> list[str]:
        """The names of the arrays next to which something was written."""
        return [name for name, zone in self._zones if not (zone == self._mark).all()]


def same_bits(one: Array, other: Array) -> bool:
    """Whether two arrays hold the same bytes (one NaN is as good as another)."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.tobytes() == other.tobytes():
        return True
    return one.dtype.kind == "f" and bool(np.array_equal(one, other, equal_nan=True))


def error(got: Array, want: Array, whole: Array | None = None) -> float:
    """max|got - want| / max|want|; equal NaN and infinities count as equal.

    `whole` is what `want` is a part of, for the scale. Only finite numbers make a scale.
    """
    if got.size == 0:
        return 0.0
    got, want = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(got - want)
    apart[(got == want) | (np.isnan(got) & np.isnan(want))] = 0
    if not np.isfinite(apart).all():
        return float("inf")
    of = want if whole is None else whole.astype(np.float64)
    scale = np.abs(of[np.isfinite(of)]).max(initial=0)
    return float(apart.max() / (scale if scale > 0 else 1))


def close(got: Array, want: Array) -> bool:
    """Whether two arrays agree as far as the coarser type of the two allows."""
    coarser = min(got.dtype, want.dtype, key=lambda dtype: dtype.itemsize)
    return error(got, want) <= TOLERANCE[coarser.name]

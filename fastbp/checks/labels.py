"""What y holds: classes, rows of probabilities, values, labels in [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.checks.arrays import as_real, cast, place, viewed
from fastbp.checks.operands import Array
from fastbp.errors import LabelError, ShapeError

RAVEL = "pass y.ravel(), or numpy.ravel(y) where y is no array"


def targets(value: Any, batch: int) -> Array:
    """Labels or values as a real array with one row per example."""
    array = value if isinstance(value, np.ndarray) else viewed("y", value)
    if array.dtype.kind in "OSUT" and array.size and isinstance(array.flat[0], str):
        raise LabelError(
            f"y: got text ({str(array.flat[0])!r}); wanted classes 0, 1, ... "
            "(numpy.unique(y, return_inverse=True) numbers them)"
        )
    array = as_real("y", array)
    if array.ndim == 0 or array.shape[0] != batch:
        raise ShapeError(f"y: got shape {array.shape}; wanted {batch} rows, as many as X")
    return array


def class_targets(y: Array, n_out: int, dtype: np.dtype[Any], rows: Array | None = None) -> Array:
    """Rank decides: (batch,) are classes, returned as int64; (batch, n_out) probability rows.

    Rows that hold NaN or infinity pass, as values do: who may not compute with them looks himself.
    Sums are judged before the cast, by what the dtype that came can round.
    """
    if y.ndim == 1:
        return _classes(y, n_out, rows)
    if y.ndim == 2 and y.shape[1] == 1:
        raise ShapeError(f"y: got shape {y.shape}; wanted ({y.shape[0]},): {RAVEL}")
    if y.ndim != 2 or y.shape[1] != n_out:
        batch = y.shape[0]
        raise ShapeError(f"y: got shape {y.shape}; wanted ({batch},) or ({batch}, {n_out})")
    p = cast("y", y, dtype, rows)
    with np.errstate(all="ignore"):
        sums = y.sum(axis=1, dtype=np.float64)
    good = (y >= 0).all(axis=1) & (np.abs(sums - 1) <= _slack_of_sums(y.dtype, n_out))
    good |= ~np.isfinite(y).all(axis=1)
    if not good.all():
        row = int(np.argmin(good))
        raise LabelError(
            f"y: got {_row(p[row])} at {place((row,), rows)}, which sums to {sums[row]:.6g}; "
            "wanted probabilities >= 0 that sum to 1 (several labels per row need "
            "loss='sigmoid_cross_entropy')"
        )
    return p


def _slack_of_sums(dtype: np.dtype[Any], n: int) -> float:
    """How far from 1 the sum of n probabilities in that dtype may be.

    Rounding moves each by eps / 2 of itself or half of the least number, and as much again where
    the division by their sum was made in that dtype.
    """
    if dtype.kind != "f":
        return 1e-4
    limits = np.finfo(dtype)
    return max(1e-4, float(limits.eps) + n * float(limits.smallest_subnormal))


def _classes(y: Array, n_out: int, rows: Array | None) -> Array:
    y = y.copy()  # kernels index by labels, so nobody else may write into them once checked
    if y.dtype.kind == "f":
        whole = np.isfinite(y) & (y == np.floor(y))
        if not whole.all():
            row = int(np.argmin(whole))
            raise LabelError(
                f"y: got {y[row]} at {place((row,), rows)}; wanted whole numbers 0..{n_out - 1}"
            )
    outside = (y < 0) | (y >= n_out)
    if outside.any():
        row = int(np.argmax(outside))
        raise LabelError(f"y: got {y[row]} at {place((row,), rows)}; wanted classes 0..{n_out - 1}")
    return np.require(y, dtype=np.int64, requirements=["C", "A"])


def value_targets(y: Array, n_out: int, dtype: np.dtype[Any], rows: Array | None = None) -> Array:
    """Values as (batch, n_out); (batch,) will do for one output. Nothing is broadcast."""
    batch = y.shape[0]
    if y.ndim == 1 and n_out == 1:
        y = y.reshape(batch, 1)
    if y.shape != (batch, n_out):
        also = f" or ({batch},)" if n_out == 1 else ""
        raise ShapeError(f"y: got shape {y.shape}; wanted ({batch}, {n_out}){also}")
    return cast("y", y, dtype, rows)


def binary_targets(y: Array, n_out: int, dtype: np.dtype[Any], rows: Array | None = None) -> Array:
    """As values, and each in [0, 1]; NaN and infinity pass as they do there."""
    t = value_targets(y, n_out, dtype, rows)
    good = (t >= 0) & (t <= 1) | ~np.isfinite(t)
    if not good.all():
        where = tuple(np.argwhere(~good)[0])
        raise LabelError(f"y: got {t[where]} at {place(where, rows)}; wanted labels in [0, 1]")
    return t


def _row(row: Array) -> str:
    return np.array2string(row, threshold=6, edgeitems=2, precision=4)

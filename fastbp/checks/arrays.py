"""Arrays as users hand them over: viewed, cast, measured and looked through."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.checks.operands import FLOATS, Array
from fastbp.errors import ConfigError, DtypeError, NonFiniteError, ShapeError


def as_real(name: str, value: Any) -> Array:
    """View anything array-like as a real ndarray; complex, object and text are refused by name."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise NonFiniteError(f"{name}: got a masked array; wanted no masked entries")
    if not isinstance(value, np.ndarray):
        value = viewed(name, value)
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise DtypeError(f"{name}: got dtype {array.dtype}; wanted real numbers")
    return array


def viewed(name: str, value: Any) -> Array:
    """View anything array-like as an ndarray of any dtype."""
    try:
        if hasattr(value, "to_numpy"):
            return _from_frame(name, value)
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        array = np.asarray(value)
    except (DtypeError, MemoryError):
        raise
    except ValueError as exc:  # rows of different lengths
        raise ShapeError(f"{name}: got {type(value).__name__} ({exc}); wanted an array") from exc
    except Exception as exc:  # a tensor on another device or in a graph says so in its own way
        raise DtypeError(f"{name}: got {type(value).__name__} ({exc}); wanted an array") from exc
    if array.ndim == 0 and array.dtype.kind == "O":
        hint = f" ({name}.toarray() makes one)" if hasattr(value, "toarray") else ""
        raise DtypeError(f"{name}: got {type(value).__name__}; wanted a dense array{hint}")
    return array


def _from_frame(name: str, frame: Any) -> Array:
    array = np.asarray(frame.to_numpy())
    if array.dtype.kind in "biuf" or not hasattr(frame, "columns"):
        return array
    for column, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if getattr(dtype, "kind", "f") not in "biuf":
            raise DtypeError(f"{name}: got column {column!r} of dtype {dtype}; wanted real numbers")
    return np.asarray(frame.to_numpy(dtype=np.float64, na_value=np.nan))  # nullable numbers


def cast(
    name: str,
    array: Array,
    dtype: np.dtype[Any],
    rows: Array | None = None,
    *,
    copy: bool = False,
) -> Array:
    """C-contiguous, aligned and native in `dtype`; a finite number that would overflow raises.

    With `copy` it never is the memory of `array`. `rows` gives the caller's number of each row.
    """
    with np.errstate(all="ignore"):
        result = np.require(array, dtype=dtype, requirements=["C", "A"])
    if result is not array and array.dtype.itemsize >= dtype.itemsize and array.dtype != dtype:
        over = np.isinf(result)
        if over.any():
            over &= np.isfinite(array)
            if over.any():
                where = tuple(np.argwhere(over)[0])
                raise NonFiniteError(
                    f"{name}: got {array[where]!s} at {place(where, rows)}, which overflows "
                    f"{dtype}; wanted numbers up to {np.finfo(dtype).max:.2g}"
                )
    return result.copy() if copy and np.may_share_memory(result, array) else result


def matrix(name: str, value: Any, width: int, dtype: np.dtype[Any], *, copy: bool = False) -> Array:
    """A (batch, width) array in `dtype`, of the caller's memory where that will do.

    With `copy` it never is the caller's memory.
    """
    return cast(name, rows_of(name, value, width), dtype, copy=copy)


def rows_of(name: str, value: Any, width: int) -> Array:
    """A real (batch, width) array as it came, not yet in the network's dtype."""
    array = as_real(name, value)
    if array.ndim == 1 and array.shape[0] == width:
        tensor = isinstance(value, np.ndarray) or hasattr(value, "__dlpack__")
        one = f"{name}[None, :]" if tensor else f"numpy.atleast_2d({name})"
        raise ShapeError(
            f"{name}: got shape {array.shape}; wanted (batch, {width}); one example is {one}"
        )
    if array.ndim != 2 or array.shape[1] != width:
        raise ShapeError(f"{name}: got shape {array.shape}; wanted (batch, {width})")
    return array


def not_empty(name: str, array: Array) -> None:
    """At least one row."""
    if array.shape[0] == 0:
        raise ShapeError(f"{name}: got shape {array.shape}, an empty batch; wanted one row or more")


def finite(name: str, array: Array, rows: Array | None = None) -> None:
    """No NaN, no infinity; `rows` gives the caller's number of each row."""
    with np.errstate(all="ignore"):
        if np.isfinite(np.add.reduce(array, axis=None)):  # a sum is finite only if all terms are
            return
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(bad[0])
        raise NonFiniteError(
            f"{name}: got {array[where]} at {place(where, rows)}; wanted finite numbers"
        )


def place(where: tuple[Any, ...], rows: Array | None) -> str:
    """Row and column in words; `rows` gives the caller's number of each row."""
    first = int(where[0]) if rows is None else int(rows[where[0]])
    return f"row {first}" + (f", column {int(where[1])}" if len(where) > 1 else "")


def sample_weight(value: Any, batch: int, *, strict: bool = True) -> Array | None:
    """Weights as (batch,) float64, not negative and, if `strict`, finite; None stays None."""
    if value is None:
        return None
    name = "sample_weight"
    array = as_real(name, value)
    if array.shape != (batch,):
        raise ShapeError(f"{name}: got shape {array.shape}; wanted ({batch},)")
    weights = cast(name, array, FLOATS[1])
    if strict:
        finite(name, weights)
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        raise ConfigError(f"{name}: got {weights[row]} at row {row}; wanted numbers >= 0")
    return weights

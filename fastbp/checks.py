"""The only validation: everything a user or a plugin hands over passes through here once.

Each function returns what the kernels may trust (C-contiguous, aligned, native byte order, the
network's dtype) or raises an error that names the argument, what came and what was wanted.
Nothing is written before all checks of a call have passed.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.errors import ConfigError, DtypeError, LabelError, NonFiniteError, ShapeError

Array = NDArray[Any]
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
RAVEL = "pass y.ravel(), or numpy.ravel(y) where y is no array"
MOST_THREADS = 1024  # as many as the pool can start


def describe_shape(shape: tuple[int | None, ...], names: tuple[str, ...] = ()) -> str:
    """A wanted shape in words: free axes stand by name or as '*'."""
    words = [
        str(size) if size is not None else (names[axis] if axis < len(names) else "*")
        for axis, size in enumerate(shape)
    ]
    return f"({', '.join(words)}{',' if len(words) == 1 else ''})"


def operand(
    name: str,
    array: Any,
    shape: tuple[int | None, ...],
    dtype: np.dtype[Any] | None = None,
    *,
    out: bool = False,
) -> np.dtype[Any]:
    """Check a kernel's array argument as it is, copying nothing, and return its dtype.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    array : object
        What came: must be a C-contiguous, aligned ndarray of native float32 or float64.
    shape : tuple of int or None
        The wanted shape; None stands for any size.
    dtype : dtype, optional
        Exactly this dtype is wanted (any, e.g. int64); without it float32 or float64.
    out : bool
        The array is written to, so it must not be read-only.
    """
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise DtypeError(f"{name}: got {type(array).__name__}; wanted a NumPy array")
    found: np.dtype[Any] = array.dtype
    if found != dtype if dtype is not None else found not in FLOATS:
        wanted = dtype if dtype is not None else "float32 or float64"
        raise DtypeError(f"{name}: got dtype {found}; wanted {wanted}")
    if array.shape != shape and not _fits(array.shape, shape):
        raise ShapeError(f"{name}: got shape {array.shape}; wanted {describe_shape(shape)}")
    flags = array.flags
    if not (flags.carray if out else flags.c_contiguous and flags.aligned):
        if flags.c_contiguous and flags.aligned:
            raise ConfigError(f"{name}: got a read-only array; wanted one that can be written to")
        how = "a misaligned" if flags.c_contiguous else "a non-contiguous"
        raise ShapeError(
            f"{name}: got {how} array with strides {array.strides}; wanted C-contiguous and "
            f"aligned (numpy.require({name}, requirements='CA') copies it)"
        )
    return found


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    if len(shape) != len(wanted):
        return False
    for have, want in zip(shape, wanted, strict=True):
        if want is not None and have != want:
            return False
    return True


def no_overlap(name: str, out: Array, **inputs: Array | None) -> None:
    """Refuse an output whose memory bounds overlap those of an input."""
    for other, array in inputs.items():
        if array is not None and np.may_share_memory(out, array):
            raise ConfigError(
                f"{name}: shares memory with {other}; wanted an array with memory of its own"
            )


# Constructor and call arguments


def integer(name: str, value: Any, *, low: int) -> int:
    """A whole number of at least `low`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise ConfigError(f"{name}: got {value!r}; wanted a whole number >= {low}")
    if value < low:
        raise ConfigError(f"{name}: got {value}; wanted a whole number >= {low}")
    return int(value)


def threads(value: Any, *, name: str = "threads") -> int:
    """A number of threads: a whole number from 1 to 1024."""
    wanted = f"a whole number >= 1 and <= {MOST_THREADS}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise ConfigError(f"{name}: got {value!r}; wanted {wanted}")
    if not 1 <= (number := int(value)) <= MOST_THREADS:
        raise ConfigError(f"{name}: got {value}; wanted {wanted}")
    return number


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """One of the strings in `options`."""
    if not isinstance(value, str) or value not in options:
        wanted = ", ".join(map(repr, options[:-1])) + f" or {options[-1]!r}"
        raise ConfigError(f"{name}: got {value!r}; wanted {wanted}")
    return value


def boolean(name: str, value: Any) -> bool:
    """True or False, and nothing that only looks like it."""
    if not isinstance(value, bool | np.bool_):
        raise ConfigError(f"{name}: got {value!r}; wanted True or False")
    return bool(value)


def number(
    name: str, value: Any, *, low: float = 0.0, high: float = math.inf, open_low: bool = False
) -> float:
    """A finite real number with low <= value < high (low < value with `open_low`)."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    try:
        kept = float(value) if real else math.nan
    except OverflowError:  # a huge int
        kept = math.nan
    if not (low < kept if open_low else low <= kept) or not kept < high:
        bound = f"{'>' if open_low else '>='} {low:g}"
        if high < math.inf:
            bound += f" and < {high:g}"
        raise ConfigError(f"{name}: got {value!r}; wanted a finite number {bound}")
    return kept


def float_dtype(name: str, value: Any) -> np.dtype[Any]:
    """float32 or float64."""
    dtype: np.dtype[Any]
    try:
        dtype = np.dtype(value)
    except TypeError:
        dtype = np.dtype(object)
    if value is None or dtype not in FLOATS:  # None is float64 to NumPy
        raise DtypeError(f"{name}: got {value!r}; wanted float32 or float64")
    return dtype


# Arrays that users hand over


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
                    f"{name}: got {array[where]!s} at {_place(where, rows)}, which overflows "
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
            f"{name}: got {array[where]} at {_place(where, rows)}; wanted finite numbers"
        )


def _place(where: tuple[Any, ...], rows: Array | None) -> str:
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


# Targets, already viewed as real arrays with the batch's number of rows


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
            f"y: got {_row(p[row])} at {_place((row,), rows)}, which sums to {sums[row]:.6g}; "
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
                f"y: got {y[row]} at {_place((row,), rows)}; wanted whole numbers 0..{n_out - 1}"
            )
    outside = (y < 0) | (y >= n_out)
    if outside.any():
        row = int(np.argmax(outside))
        raise LabelError(
            f"y: got {y[row]} at {_place((row,), rows)}; wanted classes 0..{n_out - 1}"
        )
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
        raise LabelError(f"y: got {t[where]} at {_place(where, rows)}; wanted labels in [0, 1]")
    return t


def _row(row: Array) -> str:
    return np.array2string(row, threshold=6, edgeitems=2, precision=4)

"""Arrays that have to be what they are: of one shape, dtype and layout, and apart from others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.errors import ConfigError, DtypeError, ShapeError

Array = NDArray[Any]
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


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

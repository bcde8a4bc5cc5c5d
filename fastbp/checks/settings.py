"""Arguments of constructors and calls that are no arrays."""

from __future__ import annotations

import math
import numbers
import os
from typing import Any

import numpy as np

from fastbp.checks.operands import FLOATS
from fastbp.errors import ConfigError, DtypeError

MOST_THREADS = 1024  # as many as the pool can start


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


def path(name: str, value: Any) -> str:
    """Text, or an object that stands for a path."""
    try:
        text = os.fspath(value)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise DtypeError(f"{name}: got {value!r}; wanted a str or a path-like object")
    return text

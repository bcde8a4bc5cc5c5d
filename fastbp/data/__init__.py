"""Data to try fastbp on: handwritten digits, and the split that `fastbp train` holds out.

References
----------
E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0 (see ATTRIBUTION.txt beside this file).
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp import checks
from fastbp.errors import ConfigError, ShapeError

__all__ = ["digits", "split"]


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Load 1797 images of handwritten digits, bundled with fastbp.

    Returns
    -------
    X : float32 array of shape (1797, 64)
        8 x 8 pixels a row, row-major, from 0 (paper) to 1 (ink).
    y : int64 array of shape (1797,)
        The digit, 0..9.

    Examples
    --------
    >>> from fastbp.data import digits
    >>> X, y = digits()
    >>> X.shape, float(X.max()), int(y[0])
    ((1797, 64), 1.0, 0)
    """
    with files(__name__).joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        return arrays["X"].astype(np.float32) / np.float32(16), arrays["y"].astype(np.int64)


def split(y: ArrayLike, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide rows into three quarters to train on and one quarter to hold out.

    The rows are shuffled, sorted by class and every fourth one is held out, so each class of c
    rows gives up c/4 of them, rounded up or down. The same y and seed give the same split on every
    machine and with every version of NumPy.

    Parameters
    ----------
    y : array_like of shape (rows,) or (rows, n_out)
        One-dimensional integers or bools are classes, and the split is stratified. For anything
        else (values, probability rows) only the number of rows counts.
    seed : int
        From 0 to 2³² - 1; another one gives another split.

    Returns
    -------
    train, held_out : int64 arrays
        Row numbers in ascending order; together they are every row once.

    Raises
    ------
    ShapeError
        There are fewer than two rows, or they differ in length.
    ConfigError
        The seed is none; y in its place, as in ``split(X, y)``, is told what to write.

    Examples
    --------
    >>> from fastbp.data import split
    >>> train, held_out = split([0, 0, 0, 0, 1, 1, 1, 1])
    >>> len(train), held_out // 4  # one of each class
    (6, array([0, 1]))
    """
    if hasattr(seed, "__len__") and not isinstance(seed, str | bytes):
        raise ConfigError(
            f"seed: got {type(seed).__name__}; wanted a whole number >= 0 (split takes y alone and "
            "returns row numbers: train, held_out = split(y), then X[train] and y[train])"
        )
    seed = checks.integer("seed", seed, low=0)
    if seed >= 2**32:
        raise ConfigError(f"seed: got {seed}; wanted a whole number >= 0 and < 2**32")
    y = checks.viewed("y", y)
    if y.ndim == 0 or len(y) < 2:
        raise ShapeError(f"y: got shape {y.shape}; wanted at least 2 rows, to hold out one")
    # RandomState's streams are frozen; those of default_rng may change between versions of NumPy
    order = np.random.RandomState(seed).permutation(len(y)).astype(np.int64)
    if y.ndim == 1 and y.dtype.kind in "iub":
        order = order[np.argsort(y[order], kind="stable")]
    held_out = np.zeros(len(y), dtype=np.bool_)
    held_out[order[::4]] = True
    return np.flatnonzero(~held_out).astype(np.int64), np.flatnonzero(held_out).astype(np.int64)

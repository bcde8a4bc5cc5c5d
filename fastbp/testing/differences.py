"""Gradients against 4th-order central differences, kinks left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastbp.checks import Array

EPS64 = float(np.finfo(np.float64).eps)
STEPS = (1e-3, 3e-5, 1e-6)  # smaller ones step clear of kinks that are near
RTOL = 1e-6


@dataclass
class Compared:
    """One array's gradient beside its differences.

    Attributes
    ----------
    checked, left_out, not_finite : int
        Entries looked at; those of these at which the function has a kink; and those at which the
        array or the function around it is not finite, so that there is no difference to take.
    error : float
        The largest |gradient - difference|, relative to the array's largest gradient.
    worst : float
        The largest |gradient - difference| in units of what rounding explains: wrong above 1.
    at : tuple of int
        Where that is.
    got, want : float
        Gradient and difference there.
    """

    checked: int = 0
    left_out: int = 0
    not_finite: int = 0
    error: float = 0.0
    worst: float = 0.0
    at: tuple[int, ...] = ()
    got: float = 0.0
    want: float = 0.0

    @property
    def wrong(self) -> bool:
        return self.worst > 1


def compare(
    value: Callable[[], float],
    array: Array,
    gradient: Array,
    *,
    magnitude: float,
    slack: Array | None = None,
    entries: Array | None = None,
    steps: tuple[float, ...] = STEPS,
    eps: float = EPS64,
) -> Compared:
    """Compare `gradient` with differences of `value()`, which reads `array`.

    Parameters
    ----------
    value : callable
        The function at what `array` holds now.
    array, gradient : ndarray
        `array` is changed and put back.
    magnitude : float, finite
        Size of the numbers that `value` sums up: its rounding error is some eps times that.
    slack : ndarray, optional
        Error that each entry of the gradient may have on top, finite.
    entries : ndarray of int, optional
        Which entries of the flattened array; all of them otherwise.
    """
    assert np.isfinite(magnitude), magnitude  # or any gradient would do
    assert slack is None or np.isfinite(slack).all()
    found = Compared()
    flat, slopes = array.reshape(-1), gradient.reshape(-1)
    largest = float(np.abs(slopes[np.isfinite(slopes)]).max(initial=0))
    for i in range(flat.size) if entries is None else entries:
        found.checked += 1
        got = float(slopes[i])
        more = 0.0 if slack is None else float(slack.reshape(-1)[i])
        seen = _entry(value, flat, int(i), got, largest, magnitude, more, steps, eps)
        if seen is None:
            found.not_finite += 1
            continue
        apart, want, limit = seen
        if limit is None:
            found.left_out += 1
            continue
        found.error = max(found.error, apart / max(largest, abs(want), 1e-300))
        ratio = 0.0 if apart == 0 else apart / max(limit, 1e-300)
        if np.isnan(ratio) or ratio > found.worst:
            ratio = ratio if ratio == ratio else float("inf")
            found.worst, found.got, found.want = ratio, got, want
            found.at = tuple(int(n) for n in np.unravel_index(int(i), array.shape))
    return found


def _entry(
    value: Callable[[], float],
    flat: Array,
    i: int,
    got: float,
    largest: float,
    magnitude: float,
    slack: float,
    steps: tuple[float, ...],
    eps: float,
) -> tuple[float, float, float | None] | None:
    """|got - difference|, the difference and the error allowed, which is None at a kink.

    None where nothing is finite that a difference could be taken of.
    """
    here = flat[i]
    if not np.isfinite(here):
        return None
    best: tuple[float, float, float] | None = None
    for step in steps:
        size = step * max(1.0, abs(float(here)))
        tried = []
        for k in (-2, -1, 1, 2):
            flat[i] = here + k * size
            tried.append(value())
        flat[i] = here
        if not np.isfinite(tried).all():
            continue
        h, f = size, tried
        want = (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * h)
        noise = 20 * eps * max(magnitude, *map(abs, f)) / h
        limit = RTOL * max(largest, abs(want)) + noise + slack
        apart = abs(got - want)
        if apart <= limit and slack <= 0.01 * max(largest, abs(want)):
            return apart, want, limit
        if best is None or not apart / limit >= best[0] / best[2]:
            best = apart, want, limit
    if best is None:
        return None
    # Not the slope, or all may pass for it. Perhaps there is none: then the two sides disagree.
    f0 = value()
    right = (-3 * f0 + 4 * f[2] - f[3]) / (2 * h)
    left = (3 * f0 - 4 * f[1] + f[0]) / (2 * h)
    smooth = abs(right - left) <= 1e-4 * max(abs(right), abs(left)) + 4 * noise
    return best if smooth or np.isnan(got) else (0.0, want, None)

"""One call's X, y and weights: checked once, rows of weight 0 left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp import checks, registry
from fastbp.checks import Array
from fastbp.errors import ConfigError, DtypeError, FastbpError, PluginCallError
from fastbp.layout import Layout
from fastbp.losses import Loss

SMALLEST_TOTAL = 1e-300  # of the weights: within it and its reciprocal N / (rows · Σ w) is finite


@dataclass
class Batch:
    """Rows that may be computed with as they are.

    Attributes
    ----------
    x : ndarray, (rows, n_in)
    targets : ndarray, first axis rows
    weight : float64 ndarray, (rows,), or None for all ones
    kept : int ndarray, (rows,), or None for all
        The caller's number of each row.
    size : int
        The caller's number of rows.
    """

    x: Array
    targets: Array
    weight: Array | None
    kept: Array | None
    size: int

    @classmethod
    def check(
        cls,
        layout: Layout,
        loss: Loss,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        strict: bool = True,
        copy: bool = False,
    ) -> Batch:
        """Check all three; `strict` also refuses NaN and infinity in them.

        With `copy` none of the arrays is the caller's memory.
        """
        x = checks.rows_of("X", X, layout.n_in)
        checks.not_empty("X", x)
        size = len(x)
        targets = checks.targets(y, size)
        weight = checks.sample_weight(sample_weight, size, strict=strict)
        kept = None
        if weight is not None and (weight == 0).any():
            kept = np.flatnonzero(weight)
            # ranks are judged on what came: a row of weight 0 says as much about them as any
            x, targets, weight = x[kept], targets[kept], weight[kept]
        copy = copy and kept is None  # taking rows has copied them
        x = checks.cast("X", x, layout.dtype, kept, copy=copy)
        with registry.blamed(loss, "check_targets"):
            targets = loss.check_targets(targets, layout.n_out, layout.dtype, kept)
        _check_targets(loss, targets, len(x), layout)
        if strict:
            checks.finite("X", x, kept)
            if targets.dtype.kind == "f":
                checks.finite("y", targets, kept)
        if copy:
            targets = targets.copy()
        return cls(x, targets, weight, kept, size)

    def total_weight(self) -> float:
        """Σ w_n; an error where a mean over it makes no sense or leaves double's range.

        It is NaN when a weight is NaN or infinite, which no more than `loss` lets come so far.
        """
        if self.weight is None:
            return float(len(self.x))
        if not np.isfinite(self.weight).all():
            return math.nan
        with np.errstate(over="ignore"):
            total = float(self.weight.sum())
        if not SMALLEST_TOTAL <= total <= 1 / SMALLEST_TOTAL:
            raise ConfigError(
                f"sample_weight: got weights that sum to {total:g}; wanted a sum > 0, from "
                f"{SMALLEST_TOTAL:g} to {1 / SMALLEST_TOTAL:g}"
            )
        return total

    def scale(self, reduction: str) -> float:
        """The factor of Σ w_n ℓ_n: 1 / Σ w_n (mean) or 1 (sum)."""
        return 1 / self.total_weight() if reduction == "mean" else 1.0

    def row_scale(self, scale: float, dtype: np.dtype[Any]) -> Array | float:
        """scale w_n of each row in `dtype`, or the one number that all rows have."""
        if self.weight is None:
            return scale
        with np.errstate(over="ignore"):
            rows = (self.weight * scale).astype(dtype)
        if not np.isfinite(rows).all():
            row = int(np.argmin(np.isfinite(rows)))
            raise ConfigError(
                f"sample_weight: got {self.weight[row]} at row {self.number(row)}, which overflows "
                f"{dtype} in the gradient; wanted smaller weights"
            )
        return rows

    def number(self, row: int) -> int:
        """The caller's number of a row."""
        return row if self.kept is None else int(self.kept[row])

    def expand(self, losses: Array) -> Array:
        """w_n ℓ_n for every row of the caller's, 0 where the row was left out."""
        with np.errstate(over="ignore", invalid="ignore"):
            weighted = losses if self.weight is None else losses * self.weight
        if self.kept is None:
            return weighted
        whole = np.zeros(self.size)
        whole[self.kept] = weighted
        return whole

    def astype(self, dtype: np.dtype[Any]) -> Batch:
        """The same numbers in another float type; classes stay as they are."""
        targets = self.targets if self.targets.dtype.kind == "i" else self.targets.astype(dtype)
        return Batch(self.x.astype(dtype), targets, self.weight, self.kept, self.size)

    def take(self, order: Array, x: Array) -> Batch:
        """The rows in `order`; x is filled with theirs."""
        np.take(self.x, order, axis=0, out=x, mode="clip")  # "raise" would copy through a buffer
        weight = None if self.weight is None else self.weight[order]
        rows = order if self.kept is None else self.kept[order]
        return Batch(x, self.targets[order], weight, rows, self.size)


def _check_targets(loss: Loss, targets: Any, rows: int, layout: Layout) -> None:
    """What a loss made of y can be read in C: it may be anybody's loss."""
    classes = getattr(targets, "dtype", None) == np.int64
    with registry.blamed(loss, "target_width"):
        shape = (rows,) if classes else (rows, loss.target_width(layout.n_out))
    try:
        checks.operand("targets", targets, shape, np.dtype(np.int64) if classes else layout.dtype)
    except FastbpError as exc:
        name = registry.label(loss)
        raise PluginCallError(f"{name}: check_targets failed ({exc})") from exc
    if classes and rows and not (targets.min() >= 0 and targets.max() < layout.n_out):
        raise PluginCallError(
            f"{registry.label(loss)}: check_targets failed (it returned classes "
            f"{targets.min()}..{targets.max()}; wanted 0..{layout.n_out - 1})"
        )


def generator(name: str, rng: Any) -> np.random.Generator:
    """None, an int >= 0, a SeedSequence or a Generator as a Generator."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None or isinstance(rng, np.random.SeedSequence):
        return np.random.default_rng(rng)
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        return np.random.default_rng(checks.integer(name, rng, low=0))
    raise DtypeError(f"{name}: got {rng!r}; wanted None, an int, a SeedSequence or a Generator")

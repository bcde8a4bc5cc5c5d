"""One loss at one width, float type and body, with outputs and targets to run it on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastbp import registry
from fastbp.checks import Array
from fastbp.errors import DtypeError
from fastbp.kernels.bodies import LossBody
from fastbp.losses.base import Loss
from fastbp.testing.arrays import Guarded
from fastbp.testing.layer_case import DTYPES, ODD

USUAL = (3, 4, 5, 2, 1, 6, 8)


class LossRun:
    """One call of loss_and_delta or batch_loss_and_delta, each array in guarded memory.

    Attributes
    ----------
    weight : ndarray, (rows,)
        What a loss over the whole batch weights its rows with.
    losses, delta : ndarray
        What the loss gave, of the whole batch one number; delta started full of `fill`.
    returned : object
        What a Python body returned; a C body fills `losses` itself.
    """

    def __init__(
        self,
        case: LossCase,
        a: Array,
        targets: Array,
        *,
        delta: bool = True,
        fill: float = np.nan,
        mark: int = 0xFF,
    ) -> None:
        self.guarded = Guarded(mark)
        self.a = self.guarded.copy("a", a)
        self.targets = self.guarded.copy("targets", targets)
        self.delta = self.guarded.array("delta", a.shape, case.dtype, fill)
        self.weight = self.guarded.copy("weight", case.weight(len(a)))
        wanted = self.delta if delta else None
        self.returned: Any
        if case.loss.rows_independent:
            losses = self.guarded.array("losses", (len(a),), np.float64, fill)
            self.returned = case.body.loss_and_delta(self.a, self.targets, wanted, losses)
            self.losses: Array = np.array(self.returned)
        else:
            losses = self.guarded.array("losses", (1,), np.float64, fill)
            self.returned = case.body.batch_loss_and_delta(
                self.a, self.targets, self.weight, wanted, losses
            )
            self.losses = np.array([self.returned])


class LossCase:
    """One loss at one width, float type, body, and kind of targets."""

    def __init__(self, loss: Loss, n_out: int, dtype: str, python: bool, kind: str) -> None:
        self.loss, self.n_out, self.dtype, self.kind = loss, n_out, np.dtype(dtype), kind
        self.body = LossBody(loss, n_out, dtype, python, registry.label(loss))

    def __str__(self) -> str:
        body = "Python" if self.body.python else "C"
        return f"{self.loss!r}, {body} body, {self.dtype}, width {self.n_out}, {self.kind}"

    def data(self, rows: int, seed: int = 0) -> tuple[Array, Array]:
        """a and checked targets; a holds numbers that both float types hold."""
        rng = np.random.default_rng([seed, self.n_out, rows])
        a = (1.5 * rng.standard_normal((rows, self.n_out))).astype(np.float32).astype(self.dtype)
        raw = raw_targets(self.loss, rng, rows, self.n_out)[self.kind]
        return a, self.loss.check_targets(raw, self.n_out, self.dtype)

    def weight(self, rows: int) -> Array:
        """Uneven weights that sum to 1, as for a mean."""
        weight = np.random.default_rng(rows).uniform(0.5, 1.5, rows)
        return np.asarray(weight / weight.sum())

    def run(self, rows: int, seed: int = 0, **how: Any) -> LossRun:
        """A run on fresh data."""
        return LossRun(self, *self.data(rows, seed), **how)


def raw_targets(loss: Loss, rng: np.random.Generator, rows: int, n_out: int) -> dict[str, Array]:
    """Targets as a user would pass them, by kind; of kinds that the loss's own checks accept."""
    if hasattr(loss, "example_targets"):
        return {"its own targets": np.asarray(loss.example_targets(rng, rows, n_out))}
    # judged on many rows, so that a few lucky ones do not let a kind pass
    many = _tries(loss, np.random.default_rng(0), 64, n_out)
    good = [kind for kind, raw in many.items() if _accepts(loss, raw, n_out)][:2]
    assert good, (
        f"{loss!r}: check_targets refuses all targets that the kit can think of; wanted a method "
        "example_targets(rng, rows, n_out)"
    )
    tries = _tries(loss, rng, rows, n_out)
    return {kind: tries[kind] for kind in good}


def _tries(loss: Loss, rng: np.random.Generator, rows: int, n_out: int) -> dict[str, Array]:
    width = loss.target_width(n_out)
    share = rng.uniform(0.05, 1, (rows, width)).astype(np.float32)
    yes = (rng.uniform(size=(rows, width)) < 0.5).astype(np.float64)
    if loss.targets == "classes":
        probabilities = share / share.sum(axis=1, keepdims=True)
        return {"classes": rng.integers(width, size=rows), "probabilities": probabilities}
    if loss.targets == "binary":
        return {"labels": yes, "shares": share}
    normal = rng.standard_normal((rows, width)).astype(np.float32)
    return {"values": normal, "shares": share, "signs": 2 * yes - 1, "labels": yes}


def _accepts(loss: Loss, raw: Array, n_out: int) -> bool:
    try:
        loss.check_targets(raw, n_out, np.dtype(np.float64))
    except ValueError:
        return False
    return True


def fits(loss: Loss, n_out: int) -> bool:
    """Whether the loss takes that many outputs."""
    try:
        loss.target_width(n_out)
    except ValueError:
        return False
    return True


def usual_width(loss: Loss) -> int:
    """The width that most checks use."""
    for n_out in USUAL:
        if fits(loss, n_out):
            return n_out
    loss.target_width(USUAL[0])  # raises what it has against it
    raise AssertionError


def odd_widths(loss: Loss) -> list[int]:
    """Widths that are no multiple of anything, and that the loss takes."""
    return [n for n in ODD if fits(loss, n)]


def has_python(loss: Loss) -> bool:
    """Whether the loss has a Python body."""
    if loss.rows_independent:
        return type(loss).loss_and_delta is not Loss.loss_and_delta
    return type(loss).batch_loss_and_delta is not Loss.batch_loss_and_delta


def cases(
    loss: Loss, widths: Sequence[int] | None = None, dtypes: Sequence[str] = DTYPES
) -> Iterator[LossCase]:
    """Every width, type, body and kind of targets that the loss has."""
    bodies = [hasattr(loss, "__fastbp_loss__") and "C", has_python(loss) and "Python"]
    for n_out in widths if widths is not None else [usual_width(loss)]:
        for kind in raw_targets(loss, np.random.default_rng(0), 4, n_out):
            for dtype in dtypes:
                for body in filter(None, bodies):
                    try:
                        case = LossCase(loss, n_out, dtype, body == "Python", kind)
                    except DtypeError:
                        continue  # `float_types` tells
                    yield case

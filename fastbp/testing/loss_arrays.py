"""Checks of what a loss does to arrays: which it fills, and which it leaves alone."""

from __future__ import annotations

from numbers import Real

import numpy as np

from fastbp.errors import DtypeError, FastbpError
from fastbp.losses.base import Loss
from fastbp.testing import table_flags
from fastbp.testing.arrays import close, same_bits
from fastbp.testing.layer_case import DTYPES
from fastbp.testing.loss_case import LossCase, LossRun, cases, odd_widths, raw_targets, usual_width


def returned(loss: Loss) -> None:
    """loss_and_delta returns one float64 per row, in an array of its own; of a batch, a number."""
    for case in cases(loss):
        if not loss.rows_independent:
            for rows in (1, 4):  # a batch of one row comes too, where there are no pairs
                got = case.run(rows).returned
                assert isinstance(got, Real), (
                    f"{case}: returned {type(got).__name__}; wanted a float"
                )
                assert np.isfinite(float(got)), f"{case}: returned {got} for {rows} rows"
            continue
        run = case.run(4)
        got = run.returned
        assert isinstance(got, np.ndarray), (
            f"{case}: returned {type(got).__name__}; wanted an array"
        )
        assert got.dtype == np.float64, f"{case}: returned {got.dtype}; wanted losses in float64"
        assert got.shape == (4,), (
            f"{case}: returned shape {got.shape}; wanted one loss per row, (4,)"
        )
        for name in ("a", "targets", "delta"):
            assert not np.shares_memory(got, getattr(run, name)), (
                f"{case}: the losses share memory with {name}; wanted an array of their own"
            )
        kept = run.losses
        case.run(4, seed=1)
        assert same_bits(np.asarray(got), kept), (
            f"{case}: a later call changed what an earlier gave"
        )


def float_types(loss: Loss) -> None:
    """The loss computes in float32 and in float64."""
    kinds = raw_targets(loss, np.random.default_rng(0), 4, usual_width(loss))
    for dtype in DTYPES:
        for kind in kinds:
            try:
                LossCase(loss, usual_width(loss), dtype, False, kind).run(4)
            except DtypeError as exc:
                raise AssertionError(f"{exc}; a loss computes in both float types") from exc


def overwrites(loss: Loss) -> None:
    """delta is filled, and the losses too: whatever stood there does not matter."""
    for case in cases(loss):
        first = case.run(4, fill=np.nan)
        left = np.isnan(first.delta).sum()
        assert left == 0, f"{case}: {left} of {first.delta.size} entries of delta were not filled"
        assert not np.isnan(first.losses).any(), f"{case}: the losses hold NaN for ordinary outputs"
        for fill in (0.0, 1e30):
            other = case.run(4, fill=fill)
            for name in ("delta", "losses"):
                assert same_bits(getattr(first, name), getattr(other, name)), (
                    f"{case}: {name} depends on what stood there; wanted it overwritten"
                )


def inputs_unchanged(loss: Loss) -> None:
    """a, the targets and the weights are only read."""
    for case in cases(loss):
        a, targets = case.data(4)
        for delta in (True, False):
            run = LossRun(case, a, targets, delta=delta)
            read = (
                ("a", a, run.a),
                ("targets", targets, run.targets),
                ("weight", case.weight(4), run.weight),
            )
            for name, before, after in read:
                assert same_bits(before, after), f"{case}: changed {name}, which it may only read"


def delta_none(loss: Loss) -> None:
    """Without delta the losses are the same."""
    for case in cases(loss):
        with_delta, without = case.run(4), case.run(4, delta=False)
        assert close(with_delta.losses, without.losses), (
            f"{case}: the losses differ when delta is None"
        )


def in_bounds(loss: Loss) -> None:
    """Nothing is written or read beside the arrays of a call, at any width."""
    for case in cases(loss, odd_widths(loss)):
        for rows in (1, 3):
            runs = [case.run(rows, mark=mark) for mark in (0xFF, 0x4B)]
            for run in runs:
                broken = run.guarded.broken()
                assert not broken, f"{case}, {rows} rows: wrote beside {', '.join(broken)}"
            for name in ("losses", "delta"):
                assert same_bits(getattr(runs[0], name), getattr(runs[1], name)), (
                    f"{case}, {rows} rows: {name} depends on memory beside the arrays of the call"
                )


def empty_batch(loss: Loss) -> None:
    """A batch of 0 rows gives 0 losses."""
    if not loss.rows_independent:
        return  # the host does not call it then
    for case in cases(loss):
        a, targets = case.data(2)
        for delta in (True, False):
            run = LossRun(case, a[:0], targets[:0], delta=delta)
            assert run.losses.shape == (0,), (
                f"{case}: got {run.losses.shape} for 0 rows; wanted (0,)"
            )


def nan_rows(loss: Loss) -> None:
    """NaN in a row of a comes out in that row's loss and delta, and in no other row."""
    for case in cases(loss):
        a, targets = case.data(4)
        clean = LossRun(case, a, targets)
        a[1] = np.nan
        try:
            with np.errstate(all="ignore"):
                run = LossRun(case, a, targets, fill=0.0)
        except FastbpError as exc:
            if case.body.flags & table_flags.INFALLIBLE:
                raise AssertionError(f"{case}: FASTBP_INFALLIBLE, but failed: {exc}") from exc
            continue  # refused: not dropped either
        of_row = run.losses[1 if loss.rows_independent else 0]
        assert np.isnan(of_row), (
            f"{case}: a row of NaN gave the loss {of_row}; NaN must not be dropped"
        )
        assert np.isnan(run.delta[1]).any(), (
            f"{case}: a row of NaN gave delta {run.delta[1]}; NaN must not be dropped"
        )
        if not loss.rows_independent:
            continue
        others = [0, 2, 3]
        for name in ("losses", "delta"):
            got, want = getattr(run, name)[others], getattr(clean, name)[others]
            assert same_bits(got, want), f"{case}: NaN in row 1 changed {name} of other rows"

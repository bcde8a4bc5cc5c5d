"""Checks of a loss's numbers: derivatives, rows, float types, bodies, and what y_hat is."""

from __future__ import annotations

import numpy as np

from fastbp.checks import Array
from fastbp.losses.base import Loss
from fastbp.testing.arrays import close, error, same_bits
from fastbp.testing.differences import compare
from fastbp.testing.loss_case import LossCase, LossRun, cases, has_python
from fastbp.testing.loss_case import odd_widths as widths_of

BLOCKS = ((0, 1), (1, 3), (3, 7))


def gradients(loss: Loss) -> None:
    """delta is the derivative of each row's own loss, unweighted, or of the whole batch's."""
    for case in cases(loss, dtypes=["float64"]):
        check_gradients(case, 4)


def odd_widths(loss: Loss) -> None:
    """The derivatives are right at every width, also where it is no multiple of anything."""
    for case in cases(loss, widths_of(loss), ["float64"]):
        check_gradients(case, 2)


def check_gradients(case: LossCase, rows: int) -> None:
    """delta against differences, row by row, or over all rows of a loss over the whole batch."""
    a, targets = case.data(rows)
    run = LossRun(case, a, targets)
    one_each = case.loss.rows_independent
    size = float(np.abs(run.losses).max()) + float(np.abs(a).max())
    assert np.isfinite(size), (
        f"{case}, {rows} rows: the losses are {run.losses}; wanted them finite"
    )
    for n in range(len(run.losses)):

        def value(n: int = n) -> float:
            return float(LossRun(case, a, targets, delta=False).losses[n])

        moved, delta = (a[n : n + 1], run.delta[n : n + 1]) if one_each else (a, run.delta)
        found = compare(value, moved, delta, magnitude=size)
        hint = (
            "that row's loss give {}; the host applies weights and the mean"
            if one_each
            else "the loss give {}; the loss applies the weights, and the host nothing"
        )
        at = (n + found.at[0], *found.at[1:]) if found.at else ()
        assert not found.wrong, (
            f"{case}, {rows} rows: delta is {found.got:.9g} at {at}; central differences of "
            + hint.format(f"{found.want:.9g}")
        )


def blocks(loss: Loss) -> None:
    """A row's loss and delta do not depend on the other rows of the call."""
    if not loss.rows_independent:
        return
    for case in cases(loss):
        a, targets = case.data(7)
        whole = LossRun(case, a, targets)
        assert whole.losses.shape == (7,), f"{case}: got {whole.losses.shape}; wanted (7,)"
        for start, stop in BLOCKS:
            part = slice(start, stop)
            run = LossRun(case, a[part], targets[part])
            for name in ("losses", "delta"):
                got, want = getattr(run, name), getattr(whole, name)[part]
                assert close(got, want), (
                    f"{case}: rows {start} to {stop - 1} of {name} depend on which other rows are "
                    "in the call; wanted single rows' losses, no mean, or rows_independent = False"
                )


def float32(loss: Loss) -> None:
    """float32 gives what float64 gives, as far as float32 goes."""
    wide = {(c.kind, c.body.python): c for c in cases(loss, dtypes=["float64"])}
    for case in cases(loss, dtypes=["float32"]):
        twin = wide.get((case.kind, case.body.python))
        if twin is None:
            continue
        a, targets = case.data(6)
        got = LossRun(case, a, targets)
        other = targets.astype(np.float64) if targets.dtype.kind == "f" else targets
        want = LossRun(twin, a.astype(np.float64), other)
        for name in ("losses", "delta"):
            apart = error(getattr(got, name), getattr(want, name))
            assert apart <= 2e-4, (
                f"{case}: {name} is {apart:.2g} (relative) away from what float64 gives"
            )


def c_equals_python(loss: Loss) -> None:
    """The C body and the Python body do the same, at every width."""
    if not (hasattr(loss, "__fastbp_loss__") and has_python(loss)):
        return
    found = list(cases(loss, widths_of(loss)))
    for case, twin in zip(found[::2], found[1::2], strict=True):
        for rows in (1, 3, 40):
            one, other = case.run(rows), twin.run(rows)
            hats = [np.full_like(one.a, np.nan) for _ in range(2)]
            case.body.y_hat(one.a, hats[0])
            loss.y_hat(other.a, hats[1])
            pairs = [
                (name, getattr(one, name), getattr(other, name)) for name in ("losses", "delta")
            ]
            for name, got, want in [*pairs, ("y_hat", *hats)]:
                coarse = np.asarray(got).astype(case.dtype), np.asarray(want).astype(case.dtype)
                assert close(*coarse), (
                    f"{case}, {rows} rows: {name} is {error(*coarse):.2g} (relative) away from the "
                    "Python body's"
                )


def y_hat(loss: Loss) -> None:
    """y_hat fills its array from a alone; probabilities lie in [0, 1]."""
    for case in cases(loss):
        a, _ = case.data(4)
        kept, hats = a.copy(), []
        for fill in (np.nan, 1e30):
            out = np.full_like(a, fill)
            case.body.y_hat(a, out)
            hats.append(out)
        assert same_bits(a, kept), f"{case}: y_hat changed a, which it may only read"
        assert np.isfinite(hats[0]).all(), f"{case}: y_hat left entries unfilled or not finite"
        assert same_bits(*hats), f"{case}: y_hat depends on what stood in its array"
        if loss.probabilities:
            fine = ((hats[0] >= 0) & (hats[0] <= 1)).all()
            assert fine, f"{case}: y_hat lies outside [0, 1]; wanted probabilities"


def y_hat_gradient(loss: Loss) -> None:
    """E4, where the loss gives it: by the chain rule through y_hat it makes delta."""
    if type(loss).y_hat_gradient is Loss.y_hat_gradient:
        return
    assert loss.rows_independent, (
        f"{loss!r}: gives y_hat_gradient, which nobody calls with rows_independent = False"
    )
    for case in cases(loss, dtypes=["float64"]):
        a, targets = case.data(3)
        run = LossRun(case, a, targets)
        slope = np.full_like(a, np.nan)
        loss.y_hat_gradient(a, targets, slope)
        chained = np.zeros_like(a)
        for j in range(case.n_out):
            chained[:, j] = (_y_hat_slope(case, a, j) * slope).sum(axis=1)
        assert error(chained, run.delta) <= 1e-6, (
            f"{case}: y_hat_gradient times the derivative of y_hat is {chained[0]} in row 0; "
            f"delta is {run.delta[0]}"
        )


def _y_hat_slope(case: LossCase, a: Array, j: int) -> Array:
    """∂ y_hat / ∂ a_j for each row, (rows, n_out)."""
    h, hats = 1e-3, []
    for k in (-2, -1, 1, 2):
        moved, out = a.copy(), np.empty_like(a)
        moved[:, j] += k * h
        case.body.y_hat(moved, out)
        hats.append(out)
    slope: Array = (8 * (hats[2] - hats[1]) - (hats[3] - hats[0])) / (12 * h)
    return slope


def decide(loss: Loss) -> None:
    """decide and correct give one answer per row."""
    for case in cases(loss):
        a, targets = case.data(4)
        out = np.empty_like(a)
        case.body.y_hat(a, out)
        answers = loss.decide(out)
        assert len(answers) == 4, f"{case}: decide gave shape {np.shape(answers)} for 4 rows"
        correct = loss.correct(out, targets)
        if correct is not None:
            fine = correct.shape == (4,) and correct.dtype == np.bool_
            assert fine, f"{case}: correct gave {correct!r}; wanted None or bool (4,)"

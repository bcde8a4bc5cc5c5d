"""Checks of a layer's numbers: derivatives, float types, and one body against the other."""

from __future__ import annotations

import numpy as np

from fastbp.kernels.context import Context
from fastbp.layers.base import Elementwise, Layer
from fastbp.testing import table_flags
from fastbp.testing.arrays import TOLERANCE, close, error, same_bits
from fastbp.testing.differences import Compared, compare
from fastbp.testing.layer_case import ODD, LayerCase, Run, cases, fits, has_c, has_python

EPS32 = float(np.finfo(np.float32).eps)


def gradients(layer: Layer) -> None:
    """dx and grads are the derivatives of Σ dy y, for random dy, evaluating and training."""
    for case in cases(layer, dtypes=["float64"]):
        for training in (False, True):
            check_gradients(case, 4, training)


def single_row(layer: Layer) -> None:
    """A batch of one row has the right derivatives too."""
    for case in cases(layer, dtypes=["float64"]):
        check_gradients(case, 1, False)
        check_gradients(case, 1, True)


def odd_widths(layer: Layer) -> None:
    """The derivatives are right at every width, also where it is no multiple of anything."""
    for case in cases(layer, [n for n in ODD if fits(layer, n)], ["float64"]):
        check_gradients(case, 3, False, at_most=48)


def check_gradients(case: LayerCase, rows: int, training: bool, at_most: int | None = None) -> None:
    """One backward pass against differences of its forward pass."""
    run = case.run(rows, training=training).forward().backward()
    trial = case.run(rows, training=training)

    def value() -> float:
        for key, array in trial.buffers.items():
            array[...] = case.buffers[key]
        trial.forward()
        return float(np.vdot(trial.y, trial.dy))

    magnitude = float(np.abs(run.y * run.dy).sum())
    assert np.isfinite(magnitude), f"{case}: y holds NaN or infinity for ordinary x"
    assert run.dx is not None
    pairs = {"dx": (trial.x, run.dx)}
    pairs |= {f"grads[{k!r}]": (trial.params[k], v) for k, v in run.grads.items()}
    for name, (array, gradient) in pairs.items():
        entries = None
        if at_most is not None and array.size > at_most:
            entries = np.random.default_rng(0).choice(array.size, at_most, replace=False)
            entries[:2] = 0, array.size - 1  # what is wrong at an edge is wrong there
        found = compare(value, array, gradient, magnitude=magnitude, entries=entries)
        assert not found.wrong, f"{case}, {rows} rows{', training' * training}: " + _told(
            name, found
        )


def _told(name: str, found: Compared) -> str:
    return (
        f"{name} is {found.got:.9g} at {found.at}; central differences of Σ dy y give "
        f"{found.want:.9g}"
    )


def float32(layer: Layer) -> None:
    """float32 gives what float64 gives, as far as float32 goes."""
    wide = {(c.n_in, c.body.python): c for c in cases(layer, dtypes=["float64"])}
    for case in cases(layer, dtypes=["float32"]):
        twin = wide.get((case.n_in, case.body.python))
        if twin is None:
            continue  # `float_types` tells
        twin.params = {k: v.astype(np.float64) for k, v in case.params.items()}
        twin.buffers = {k: v.astype(np.float64) for k, v in case.buffers.items()}
        got = case.run(4).forward().backward().outputs()
        want = twin.run(4).forward().backward().outputs()
        allowed = dict.fromkeys(want, 0.0)
        for seed in range(3):  # what rounding x, dy and the parameters to float32 does by itself
            shaken = _shaken(twin, seed)
            for name, array in want.items():
                moved = 50 * error(shaken[name], array)
                allowed[name] = max(allowed[name], moved if np.isfinite(moved) else 0)
        for name, array in want.items():
            apart = error(got[name], array)
            assert apart <= TOLERANCE["float32"] + allowed[name], (
                f"{case}: {name} is {apart:.2g} (relative) away from what float64 gives"
            )


def _shaken(case: LayerCase, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    run = case.run(4)
    for array in (run.x, run.dy, *run.params.values()):
        array *= 1 + EPS32 * rng.uniform(-1, 1, array.shape)
    return run.forward().backward().outputs()


def c_equals_python(layer: Layer) -> None:
    """The C body and the Python body do the same, at every width, evaluating and training."""
    if not (has_c(layer) and has_python(layer)):
        return
    found = list(cases(layer, [n for n in ODD if fits(layer, n)]))
    for case, twin in zip(found[::2], found[1::2], strict=True):
        for rows in (1, 3, 40):
            for training in (False, True):
                one = case.run(rows, training=training).forward().backward()
                other = case_twin(case, twin, rows, training)
                mine = one.outputs() | {f"buffers[{k!r}]": v for k, v in one.buffers.items()}
                theirs = other.outputs() | {f"buffers[{k!r}]": v for k, v in other.buffers.items()}
                for name, array in mine.items():
                    assert close(array, theirs[name]), (
                        f"{case}, {rows} rows{', training' * training}: {name} is "
                        f"{error(array, theirs[name]):.2g} (relative) away from the Python body's"
                    )


def case_twin(case: LayerCase, twin: LayerCase, rows: int, training: bool) -> Run:
    """What the other body makes of the same parameters and buffers."""
    twin.params, twin.buffers = case.params, case.buffers
    return twin.run(rows, training=training).forward().backward()


def elementwise(layer: Layer) -> None:
    """dx is dy f'(x); df reads x only if the layer says so."""
    if not isinstance(layer, Elementwise):
        return
    for case in cases(layer):
        run = case.run(4).forward().backward()
        assert run.dx is not None
        reads_x = layer.needs_x if case.body.python else bool(case.body.flags & table_flags.NEEDS_X)
        if case.body.has_df:
            slope = np.full_like(run.x, np.nan)
            case.body.df(run.x, run.y, slope, Context())
            assert close(run.dx, slope * run.dy), f"{case}: dx is not dy times what df gives"
        if not reads_x:
            without = case.run(4).forward()
            without.x.fill(np.nan)
            without.backward()
            assert without.dx is not None
            assert same_bits(without.dx, run.dx), (
                f"{case}: backward reads x; wanted needs_x = True (in C the flag FASTBP_NEEDS_X)"
            )


def affine(layer: Layer) -> None:
    """A layer with affine = True obeys E1, so that the host may apply E6, E8 and E9 itself."""
    if not layer.affine:
        return
    for case in cases(layer):
        run = case.run(4).forward()
        want = run.x @ run.params["W"].T + run.params.get("b", np.zeros((), case.dtype))
        others = sorted(set(run.params) - {"W", "b"})
        assert not others, f"{case}: affine layers have W and b alone; got {others} too"
        assert close(run.y, want), f"{case}: y is not x Wᵀ + b; wanted affine = False"

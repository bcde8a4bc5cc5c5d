"""Checks of what a layer does to arrays: which it fills, and which it leaves alone."""

from __future__ import annotations

import numpy as np

from fastbp.errors import DtypeError
from fastbp.layers.base import Elementwise, Layer, LayerSpec
from fastbp.testing.arrays import same_bits
from fastbp.testing.layer_case import (
    DTYPES,
    ODD,
    Arrays,
    LayerCase,
    Run,
    bodies,
    cases,
    fits,
    usual_width,
)


def spec(layer: Layer) -> None:
    """build says what the layer needs, the same each time."""
    n_in = usual_width(layer)
    for name in DTYPES:
        found = layer.build(n_in, np.dtype(name))
        assert isinstance(found, LayerSpec), f"build gave {found!r}; wanted a LayerSpec"
        good = isinstance(found.n_out, int | np.integer) and found.n_out >= 1
        assert good, f"build gave n_out {found.n_out!r}; wanted a positive int"
        for kind in ("params", "buffers", "saved"):
            for key, shape in getattr(found, kind).items():
                fine = isinstance(key, str) and all(isinstance(n, int | np.integer) for n in shape)
                assert fine, f"build gave {kind} {key!r}: {shape!r}; wanted a name and a shape"
        assert found == layer.build(n_in, np.dtype(name)), "build gave another spec the second time"
        if isinstance(layer, Elementwise):
            assert found.n_out == n_in, "an elementwise layer's output is as wide as its input"
        if layer.affine:
            W, wanted = found.params.get("W"), (found.n_out, n_in)
            assert wanted == W, f"affine: got W {W}; wanted {wanted}"


def init(layer: Layer) -> None:
    """init fills every parameter, and takes its random numbers from rng alone."""
    for case in cases(layer):
        filled = []
        for fill in (np.nan, 1e30):
            params = {k: np.full(v.shape, fill, v.dtype) for k, v in case.params.items()}
            layer.init(params, np.random.default_rng(7))
            filled.append(params)
        for key in case.params:
            one, other = filled[0][key], filled[1][key]
            assert np.isfinite(one).all(), f"{case}: init left NaN in {key!r}; wanted all filled"
            assert same_bits(one, other), f"{case}: init of {key!r} differs from one run to another"


def float_types(layer: Layer) -> None:
    """The layer computes in float32 and in float64, and in float64 with its precision."""
    for dtype in DTYPES:
        for python in bodies(layer):
            try:
                LayerCase(layer, usual_width(layer), dtype, python)
            except DtypeError as exc:
                raise AssertionError(f"{exc}; a layer computes in both float types") from exc
    for case in cases(layer):
        run = Run(case, *(a + 1e-9 for a in case.data(4))).forward().backward()
        if case.dtype != np.float64:
            continue
        for name, array in run.outputs().items():
            many = np.unique(array).size > max(4, array.size // 2)
            rough = same_bits(array.astype(np.float32).astype(np.float64), array)
            assert not (many and rough), (
                f"{case}: {name} holds float32 numbers only; float64 in wants float64 arithmetic"
            )


def overwrites(layer: Layer) -> None:
    """forward fills y, backward fills dx and grads: whatever stood there does not matter."""
    for case in cases(layer):
        for training in (False, True):
            first = case.run(4, training=training, fill=np.nan).forward().backward()
            for fill in (0.0, 1e30):
                other = case.run(4, training=training, fill=fill).forward().backward()
                for name, array in first.outputs().items():
                    assert same_bits(array, other.outputs()[name]), (
                        f"{case}: {name} depends on what stood in the arrays to be filled; every "
                        "entry must be overwritten, never added to, and saved filled before it is "
                        "read"
                    )
            for name, array in first.outputs().items():
                left = np.isnan(array).sum()
                assert left == 0, (
                    f"{case}: {left} of {array.size} entries of {name} were not filled"
                )


def inputs_unchanged(layer: Layer) -> None:
    """x, y, dy and the parameters are only read; each array is filled by its own function."""
    for case in cases(layer):
        for training in (False, True):
            run = case.run(4, training=training)
            read = {"x": run.x, "dy": run.dy} | {f"params[{k!r}]": v for k, v in run.params.items()}
            copies = {name: array.copy() for name, array in read.items()}
            run.forward()
            _compare(case, "forward", read, copies)
            read |= {"y": run.y} | {f"buffers[{k!r}]": v for k, v in run.buffers.items()}
            copies = {name: array.copy() for name, array in read.items()}
            run.backward()
            _compare(case, "backward", read, copies)


def _compare(case: LayerCase, function: str, now: Arrays, before: Arrays) -> None:
    for name, array in now.items():
        assert same_bits(array, before[name]), (
            f"{case}: {function} changed {name}, which it may only read"
        )


def dx_none(layer: Layer) -> None:
    """Without dx, which is None for the first layer, grads are the same."""
    for case in cases(layer):
        whole = case.run(4).forward().backward()
        without = case.run(4).forward().backward(dx=False)
        for key, array in whole.grads.items():
            assert same_bits(array, without.grads[key]), (
                f"{case}: grads[{key!r}] differ when dx is None; only dx is to be left out"
            )


def in_bounds(layer: Layer) -> None:
    """Nothing is written or read beside the arrays of a call, at any width."""
    for case in cases(layer, [n for n in ODD if fits(layer, n)]):
        for rows in (1, 3):
            runs = [
                case.run(rows, training=True, mark=m).forward().backward() for m in (0xFF, 0x4B)
            ]
            for run in runs:
                broken = run.guarded.broken()
                assert not broken, f"{case}, {rows} rows: wrote beside {', '.join(broken)}"
            for name, array in runs[0].outputs().items():
                assert same_bits(array, runs[1].outputs()[name]), (
                    f"{case}, {rows} rows: {name} depends on memory beside the arrays of the call"
                )


def empty_batch(layer: Layer) -> None:
    """A batch of 0 rows is fine, and the gradients summed over it are 0."""
    if not layer.rows_independent:
        return  # means over no rows have no value, and the host does not ask for them
    for case in cases(layer):
        run = case.run(0).forward().backward()
        for key, array in run.grads.items():
            assert not array.any(), (
                f"{case}: grads[{key!r}] of 0 rows are not 0; a sum over no rows is"
            )


def nan_rows(layer: Layer) -> None:
    """NaN in a row of x comes out in that row of y, and in no other."""
    for case in cases(layer):
        clean = case.run(4).forward()
        x, dy = case.data(4)
        x[1] = np.nan
        run = Run(case, x, dy, fill=0.0).forward()
        bad = np.isnan(run.y)
        dropped = not bad[1].all() if isinstance(layer, Elementwise) else not bad[1].any()
        assert not dropped, (
            f"{case}: NaN in row 1 of x came out as {run.y[1]}; it must not be dropped"
        )
        if layer.rows_independent:
            others = [0, 2, 3]
            assert same_bits(run.y[others], clean.y[others]), (
                f"{case}: NaN in row 1 of x changed other rows of y; set rows_independent = False "
                "if rows are coupled on purpose"
            )

"""Checks of what a layer depends on: rows, mode, random key, and nothing else."""

from __future__ import annotations

import numpy as np

from fastbp.errors import FastbpError
from fastbp.layers.base import Layer
from fastbp.testing import table_flags
from fastbp.testing.arrays import TOLERANCE, close, error, same_bits
from fastbp.testing.layer_case import Run, cases

BLOCKS = ((0, 1), (1, 3), (3, 4), (4, 9))


def blocks(layer: Layer) -> None:
    """A batch in blocks gives the rows that the whole gives; gradients of blocks add up."""
    if not layer.rows_independent:
        return
    for case in cases(layer):
        for training in (False, True):
            x, dy = case.data(9)
            whole = Run(case, x, dy, training=training).forward().backward()
            sums = {k: np.zeros(v.shape) for k, v in whole.grads.items()}
            for start, stop in BLOCKS:
                part = slice(start, stop)
                run = Run(case, x[part], dy[part], training=training, first_row=start)
                run.forward().backward()
                assert whole.dx is not None
                assert run.dx is not None
                for name, got, want in (("y", run.y, whole.y), ("dx", run.dx, whole.dx)):
                    apart = error(got, want[part], want)
                    assert apart <= TOLERANCE[case.dtype.name], (
                        f"{case}{', training' * training}: rows {start} to {stop - 1} of {name} "
                        "depend on which other rows are in the call; random numbers come from "
                        "ctx.random, and a layer that couples rows says rows_independent = False"
                    )
                for key, array in run.grads.items():
                    sums[key] += array
            for key, array in whole.grads.items():
                assert close(array, sums[key].astype(array.dtype)), (
                    f"{case}: grads[{key!r}] of blocks do not add up to the batch's "
                    f"({error(array, sums[key]):.2g} apart); gradients are sums over rows, no means"
                )


def flags(layer: Layer) -> None:
    """The C table's flags say what the class says."""
    for case in cases(layer):
        if not case.body.python:
            flag = bool(case.body.flags & table_flags.ROWS_INDEPENDENT)
            assert flag == layer.rows_independent, (
                f"{case}: FASTBP_ROWS_INDEPENDENT is {flag}, rows_independent is "
                f"{layer.rows_independent}; wanted the same"
            )


def infallible(layer: Layer) -> None:
    """Where the C table says so, forward and backward take any numbers without failing."""
    for case in cases(layer):
        if case.body.python or not case.body.flags & table_flags.INFALLIBLE:
            continue
        limits = np.finfo(case.dtype)
        values = (0, np.nan, np.inf, -np.inf, limits.max, limits.min, limits.smallest_subnormal)
        x, dy = case.data(len(values))
        x[:, 0] = dy[:, -1] = values
        for training in (False, True):
            try:
                with np.errstate(all="ignore"):
                    Run(case, x, dy, training=training).forward().backward()
            except (FastbpError, MemoryError) as exc:
                raise AssertionError(f"{case}: FASTBP_INFALLIBLE, but failed: {exc}") from exc


def entries(layer: Layer) -> None:
    """Where the elementwise C table says so, an entry's place makes no difference."""
    for case in cases(layer):
        if not (case.body.has_df and case.body.flags & table_flags.ENTRIES_INDEPENDENT):
            continue  # has_df: the table is an elementwise one
        for training in (False, True):
            run = case.run(4, training=training).forward()
            turned = case.run(4, training=training)
            turned.x[...] = run.x.T.reshape(run.x.shape)
            assert close(turned.forward().y, run.y.T.reshape(run.y.shape)), (
                f"{case}{', training' * training}: y depends on where an entry stands; wanted no "
                "FASTBP_ENTRIES_INDEPENDENT"
            )


def evaluation(layer: Layer) -> None:
    """Without training the output is a function of x and the parameters; buffers stay."""
    for case in cases(layer):
        first = case.run(4).forward()
        again = case.run(4, key=(12, 4, 2)).forward()
        assert same_bits(first.y, again.y), (
            f"{case}: two evaluations differ; random numbers are for ctx.training alone"
        )
        first.backward()
        for key, array in first.buffers.items():
            assert same_bits(array, case.buffers[key]), (
                f"{case}: evaluation changed the buffer {key!r}; buffers change in training alone"
            )


def same_key_same_bits(layer: Layer) -> None:
    """In training the same key and row give the same bits; other keys may give others."""
    for case in cases(layer):
        runs = [case.run(4, training=True).forward().backward() for _ in range(3)]
        for run in runs[1:]:
            for name, array in (run.outputs() | run.buffers).items():
                want = (runs[0].outputs() | runs[0].buffers)[name]
                assert same_bits(array, want), (
                    f"{case}: {name} differs between two passes with the same key; random numbers "
                    "come from ctx.random (in C host->random)"
                )


def saved_pass(layer: Layer) -> None:
    """backward uses its own pass: forward passes on other data in between change nothing."""
    for case in cases(layer):
        for training in (False, True):
            want = case.run(4, training=training).forward().backward()
            run = case.run(4, training=training).forward()
            case.run(2, seed=2).forward()
            case.run(4, seed=1, training=training).forward()
            run.backward()
            for name, array in run.outputs().items():
                assert same_bits(array, want.outputs()[name]), (
                    f"{case}{', training' * training}: {name} changed by a forward pass on other "
                    "data in between; what backward needs belongs into ctx.saved"
                )

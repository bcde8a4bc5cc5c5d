"""What the benchmarks share: data, the equality that every setup asserts, ratios, NumPy's step."""

from __future__ import annotations

import statistics
import time
import tracemalloc

import numpy as np

DTYPES = ["float32", "float64"]

# Networks and batches of a training step, smallest first: "n_0-...-n_L/batch".
NETS = [
    "4-16-3/1",
    "64-32-10/1",
    "64-64-10/32",
    "784-128-10/1",
    "784-128-10/32",
    "784-256-128-10/64",
    "784-512-512-10/128",
    "784-1024-1024-10/256",
]
# (batch, n_in, n_out) of the matrix products inside those steps, and a square one.
SHAPES = [
    (1, 4, 16),
    (1, 784, 128),
    (32, 784, 128),
    (64, 64, 64),
    (64, 784, 256),
    (128, 512, 512),
    (256, 1024, 1024),
]


def normal(*shape, dtype, seed=0):
    """Standard normal numbers, the same for the same seed and shape in both dtypes."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def parse_net(text):
    """The sizes n_0, ..., n_L and the batch of an entry of NETS."""
    sizes, batch = text.split("/")
    return [int(n) for n in sizes.split("-")], int(batch)


def assert_equal(name, got, want, slack=1.0):
    """Raise unless max|got - want| <= tolerance * max|want|.

    The reference is handed float64 copies, so the tolerance is what `got`'s dtype may lose over
    sums of up to 1024 terms; `slack` multiplies it where more steps follow one another.
    """
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise AssertionError(f"{name}: got shape {got.shape}; the reference has {want.shape}")
    tolerance = slack * (1e-5 if got.dtype == np.float32 else 1e-12)
    error = np.max(np.abs(got - want)) / np.max(np.abs(want))
    if not error <= tolerance:  # NaN fails too
        raise AssertionError(f"{name}: off by {error:.1e} from the reference ({tolerance:.0e})")


def ratio(thing, yardstick, pairs=11, seconds=0.01):
    """Time of `thing` as a multiple of `yardstick`'s, in this process; below 1 is faster.

    They run in turn, A B A B, each for about `seconds` a time; the result is the median over the
    pairs. A machine's drift (2x within a minute where cores are shared) falls on both alike.
    """
    calls = [max(1, round(seconds / _time(f, _enough(f)))) for f in (thing, yardstick)]
    return statistics.median(
        _time(thing, calls[0]) / _time(yardstick, calls[1]) for _ in range(pairs)
    )


def _enough(function):
    """Calls that fill a millisecond, so that one slow first call does not set the count."""
    function()
    return max(1, round(1e-3 / max(_time(function, 1), 1e-7)))


def _time(function, calls):
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def allocated(function):
    """Bytes that one call of `function` holds at its peak beyond what was there before it.

    Counts what tracemalloc sees: Python objects and NumPy arrays.
    """
    function()  # buffers that are built once and kept do not count
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

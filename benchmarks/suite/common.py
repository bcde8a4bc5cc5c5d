"""What the benchmarks share: sizes, data, the equality every setup asserts, ratios, memory."""

import statistics
import time
import tracemalloc

import numpy as np

import fastbp as bp
from fastbp import reference

DTYPES = ("float32", "float64")

# Networks and batches of a training step, smallest first: "n_0-...-n_L/batch".
NETS = (
    "4-16-3/1",
    "64-32-10/1",
    "64-64-10/32",
    "784-128-10/1",
    "784-128-10/32",
    "784-256-128-10/64",
    "784-512-512-10/128",
    "784-1024-1024-10/256",
)
# (batch, n_in, n_out) of the matrix products inside those steps, and a square one.
SHAPES = (
    (1, 4, 16),
    (1, 784, 128),
    (32, 784, 128),
    (64, 64, 64),
    (64, 784, 256),
    (128, 512, 512),
    (256, 1024, 1024),
)


def normal(*shape, dtype, seed=0):
    """Standard normal numbers, drawn in `dtype`: no larger array shows up in peak memory."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=dtype)


def problem(text, dtype, batch=None):
    """A network and a batch for it, (net, X, y), from an entry of NETS."""
    sizes, rows = text.split("/")
    sizes, batch = [int(n) for n in sizes.split("-")], batch or int(rows)
    y = np.random.default_rng(1).integers(0, sizes[-1], batch)
    return bp.mlp(sizes, dtype=dtype, rng=0), normal(batch, sizes[0], dtype=dtype), y


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


def layers_of(net):
    """The layers of a ReLU network in float64, as the reference takes them."""
    names = [name[:-2] for name in net.params if name.endswith(".W")]
    follows = ["relu"] * (len(names) - 1) + [None]
    return [
        (net.params[f"{name}.W"].astype("f8"), net.params[f"{name}.b"].astype("f8"), g)
        for name, g in zip(names, follows, strict=True)
    ]


def flat(pairs):
    """(W_1, b_1, W_2, ...) as one vector, the layout of net.flat; further items are passed over."""
    return np.concatenate([array.ravel() for W, b, *_ in pairs for array in (W, b)])


def flat_gradient(X, y, layers):
    """The reference's mean loss and its gradient, in the layout of net.flat."""
    g = reference.gradients(X.astype("f8"), y, layers)
    return g.loss, flat((g.W[k], g.b[k]) for k in sorted(g.W))


def clear_rows(X, layers):
    """Rows without a hidden unit within 1e-5 of ReLU's kink, where float32 may take the other side.

    Comparisons with the reference are made on these; the rows left out must be few.
    """
    a, _ = reference.forward(X.astype("f8"), layers)
    clear = np.ones(len(X), bool)
    for k in range(1, len(layers)):
        clear &= np.abs(a[k]).min(axis=1) > 1e-5
    if clear.mean() < 0.8:
        raise AssertionError(f"{len(X) - clear.sum()} of {len(X)} rows at ReLU's kink")
    return clear


def assert_network(net, X, y):
    """Raise unless forward, gradients and one step of SGD agree with the reference."""
    layers = layers_of(net)
    rows = clear_rows(X, layers)
    X, y = X[rows], y[rows]
    a, _ = reference.forward(X.astype("f8"), layers)
    loss, gradient = flat_gradient(X, y, layers)
    assert_equal("h_L", net.forward(X), a[len(layers)], slack=3)
    assert_equal("g.flat", net.gradients(X, y).flat, gradient, slack=3)
    stepped = net.copy()
    assert_equal("loss", net.dtype.type(stepped.step(X, y, bp.SGD(1.0))), loss, slack=3)
    # at rate 1 the step is the gradient, less what the parameters' own rounding takes
    assert_equal("step", net.flat - stepped.flat, gradient, slack=10)


def ratio(thing, yardstick, seconds=0.3):
    """Time of `thing` as a multiple of `yardstick`'s, in this process; below 1 is faster.

    They run in turn, A B A B, and the result is the median over 11 to 101 pairs, which take about
    `seconds`. A turn is about a millisecond, or one call: shorter than a scheduler's time slice,
    so that where cores are shared most pairs are not interrupted.
    """
    calls = [max(1, round(1e-3 / seconds_of(function))) for function in (thing, yardstick)]
    pair = _time(thing, calls[0]) + _time(yardstick, calls[1])
    pairs = min(max(round(seconds / pair), 11), 101)
    return statistics.median(
        _time(thing, calls[0]) / _time(yardstick, calls[1]) for _ in range(pairs)
    )


def seconds_of(function):
    """Time of a call, roughly: over a millisecond of calls, after a first one that may be slow."""
    function()
    return _time(function, max(1, round(1e-3 / max(_time(function, 1), 1e-7))))


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
        function()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

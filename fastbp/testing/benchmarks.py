"""Benchmarks of a part for asv: base classes that a plugin package subclasses in three lines.

They are abstract, so asv, which passes over abstract classes, does not take them for benchmarks
where they are imported. Nothing here imports asv.
"""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from fastbp.layers import Dense, Layer
from fastbp.losses import Loss
from fastbp.network import Network
from fastbp.optimizers import SGD
from fastbp.testing import layer_gradients, loss_numbers
from fastbp.testing.gradcheck import gradcheck
from fastbp.testing.loss_case import raw_targets

N_IN = 8  # of the Dense before the part: little work beside the part's
RATE = SGD(1e-6)  # small, because the same batch is stepped on thousands of times


class _PartBenchmark(ABC):
    """A network with the part and one without it, and their steps side by side."""

    version = "2"  # since targets come in the network's dtype: before, float64 paid for a cast
    params: tuple[tuple[Any, ...], ...] = (
        ((1, 16), (64, 256), (256, 1024)),
        ("float32", "float64"),
    )
    param_names: tuple[str, ...] = ("(batch, n)", "dtype")
    unit = "times the network without it"

    @abstractmethod
    def networks(self, n: int, dtype: str) -> tuple[Network, Network]:
        """The network with the part behind a Dense of n units, and one without the part."""

    @abstractmethod
    def check(self) -> None:
        """Raise AssertionError where the part's C body and its Python body differ."""

    def setup(self, shape: tuple[int, int], dtype: str) -> None:
        """Build both networks; assert that the part's numbers are right before any is timed."""
        batch, n = shape
        rng = np.random.default_rng(0)
        self.check()
        self.net, self.bare = self.networks(n, dtype)
        gradcheck(self.net, rng.standard_normal((4, N_IN)), _targets(self.net, 4), entries=20)
        self.X = rng.standard_normal((batch, N_IN)).astype(dtype)
        self.y, self.bare_y = _targets(self.net, batch), _targets(self.bare, batch)
        # once before they are timed: asv may time the very first call after each setup
        self.time_gradients()
        self.time_step()

    def time_gradients(self, *_: Any) -> None:
        """Forward, loss and backward."""
        self.net.gradients(self.X, self.y)

    def time_step(self, *_: Any) -> None:
        """The same with the update, in one call."""
        self.net.step(self.X, self.y, RATE)

    def track_step_over_bare(self, *_: Any) -> float:
        """A step with the part over one without it."""
        return ratio(
            lambda: self.net.step(self.X, self.y, RATE),
            lambda: self.bare.step(self.X, self.bare_y, RATE),
        )


class LayerBenchmark(_PartBenchmark):
    """Time of a layer in a network, and what it adds to the network without it.

    The network is a Dense(n) on 8 inputs and the layer, with the squared error. ``setup`` asserts
    that the layer's C body, if it has one, gives what its Python body gives, and that the
    network's gradients are those of central differences.

    Attributes
    ----------
    layer : Layer
        What a subclass gives.
    params, param_names : tuple
        (batch, n) and the dtype, as asv reads them; a subclass may give others, smallest first.

    Examples
    --------
    In a module of a plugin's benchmarks:

    >>> import fastbp as bp
    >>> from fastbp.testing.benchmarks import LayerBenchmark
    >>> class Tanh(LayerBenchmark):
    ...     layer = bp.Tanh()

    asv does the rest:

    >>> benchmark = Tanh()
    >>> benchmark.setup((4, 16), "float32")
    >>> benchmark.time_step()
    """

    @property
    @abstractmethod
    def layer(self) -> Layer:
        """The layer; a class attribute in a subclass."""

    def networks(self, n: int, dtype: str) -> tuple[Network, Network]:
        layers = ([Dense(n), self.layer], [Dense(n)])
        with_it, bare = (
            Network(N_IN, ls, loss="squared_error", dtype=dtype, rng=0) for ls in layers
        )
        return with_it, bare

    def check(self) -> None:
        layer_gradients.c_equals_python(self.layer)

    def setup(self, shape: tuple[int, int], dtype: str) -> None:
        super().setup(shape, dtype)
        self.out = np.empty((len(self.X), self.net.n_out), dtype)
        self.bare_out = np.empty((len(self.X), self.bare.n_out), dtype)
        self.time_forward()

    def time_forward(self, *_: Any) -> None:
        """The way forward, into an array of the caller's."""
        self.net.forward(self.X, out=self.out)

    def track_forward_over_bare(self, *_: Any) -> float:
        """The way forward with the layer over that without it."""
        return ratio(
            lambda: self.net.forward(self.X, out=self.out),
            lambda: self.bare.forward(self.X, out=self.bare_out),
        )


class LossBenchmark(_PartBenchmark):
    """Time of a loss in a network, and what it adds beside the squared error.

    The network is a Dense(n) on 8 inputs and the loss; the one without it has the built-in squared
    error. ``setup`` asserts the same as for :class:`LayerBenchmark`.

    Attributes
    ----------
    loss : Loss
        What a subclass gives.
    params, param_names : tuple
        (batch, n) and the dtype, as asv reads them; a subclass may give others, smallest first.

    Examples
    --------
    >>> import fastbp as bp
    >>> from fastbp.testing.benchmarks import LossBenchmark
    >>> class CrossEntropy(LossBenchmark):
    ...     loss = bp.SoftmaxCrossEntropy()
    >>> benchmark = CrossEntropy()
    >>> benchmark.setup((4, 16), "float32")
    >>> benchmark.time_loss()
    """

    unit = "times squared_error"

    @property
    @abstractmethod
    def loss(self) -> Loss:
        """The loss; a class attribute in a subclass."""

    def networks(self, n: int, dtype: str) -> tuple[Network, Network]:
        return (
            Network(N_IN, [Dense(n)], loss=self.loss, dtype=dtype, rng=0),
            Network(N_IN, [Dense(n)], loss="squared_error", dtype=dtype, rng=0),
        )

    def check(self) -> None:
        loss_numbers.c_equals_python(self.loss)

    def time_loss(self, *_: Any) -> None:
        """Forward and the mean loss, no gradient."""
        self.net.loss(self.X, self.y)


def ratio(
    thing: Callable[[], object], yardstick: Callable[[], object], seconds: float = 0.3
) -> float:
    """Time of `thing` as a multiple of `yardstick`'s, in this process; below 1 is faster.

    They run in turn, about a millisecond each, and the median over the pairs is taken: so a
    machine that is slow for a while is slow for both.

    Parameters
    ----------
    thing, yardstick : callable
        Called without arguments.
    seconds : float
        About how long to measure; 11 to 101 pairs.

    Returns
    -------
    float

    Examples
    --------
    >>> from fastbp.testing.benchmarks import ratio
    >>> ratio(lambda: sum(range(10_000)), lambda: sum(range(10)), seconds=0.02) > 1
    True
    """
    calls = [max(1, round(1e-3 / _seconds(function, 5))) for function in (thing, yardstick)]
    pair = calls[0] * _seconds(thing, calls[0]) + calls[1] * _seconds(yardstick, calls[1])
    pairs = min(max(round(seconds / pair), 11), 101)
    return statistics.median(
        _seconds(thing, calls[0]) / _seconds(yardstick, calls[1]) for _ in range(pairs)
    )


def _seconds(function: Callable[[], object], calls: int) -> float:
    """Time of one of so many calls."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def _targets(network: Network, batch: int) -> Any:
    """Targets that the network's loss takes as they are, the first kind the kit knows."""
    rng = np.random.default_rng(1)
    raw = next(iter(raw_targets(network.loss_function, rng, batch, network.n_out).values()))
    return raw.astype(network.dtype) if raw.dtype.kind == "f" else raw

"""Fit's loop: epochs of minibatches, in C where it can be."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp import checks, memory
from fastbp.batch import generator
from fastbp.checks import Array
from fastbp.errors import ConfigError, NonFiniteError
from fastbp.kernels.modes import kept_mode
from fastbp.optimizers import Optimizer
from fastbp.training.history import Callback, History
from fastbp.training.interrupts import interruptible, interrupts
from fastbp.training.progress import progress_bar
from fastbp.training.validation import check_validation, evaluate

if TYPE_CHECKING:
    from fastbp.network import Network

BETWEEN_LOOKS = 0.05  # seconds of steps in C between looks at Ctrl-C and the progress bar


def check_optimizer(optimizer: Any) -> Optimizer:
    """An instance of an optimizer, not its class."""
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(f"optimizer: got {optimizer!r}; wanted one like bp.Adam(1e-3)")
    return optimizer


def fit(
    network: Network,
    X: Any,
    y: Any,
    *,
    optimizer: Optimizer,
    epochs: int,
    batch_size: int,
    sample_weight: Any,
    validation_data: tuple[Any, ...] | None,
    shuffle: bool,
    rng: Any,
    callbacks: Sequence[Callback],
    progress: bool | str,
    threads: int | None,
) -> History:
    """See :meth:`fastbp.Network.fit`."""
    check_optimizer(optimizer)
    with kept_mode():
        optimizer.state_for(network.flat, network.optimizer_state)
        optimizer.rule_for(network.dtype)
    epochs = checks.integer("epochs", epochs, low=1)
    batch_size = checks.integer("batch_size", batch_size, low=1)
    checks.boolean("shuffle", shuffle)
    most_threads = 0 if threads is None else checks.threads(threads)
    callbacks = _check_callbacks(callbacks)
    data = network._check(X, y, sample_weight)
    validation = check_validation(network, validation_data)
    order_rng = network._rng if rng is None else generator("rng", rng)
    N, total_weight = len(data.x), data.total_weight()
    size = min(batch_size, N)
    x = memory.arena([(size, network.n_in)], network.dtype)[0]
    order = np.arange(N)
    network.history = history = History()  # filled as it goes: Ctrl-C and errors leave it
    steps = -(-N // size)
    bar = progress_bar(progress, epochs * steps)
    with interrupts() as interrupted, contextlib.closing(bar):
        for epoch in range(1, epochs + 1):
            started, running = time.perf_counter(), 0.0
            if shuffle:
                order = _order(order_rng, N)
            step = 0
            while step < steps:
                interrupted()
                done, running, value, error = network._run_epoch(
                    optimizer,
                    data,
                    order,
                    x,
                    step,
                    total_weight,
                    running,
                    BETWEEN_LOOKS,
                    most_threads,
                )
                if error is not None:
                    raise _placed(error, epoch, step + done + 1) from error
                if not done:
                    rows = order[step * size : (step + 1) * size]
                    batch = data.take(rows, x[: len(rows)])
                    try:
                        # LECTURE's law of minibatches: weights count at batch size 1 too
                        scale = N / (len(rows) * total_weight)
                        value = network._update(batch, scale, optimizer, threads)
                    except NonFiniteError as exc:
                        raise _placed(exc, epoch, step + 1) from exc
                    done, running = 1, running + value * len(rows) / N
                step += done
                bar.advance(f"epoch {epoch}/{epochs}", f"loss {value:.4g}", steps=done)
            history.loss.append(running)
            history.seconds.append(time.perf_counter() - started)
            interrupted()
            if validation is None and not callbacks:
                continue
            with interruptible():
                if validation is not None:
                    loss, accuracy = evaluate(network, validation, threads)
                    history.val_loss.append(loss)
                    if accuracy is not None:
                        history.val_accuracy.append(accuracy)
                if any([_says_stop(callback, network, history) for callback in callbacks]):
                    break
    return history


def _order(rng: np.random.Generator, N: int) -> Array:
    """A new order of N rows; a generator of somebody's own may draw anything."""
    order: Array = rng.permutation(N)
    if type(rng) is np.random.Generator:
        return order
    if not isinstance(order, np.ndarray) or order.shape != (N,) or order.dtype.kind not in "iu":
        got = f"{order.dtype} {order.shape}" if isinstance(order, np.ndarray) else repr(order)
        raise ConfigError(f"rng: its permutation({N}) gave {got}; wanted {N} whole numbers")
    if not np.array_equal(np.sort(order), np.arange(N)):
        raise ConfigError(f"rng: its permutation({N}) gave no order of 0..{N - 1}")
    return np.require(order, np.int64, ["C", "A"])


def _placed(error: Exception, epoch: int, step: int) -> Exception:
    """The error that stopped fit, with the place where it did."""
    if isinstance(error, NonFiniteError):
        return NonFiniteError(f"epoch {epoch}, step {step}: {error}")
    return error


def _says_stop(callback: Callback, network: Network, history: History) -> bool:
    """Whether a callback says stop: only a True does, not the count that `file.write` returns."""
    try:
        said = callback(network, history)
    finally:
        network.history = history  # the callback may have called fit
    return isinstance(said, bool | np.bool_) and bool(said)


def _check_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    try:
        given = tuple(callbacks)
    except TypeError:
        raise ConfigError(f"callbacks: got {callbacks!r}; wanted a list of callables") from None
    for callback in given:
        if not callable(callback):
            raise ConfigError(f"callbacks: got {callback!r}; wanted callables")
    return given

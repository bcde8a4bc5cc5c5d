"""Training: one update, and fit's loop of them."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp import checks, memory, plugins
from fastbp.batch import Batch, generator
from fastbp.checks import Array
from fastbp.errors import ConfigError, FastbpError, NonFiniteError
from fastbp.kernels.modes import kept_mode
from fastbp.optimizers import Optimizer
from fastbp.progress import progress_bar

if TYPE_CHECKING:
    from fastbp.network import Network

BETWEEN_LOOKS = 0.05  # seconds of steps in C between looks at Ctrl-C and the progress bar

Callback = Callable[["Network", "History"], Any]


@dataclass
class History:
    """What fit saw, one entry per epoch.

    Attributes
    ----------
    loss : list of float
        Mean loss over the epoch's minibatches, each before its update, l2 term included.
    val_loss : list of float
        Mean loss on the validation data after the epoch, l2 term included.
    val_accuracy : list of float
        Share (by weight) of validation rows predicted right, for losses that decide on classes.
    seconds : list of float
        Wall time of the epoch's training, without validation and callbacks.
    """

    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


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
    validation = _check_validation(network, validation_data)
    order_rng = network._rng if rng is None else generator("rng", rng)
    N, total_weight = len(data.x), data.total_weight()
    size = min(batch_size, N)
    x = memory.arena([(size, network.n_in)], network.dtype)[0]
    order = np.arange(N)
    network.history = history = History()  # filled as it goes: Ctrl-C and errors leave it
    steps = -(-N // size)
    bar = progress_bar(progress, epochs * steps)
    with _interrupts() as interrupted, contextlib.closing(bar):
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
            with _interruptible():
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


def evaluate(
    network: Network, batch: Batch, threads: int | None = None
) -> tuple[float, float | None]:
    """Mean loss with the l2 term, and the share of rows predicted right where that has meaning."""
    value = network._value(batch, batch.scale("mean"), threads) + network._penalty()
    y_hat, loss = network._y_hat(batch.x, threads), network.loss_function
    with plugins.blamed(loss, "correct"):
        correct = loss.correct(y_hat, batch.targets)
    if correct is None:
        return value, None
    right = np.sum(correct if batch.weight is None else batch.weight * correct)
    return value, float(right * batch.scale("mean"))


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


def _check_validation(network: Network, data: tuple[Any, ...] | None) -> Batch | None:
    if data is None:
        return None
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        got = f"{len(data)} of them" if isinstance(data, tuple | list) else type(data).__name__
        raise ConfigError(f"validation_data: got {got}; wanted (X, y) or (X, y, sample_weight)")
    X, y, sample_weight = (*data, None)[:3]
    try:
        batch = network._check(X, y, sample_weight)
        batch.total_weight()
    except FastbpError as exc:
        raise type(exc)(f"validation_data: {exc}") from exc
    return batch


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C as Python has it, at once, where no step is under way."""
    flagged = signal.getsignal(signal.SIGINT)
    ours = getattr(flagged, "__name__", "") == "flag_interrupt"
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, flagged)


@contextlib.contextmanager
def _interrupts() -> Iterator[Callable[[], None]]:
    """Ctrl-C as a flag, which the function handed out turns into KeyboardInterrupt.

    So that it stops between two steps. Other threads than the main one, and programs with a
    handler of their own, keep what they have.
    """
    pending: list[int] = []

    def raise_pending() -> None:
        if pending:
            raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield raise_pending
        return

    def flag_interrupt(number: int, frame: Any) -> None:
        pending.append(number)

    signal.signal(signal.SIGINT, flag_interrupt)
    try:
        yield raise_pending
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    raise_pending()

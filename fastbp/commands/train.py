"""`fastbp train`: train on three quarters of the rows, test on the quarter held out."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastbp
from fastbp import checks, data, registry
from fastbp.checks import Array
from fastbp.commands import formats
from fastbp.commands.files import check_out, options_named, read_arrays
from fastbp.commands.report import (
    absent_words,
    as_json,
    epoch_line,
    epoch_of,
    r_squared,
    summary,
)
from fastbp.errors import DtypeError, FastbpError, LabelError, NonFiniteError, ShapeError
from fastbp.losses import Loss

# What the user knows an argument of the library as.
OPTIONS = {
    "layer": "--activation",
    "layers": "--hidden",
    "l2": "--l2",
    "loss": "--loss",
    "lr": "--lr",
    "n_out": "--hidden",
    "rng": "--seed",
}
LEARNING_RATES = {"adam": 1e-3, "sgd": 0.1}


@dataclass(frozen=True)
class Problem:
    """Checked rows, the loss and the number of outputs that fit them, and classes without a row."""

    name: str
    X: Array
    y: Array
    loss: Loss
    n_out: int
    absent: list[int]
    train: Array
    held_out: Array


def run(options: argparse.Namespace) -> None:
    """Train, report while at it, and save the network when asked to."""
    check_out(options.out, DATA=options.data)
    if options.json:
        net, results = train(options)
    else:
        net, results = train(options, say)
    if options.out is not None:
        net.save(options.out)
        if not options.json:
            say(f"saved {options.out}")
    if options.json:
        say(as_json(results))
    elif not results["interrupted"]:
        say(summary(results))
    if results["interrupted"]:
        words = f"interrupted after {len(results['epochs'])} of {options.epochs} epochs"
        if options.out is not None:
            words += f"; {options.out} holds the network as it was then"
        raise KeyboardInterrupt(words)


def say(line: str) -> None:
    """Print a line at once; fit's progress, should it stand on the terminal's line, goes."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    print(line, flush=True)


def train(
    options: argparse.Namespace, tell: Callable[[str], object] = lambda line: None
) -> tuple[fastbp.Network, dict[str, Any]]:
    """Train as the command does.

    Parameters
    ----------
    options : argparse.Namespace
        What ``fastbp.cli.parser().parse_args(["train", ...])`` returns.
    tell : callable
        Takes each line of the report as it comes.

    Returns
    -------
    net : Network
    results : dict
        Settings, one entry per epoch, and the held-out results: what --json prints.

    Raises
    ------
    FastbpError
        Bad input or settings, or a loss that became NaN or infinite.
    """
    began = time.perf_counter()
    checks.integer("--epochs", options.epochs, low=1)
    checks.integer("--batch-size", options.batch_size, low=1)
    problem = read(options)
    X, y, held_out = problem.X, problem.y, problem.held_out
    lr = LEARNING_RATES[options.optimizer] if options.lr is None else options.lr
    with options_named(OPTIONS):
        optimizer = fastbp.Adam(lr) if options.optimizer == "adam" else fastbp.SGD(lr)
        net = fastbp.mlp(
            [X.shape[1], *options.hidden, problem.n_out],
            activation=options.activation,
            loss=problem.loss,
            dtype=options.dtype,
            rng=options.seed,
            l2=options.l2,
        )
    widths = "-".join(map(str, (net.n_in, *options.hidden, net.n_out)))
    tell(
        f"{problem.name}: {len(problem.train)} rows to train on, {len(held_out)} held out; "
        f"{widths} {options.activation}, {net.flat.size} parameters"
    )
    if problem.absent:
        tell(absent_words(problem.absent, problem.n_out, formats.numbered(options.data)))

    def after_epoch(net: fastbp.Network, history: fastbp.History) -> None:
        tell(epoch_line(epoch_of(history, len(history.loss) - 1), options.epochs))

    interrupted = False
    try:
        net.fit(
            X[problem.train],
            y[problem.train],
            optimizer=optimizer,
            epochs=options.epochs,
            batch_size=options.batch_size,
            validation_data=(X[held_out], y[held_out]),
            callbacks=[after_epoch],
        )
    except NonFiniteError as error:  # the rows were finite, so it is the training that failed
        raise FastbpError(str(error)) from error
    except KeyboardInterrupt:  # what was reached is the user's all the same
        interrupted = True
    history = net.history
    if history is None:  # training had not begun
        raise KeyboardInterrupt

    epochs = [epoch_of(history, i) for i in range(len(history.loss))]
    settings = ("activation", "optimizer", "batch_size", "l2", "seed", "dtype")
    results: dict[str, Any] = {
        "data": problem.name,
        "rows": len(problem.train),
        "held_out_rows": len(held_out),
        "widths": [net.n_in, *options.hidden, net.n_out],
        "parameters": net.flat.size,
        "absent_classes": problem.absent,
        "loss": registry.name_of(problem.loss),
        **{name: getattr(options, name) for name in settings},
        "lr": lr,
        "epochs": epochs,
        "interrupted": interrupted,
    }
    for name in ("held_out_loss", "held_out_accuracy"):
        if epochs and name in epochs[-1]:
            results[name] = epochs[-1][name]
    if problem.loss.targets == "values":
        results["held_out_r2"] = r_squared(net.predict(X[held_out]), y[held_out])
    if epochs:
        results["examples_per_second"] = len(epochs) * len(problem.train) / sum(history.seconds)
    results["seconds"] = time.perf_counter() - began
    results["out"] = options.out
    return net, results


def read(options: argparse.Namespace) -> Problem:
    """The rows to learn from, all checked, so that messages count rows as the file does."""
    dtype = np.dtype(options.dtype)
    if options.data is None:
        name, (X, y) = "digits", data.digits()
    else:
        name, (X, y) = options.data, read_arrays(options.data, ("X", "y"))
    if X.ndim != 2:
        raise ShapeError(f"X: got shape {X.shape}; wanted (rows, inputs)")
    if X.shape[1] == 0:
        raise ShapeError(f"X: got shape {X.shape}, no columns; wanted one input or more")
    if len(X) == 0:
        raise ShapeError(f"X: got shape {X.shape}, no rows; wanted two rows or more")
    X = checks.matrix("X", X, X.shape[1], dtype)
    checks.finite("X", X)
    try:
        loss, n_out, real, targets = check_targets(options, y, len(X))
    except (LabelError, DtypeError) as error:  # a DtypeError: text as bytes
        if options.data is None or y.ndim != 1 or y.dtype.kind not in "SUbiu" or len({*y}) < 2:
            raise
        numbered = formats.numbered(options.data)
        raise type(error)(f"{error}; {numbered} writes a file with classes 0, 1, ...") from error
    classes = y.ndim == 1 and loss.targets != "values"
    absent = []
    if classes and loss.targets == "classes":
        absent = np.setdiff1d(np.arange(n_out), targets).tolist()
    train_rows, held_out = data.split(targets.ravel().astype(np.int64) if classes else targets)
    # as it came: fit judges it by its dtype
    return Problem(name, X, real, loss, n_out, absent, train_rows, held_out)


def check_targets(
    options: argparse.Namespace, y: Array, rows: int
) -> tuple[Loss, int, Array, Array]:
    """The loss, the number of outputs, y as real numbers, and y as that loss wants it."""
    y = checks.targets(y, rows)
    checks.finite("y", y)
    if options.loss is not None:
        with options_named(OPTIONS):
            loss = registry.resolve("loss", options.loss, Loss)
    else:
        loss = fastbp.SquaredError() if y.dtype.kind == "f" else fastbp.SoftmaxCrossEntropy()
    n_out = count_outputs(y, loss)
    with registry.blamed(loss, "check_targets"):
        targets = loss.check_targets(y, n_out, np.dtype(options.dtype))
    return loss, n_out, y, targets


def count_outputs(y: Array, loss: Loss) -> int:
    """One output per class, or per column of y."""
    if y.ndim == 2 and y.shape[1] == 1 and loss.targets == "classes":
        raise ShapeError(f"y: got shape {y.shape}; wanted ({len(y)},): save y.ravel()")
    if y.ndim > 1 or loss.targets != "classes":
        return 1 if y.ndim == 1 else y.shape[1]
    n_out = int(y.max(initial=0)) + 1
    if n_out < 2:
        raise LabelError("y: got class 0 in every row; wanted two classes or more")
    if n_out > max(1000, len(y)):  # most likely no class numbers at all, and a giant network
        raise LabelError(
            f"y: got class {n_out - 1} among {len(y)} rows; wanted classes 0, 1, ... "
            "(numpy.unique(y, return_inverse=True) numbers them)"
        )
    return n_out

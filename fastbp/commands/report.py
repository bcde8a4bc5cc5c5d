"""What `fastbp train` says of a training: its lines, and the numbers in them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import fastbp
from fastbp.checks import Array


def as_json(results: dict[str, Any]) -> str:
    """The results as JSON, which knows no NaN and no infinity: null stands for them."""
    return json.dumps(json.loads(json.dumps(results), parse_constant=lambda name: None))


def absent_words(absent: list[int], n_out: int, numbered: str) -> str:
    """What classes without a row cost, and how to be rid of them."""
    shown = ", ".join(map(str, absent[:5])) + (", ..." if len(absent) > 5 else "")
    return (
        f"y: no row is of class {shown}: {len(absent)} of the {n_out} outputs learn nothing; "
        f"{numbered} writes a file without such gaps"
    )


def epoch_of(history: fastbp.History, i: int) -> dict[str, Any]:
    """One epoch of the history, counted from 0."""
    columns = {
        "loss": history.loss,
        "held_out_loss": history.val_loss,
        "held_out_accuracy": history.val_accuracy,
        "seconds": history.seconds,
    }
    # an epoch that was interrupted before its validation has no numbers of that
    return {"epoch": i + 1, **{name: col[i] for name, col in columns.items() if i < len(col)}}


def epoch_line(epoch: dict[str, Any], epochs: int) -> str:
    """One epoch in words."""
    place = f"epoch {epoch['epoch']:>{len(str(epochs))}}/{epochs}"
    return f"{place}  loss {epoch['loss']:.4f}  {held_out_words(epoch)}"


def summary(results: dict[str, Any]) -> str:
    """The last line."""
    rate, seconds = results["examples_per_second"], results["seconds"]
    r2 = results.get("held_out_r2")
    middle = f", held-out R² {r2:.4f}" if r2 is not None else ""
    return (
        f"{held_out_words(results)}{middle}, {rate:,.0f} examples per second, "
        f"{seconds:.2f} s wall time"
    )


def held_out_words(results: dict[str, Any]) -> str:
    """Accuracy where the loss knows right from wrong, the loss itself elsewhere."""
    if "held_out_accuracy" in results:
        return f"held-out accuracy {results['held_out_accuracy']:.4f}"
    return f"held-out loss {results['held_out_loss']:.4f}"


def r_squared(predicted: Array, y: Array) -> float | None:
    """1 - Σ(y - y_hat)² / Σ(y - mean)², over all columns; None when y does not vary."""
    wanted = y.astype(np.float64)
    spread = float(((wanted - wanted.mean(axis=0)) ** 2).sum())
    left = float(((wanted - predicted.reshape(wanted.shape)) ** 2).sum())
    return 1 - left / spread if spread > 0 else None

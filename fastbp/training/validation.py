"""The loss and accuracy on data that is not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp import registry
from fastbp.batch import Batch
from fastbp.errors import ConfigError, FastbpError

if TYPE_CHECKING:
    from fastbp.network import Network


def evaluate(
    network: Network, batch: Batch, threads: int | None = None
) -> tuple[float, float | None]:
    """Mean loss with the l2 term, and the share of rows predicted right where that has meaning."""
    value = network._value(batch, batch.scale("mean"), threads) + network._penalty()
    y_hat, loss = network._y_hat(batch.x, threads), network.loss_function
    with registry.blamed(loss, "correct"):
        correct = loss.correct(y_hat, batch.targets)
    if correct is None:
        return value, None
    right = np.sum(correct if batch.weight is None else batch.weight * correct)
    return value, float(right * batch.scale("mean"))


def check_validation(network: Network, data: tuple[Any, ...] | None) -> Batch | None:
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

"""What fit saw, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastbp.network import Network

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

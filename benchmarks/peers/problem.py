"""The data and the first weights that every library is given, float32."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .nets import Row

LEARNING_RATE = 0.01  # small, because the same batch is stepped on thousands of times


@dataclass(frozen=True)
class Problem:
    """Layers [(W, b), ...] as in the lecture, W (n_out, n_in), with activations between them.

    The loss is the batch's mean softmax cross-entropy against the classes y; X is (batch, n_0).
    """

    layers: list[tuple[Any, Any]]
    X: Any
    y: Any
    activation: str = "relu"
    lr: float = LEARNING_RATE

    def copied_layers(self) -> list[tuple[Any, Any]]:
        """Weights for a library to keep and to change."""
        return [(W.copy(), b.copy()) for W, b in self.layers]


def problem(row: Row) -> Problem:
    """Standard normal rows and He's weights, the same on every run."""
    rng = np.random.default_rng(0)
    layers = [
        (
            (rng.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in)).astype("f4"),
            np.zeros(n_out, "f4"),
        )
        for n_in, n_out in pairwise(row.sizes)
    ]
    X = rng.standard_normal((row.batch, row.sizes[0])).astype("f4")
    return Problem(layers, X, rng.integers(0, row.sizes[-1], row.batch), row.activation)

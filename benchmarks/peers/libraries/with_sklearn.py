"""scikit-learn's MLPClassifier."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from ..blas import COUNTS, threads
from ..problem import Problem

__all__ = ["COUNTS", "Step", "fit", "threads"]

UNCHECKED = {"assume_finite": True, "skip_parameter_validation": True}


class Step:
    """`partial_fit` on the batch, without momentum and L2."""

    def __init__(self, problem: Problem) -> None:
        hidden = tuple(len(b) for _, b in problem.layers[:-1])
        self.mlp = MLPClassifier(
            hidden, problem.activation, solver="sgd", learning_rate_init=problem.lr, momentum=0.0,
            alpha=0.0, nesterovs_momentum=False, batch_size=len(problem.X), shuffle=False,
        )  # fmt: skip
        self.X, self.y = problem.X, problem.y
        # the arrays come with the first call; the problem's weights are then written into them
        self.mlp.partial_fit(self.X, self.y, classes=np.arange(len(problem.layers[-1][1])))
        for (W, b), (W0, b0) in zip(self.parameters(), problem.layers, strict=True):
            W[...], b[...] = W0, b0

    def __call__(self) -> None:
        with sklearn.config_context(**UNCHECKED):
            self.mlp.partial_fit(self.X, self.y)

    def parameters(self) -> list[tuple[Any, Any]]:
        return [(W.T, b) for W, b in zip(self.mlp.coefs_, self.mlp.intercepts_, strict=True)]


def fit(
    sizes: tuple[int, ...], X: Any, y: Any, *, batch_size: int, epochs: int, seed: int
) -> Callable[[Any], Any]:
    mlp = MLPClassifier(
        sizes[1:-1], solver="adam", learning_rate_init=1e-3, batch_size=batch_size,
        max_iter=epochs, tol=0.0, n_iter_no_change=epochs + 1, random_state=seed,
    )  # fmt: skip
    with sklearn.config_context(**UNCHECKED), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # all the epochs are wanted
        mlp.fit(X, y)
    return mlp.predict

"""NumPy: the step written out, without an allocation where `out=` saves one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..blas import COUNTS, threads
from ..problem import Problem

__all__ = ["COUNTS", "Step", "threads"]


class Step:
    """Equations E1 to E9 and the update; the loss itself is not formed."""

    def __init__(self, problem: Problem) -> None:
        self.layers = problem.copied_layers()
        self.y, self.lr, self.rows = problem.y, np.float32(problem.lr), np.arange(len(problem.X))
        self.relu = problem.activation == "relu"
        self.h = [problem.X]
        for _, b in self.layers:
            self.h.append(np.empty((len(problem.X), len(b)), "f4"))
        self.dh = [np.empty_like(h) for h in self.h]
        self.gradients = problem.copied_layers()  # only for their shapes

    def __call__(self) -> None:
        h, lr, last = self.h, self.lr, len(self.layers)
        for k, (W, b) in enumerate(self.layers, 1):
            a = np.dot(h[k - 1], W.T, out=h[k])
            a += b
            if k < last:
                if self.relu:
                    np.maximum(a, 0, out=a)
                else:
                    np.tanh(a, out=a)
        delta = h[last]
        delta -= delta.max(axis=1, keepdims=True)
        np.exp(delta, out=delta)
        delta /= delta.sum(axis=1, keepdims=True)
        delta[self.rows, self.y] -= 1
        delta /= len(delta)
        for k in range(last, 0, -1):
            (W, b), (dW, db) = self.layers[k - 1], self.gradients[k - 1]
            np.dot(delta.T, h[k - 1], out=dW)
            delta.sum(axis=0, out=db)
            if k > 1:
                delta = np.dot(delta, W, out=self.dh[k - 1])
                if self.relu:
                    delta *= h[k - 1] > 0
                else:
                    h[k - 1] *= h[k - 1]
                    delta *= np.subtract(1, h[k - 1], out=h[k - 1])
            dW *= lr
            W -= dW
            db *= lr
            b -= db

    def parameters(self) -> list[tuple[Any, Any]]:
        return self.layers

"""fastbp."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import fastbp as bp

from .. import blas
from ..problem import Problem

COUNTS = (1, 2) if hasattr(bp, "thread_limit") else (1,)


class Step:
    """`net.step` with a frozen SGD."""

    def __init__(self, problem: Problem) -> None:
        sizes = [problem.X.shape[1], *(len(b) for _, b in problem.layers)]
        self.net = bp.mlp(sizes, activation=problem.activation, dtype="float32", rng=0)
        for (W, b), (W0, b0) in zip(self.parameters(), problem.layers, strict=True):
            W[...], b[...] = W0, b0
        self.X, self.y, self.sgd = problem.X, problem.y, bp.SGD(problem.lr)

    def __call__(self) -> None:
        self.net.step(self.X, self.y, self.sgd)

    def parameters(self) -> list[tuple[Any, Any]]:
        arrays = list(self.net.params.values())
        return list(zip(arrays[::2], arrays[1::2], strict=True))


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Both fastbp's own threads and those of the BLAS it calls."""
    own = bp.thread_limit(n) if hasattr(bp, "thread_limit") else nullcontext()
    with blas.threads(n), own:
        yield


def fit(
    sizes: tuple[int, ...], X: Any, y: Any, *, batch_size: int, epochs: int, seed: int
) -> Callable[[Any], Any]:
    net = bp.mlp(list(sizes), activation="relu", dtype="float32", rng=seed)
    net.fit(
        X, y, optimizer=bp.Adam(1e-3), epochs=epochs, batch_size=batch_size, rng=seed,
        progress=False,
    )  # fmt: skip
    return net.predict

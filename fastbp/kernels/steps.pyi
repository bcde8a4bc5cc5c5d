from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastbp.kernels.optimizer_state import OptimizerState
from fastbp.kernels.plan import Plan
from fastbp.kernels.turn import Turn

@final
class Using:
    def __new__(cls, network: Steps, most: int) -> Self: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...

@disjoint_base
class Steps:
    optimizer_state: OptimizerState | None
    _flat: NDArray[Any]
    _plan: Plan | None
    _lock: Turn
    _l2: float
    _most_threads: int
    _seed: int

    def _settle(self, targets: str | None) -> None: ...
    def step(
        self,
        X: Any,
        y: Any,
        optimizer: Any,
        *,
        sample_weight: Any = None,
        threads: int | None = None,
    ) -> float: ...
    def _make_step(self, batch: Any, scale: float, optimizer: Any) -> float: ...
    def _run_epoch(
        self,
        optimizer: Any,
        batch: Any,
        order: NDArray[np.int64],
        x: NDArray[Any],
        first: int,
        total_weight: float,
        running: float,
        seconds: float,
        threads: int,
    ) -> tuple[int, float, float, Exception | None]: ...

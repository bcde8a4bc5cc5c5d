from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_F = TypeVar("_F", np.float32, np.float64)

__pyx_capi__: dict[str, object]  # the C side, for cimport

def sgd_update(
    theta: NDArray[_F], g: NDArray[_F], *, lr: float, weight_decay: float = 0.0
) -> None: ...
def momentum_update(
    theta: NDArray[_F],
    g: NDArray[_F],
    v: NDArray[_F],
    *,
    lr: float,
    momentum: float,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> None: ...
def adam_update(
    theta: NDArray[_F],
    g: NDArray[_F],
    m: NDArray[_F],
    v: NDArray[_F],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    t: int,
    weight_decay: float = 0.0,
) -> None: ...

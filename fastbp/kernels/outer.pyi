from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_F = TypeVar("_F", np.float32, np.float64)

__pyx_capi__: dict[str, object]  # the C side, for cimport

def outer_sum(
    delta: NDArray[_F], h: NDArray[_F], out: NDArray[_F] | None = None
) -> NDArray[_F]: ...
def bias_sum(delta: NDArray[_F], out: NDArray[_F] | None = None) -> NDArray[_F]: ...

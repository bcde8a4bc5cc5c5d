from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_F = TypeVar("_F", np.float32, np.float64)

__pyx_capi__: dict[str, object]  # the C side, for cimport

def dense_forward(
    x: NDArray[_F], W: NDArray[_F], b: NDArray[_F] | None = None, out: NDArray[_F] | None = None
) -> NDArray[_F]: ...
def dense_backward(
    delta: NDArray[_F], W: NDArray[_F], out: NDArray[_F] | None = None
) -> NDArray[_F]: ...

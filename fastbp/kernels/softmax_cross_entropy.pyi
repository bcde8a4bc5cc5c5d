from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_F = TypeVar("_F", np.float32, np.float64)

def softmax(a: NDArray[_F], out: NDArray[_F] | None = None) -> NDArray[_F]: ...
def softmax_cross_entropy(
    a: NDArray[_F], targets: NDArray[np.int64] | NDArray[_F], delta: NDArray[_F] | None = None
) -> NDArray[np.float64]: ...

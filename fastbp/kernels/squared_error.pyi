from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_F = TypeVar("_F", np.float32, np.float64)

def squared_error(
    a: NDArray[_F], t: NDArray[_F], delta: NDArray[_F] | None = None
) -> NDArray[np.float64]: ...

from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastbp.kernels.passes import Passes

@disjoint_base
class Descent(Passes):
    flat: NDArray[Any]

from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastbp.kernels.chain import Chain

@disjoint_base
class Descent(Chain):
    flat: NDArray[Any]

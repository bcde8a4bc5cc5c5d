from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastbp.kernels.updates import Updates

@disjoint_base
class Descent(Updates):
    flat: NDArray[Any]

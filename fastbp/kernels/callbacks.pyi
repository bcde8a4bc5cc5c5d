from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

__pyx_capi__: dict[str, object]  # the C side, for cimport

@disjoint_base
class Callbacks:
    layout: Any
    loss: Any
    y: list[NDArray[Any]]
    dy: list[NDArray[Any]]
    grads: list[dict[str, NDArray[Any]]]

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

__pyx_capi__: dict[str, object]  # the C side, for cimport

@disjoint_base
class OptimizerState:
    name: str
    constants: dict[str, Any]
    @property
    def steps(self) -> int: ...
    @steps.setter
    def steps(self, value: int) -> None: ...
    @property
    def arrays(self) -> dict[str, NDArray[Any]]: ...
    @arrays.setter
    def arrays(self, value: Mapping[str, NDArray[Any]]) -> None: ...
    @property
    def _arrays(self) -> dict[str, NDArray[Any]]: ...
    @property
    def _trusted(self) -> bool: ...
    def __init__(
        self,
        name: str,
        constants: dict[str, Any],
        steps: int = 0,
        arrays: Mapping[str, NDArray[Any]] | None = None,
    ) -> None: ...

def owned(
    name: str, constants: dict[str, Any], steps: int, arrays: dict[str, NDArray[Any]]
) -> OptimizerState: ...
def restored(
    name: str, constants: dict[str, Any], steps: int, arrays: dict[str, NDArray[Any]]
) -> OptimizerState: ...

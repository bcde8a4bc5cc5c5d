from typing import Any

from numpy.typing import NDArray

__pyx_capi__: dict[str, object]  # the C side, for cimport

def random_uniform(
    seed: int, step: int, layer: int, first_row: int, out: NDArray[Any]
) -> NDArray[Any]: ...

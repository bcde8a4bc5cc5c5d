from typing import Any

from numpy.typing import NDArray

def random_uniform(
    seed: int, step: int, layer: int, first_row: int, out: NDArray[Any]
) -> NDArray[Any]: ...

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_F = TypeVar("_F", np.float32, np.float64)

__pyx_capi__: dict[str, object]  # the C side, for cimport

def relu_forward(a: NDArray[_F], out: NDArray[_F] | None = None) -> NDArray[_F]: ...
def relu_backward(
    h: NDArray[_F], dh: NDArray[_F], out: NDArray[_F] | None = None
) -> NDArray[_F]: ...
def tanh_forward(a: NDArray[_F], out: NDArray[_F] | None = None) -> NDArray[_F]: ...
def tanh_backward(
    h: NDArray[_F], dh: NDArray[_F], out: NDArray[_F] | None = None
) -> NDArray[_F]: ...
def sigmoid_forward(a: NDArray[_F], out: NDArray[_F] | None = None) -> NDArray[_F]: ...
def sigmoid_backward(
    h: NDArray[_F], dh: NDArray[_F], out: NDArray[_F] | None = None
) -> NDArray[_F]: ...

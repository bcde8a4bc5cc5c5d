"""The lecture's equations E1 to E10, a function each.

Shapes are the same throughout, so they are said once. One example is one row:

    x, h   (batch, n_in)     what a layer takes in        W   (n_out, n_in)
    a      (batch, n_out)    what it puts out             b   (n_out,)
    delta  (batch, n_out)    the gradient w.r.t. a; a gradient is ``d`` + the name elsewhere
    targets                  classes l as integers (batch,), or rows (batch, n_out)
    loss   (batch,)          of each example

Scale: losses are those of single examples and gradients are linear in delta; nothing is averaged
or weighted.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def dense_forward(x: Array, W: Array, b: Array | None = None) -> Array:
    """E1: a_i = b_i + Σ_j W_ij x_j, pre-activations (batch, n_out).

    >>> dense_forward(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.5]))
    array([[11.5]])
    """
    return x @ W.T if b is None else x @ W.T + b


def relu_forward(a: Array) -> Array:
    """E2: h = max(a, 0)."""
    return np.maximum(a, 0)


def relu_backward(h: Array, dh: Array) -> Array:
    """E7: da = dh g'(a), read from the output h: g'(a) is 1 where h > 0, else 0.

    >>> relu_backward(relu_forward(np.array([-1.0, 0.0, 2.0])), np.ones(3))
    array([0., 0., 1.])
    """
    return np.where(h > 0, dh, 0)


def tanh_forward(a: Array) -> Array:
    """E2: h = tanh(a)."""
    return np.tanh(a)


def tanh_backward(h: Array, dh: Array) -> Array:
    """E7: da = dh g'(a), where g'(a) = 1 - tanh(a)² = (1 - h)(1 + h)."""
    return dh * (1 - h) * (1 + h)


def sigmoid_forward(a: Array) -> Array:
    """E2: h = 1 / (1 + exp(-a)), with no exponent above 0, so that nothing overflows."""
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1, e) / (1 + e)


def sigmoid_backward(h: Array, dh: Array) -> Array:
    """E7: da = dh g'(a), where g'(a) = h (1 - h)."""
    return dh * h * (1 - h)


def below_max(a: Array) -> Array:
    """a minus its row's maximum: softmax does not change, and exp cannot overflow."""
    with np.errstate(over="ignore"):  # a difference out of range is -inf, and exp(-inf) is 0
        return a - a.max(axis=1, keepdims=True)


def as_rows(targets: Array, a: Array) -> Array:
    """Targets as rows like a: classes l become unit vectors e_l, rows stay."""
    return np.eye(a.shape[1], dtype=a.dtype)[targets] if targets.ndim == 1 else targets


def softmax(a: Array) -> Array:
    """E3: y_hat_j = exp(a_j) / Σ_i exp(a_i).

    >>> softmax(np.log([[1.0, 1.0, 2.0]])).round(6)
    array([[0.25, 0.25, 0.5 ]])
    """
    e = np.exp(below_max(a))
    return e / e.sum(axis=1, keepdims=True)


def softmax_cross_entropy(a: Array, targets: Array) -> Array:
    """E3: ℓ = -log y_hat_l = log Σ_j exp(a_j) - a_l; for a row p, ℓ = -Σ_j p_j log y_hat_j.

    >>> softmax_cross_entropy(np.log([[1.0, 1.0, 2.0]]), np.array([2])).round(6)  # log 2
    array([0.693147])
    """
    p, shifted = as_rows(targets, a), below_max(a)
    surprise = np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - shifted  # -log y_hat
    return (p * np.where(p > 0, surprise, 0)).sum(axis=1)  # p_j = 0 contributes 0


def softmax_cross_entropy_dy_hat(y_hat: Array, targets: Array) -> Array:
    """E4: ∂ℓ/∂y_hat = -(1 / y_hat_l) e_l, w.r.t. the output; for a row p, -p / y_hat.

    -inf where y_hat_l underflowed to 0; 0/0 counts as 0.

    >>> softmax_cross_entropy_dy_hat(np.array([[0.25, 0.25, 0.5]]), np.array([2]))
    array([[ 0.,  0., -2.]])
    """
    p = as_rows(targets, y_hat)
    with np.errstate(divide="ignore", over="ignore"):
        return np.divide(-p, y_hat, out=np.zeros_like(y_hat), where=p > 0)


def softmax_cross_entropy_backward(a: Array, targets: Array) -> Array:
    """E5: delta = y_hat - e_l, w.r.t. the pre-activation; for a row p, y_hat Σp - p.

    >>> softmax_cross_entropy_backward(np.log([[1.0, 1.0, 2.0]]), np.array([2])).round(6)
    array([[ 0.25,  0.25, -0.5 ]])
    """
    y_hat, p = softmax(a), as_rows(targets, a)
    delta = y_hat * p.sum(axis=1, keepdims=True) - p
    if targets.ndim == 1:  # y_hat_l - 1 loses every digit when y_hat_l is near 1; the others don't
        rest = np.where(p > 0, 0, y_hat).sum(axis=1, keepdims=True)
        delta = np.where(p > 0, -rest, y_hat)
    return delta


def sigmoid_cross_entropy(a: Array, t: Array) -> Array:
    """ℓ = -Σ_j (t_j log y_hat_j + (1 - t_j) log(1 - y_hat_j)) with y_hat = sigmoid(a), t in [0, 1].

    >>> sigmoid_cross_entropy(np.zeros((1, 2)), np.array([[0.0, 1.0]])).round(6)  # 2 log 2
    array([1.386294])
    """
    return (np.maximum(a, 0) - a * t + np.log1p(np.exp(-np.abs(a)))).sum(axis=1)


def sigmoid_cross_entropy_dy_hat(y_hat: Array, t: Array) -> Array:
    """∂ℓ/∂y_hat = (1 - t) / (1 - y_hat) - t / y_hat; 0/0 counts as 0 (E4's counterpart)."""
    with np.errstate(divide="ignore", over="ignore"):
        no = np.divide(1 - t, 1 - y_hat, out=np.zeros_like(y_hat), where=t < 1)
        return no - np.divide(t, y_hat, out=np.zeros_like(y_hat), where=t > 0)


def sigmoid_cross_entropy_backward(a: Array, t: Array) -> Array:
    """delta = y_hat - t, in a form that keeps its digits: (1 - t) sigmoid(a) - t sigmoid(-a)."""
    return (1 - t) * sigmoid_forward(a) - t * sigmoid_forward(-a)


def squared_error(a: Array, t: Array) -> Array:
    """E10: ℓ = ½ Σ_j (a_j - t_j)², where y_hat is a itself; half of scikit-learn's square.

    >>> squared_error(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))
    array([2.5])
    """
    return ((a - t) ** 2).sum(axis=1) / 2


def squared_error_backward(a: Array, t: Array) -> Array:
    """The derivative of E10: delta = a - t."""
    return a - t


def dense_backward(delta: Array, W: Array) -> Array:
    """E6: dh = delta W, w.r.t. what the layer took in: dh_j = Σ_i delta_i W_ij.

    >>> dense_backward(np.array([[1.0, 10.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[31., 42.]])
    """
    return delta @ W


def outer_sum(delta: Array, h: Array) -> Array:
    """E8: dW = deltaᵀ h, the sum over the batch of the outer products, dW_ij = Σ_n delta_ni h_nj.

    >>> outer_sum(np.array([[1.0, 10.0]]), np.array([[1.0, 2.0, 3.0]]))
    array([[ 1.,  2.,  3.],
           [10., 20., 30.]])
    """
    return delta.T @ h


def bias_sum(delta: Array) -> Array:
    """E9: db_i = Σ_n delta_ni, the column sums.

    >>> bias_sum(np.array([[1.0, 10.0], [2.0, 20.0]]))
    array([ 3., 30.])
    """
    return delta.sum(axis=0)


def identity(a: Array) -> Array:
    """Nothing follows: h = a; for the squared error, y_hat = a."""
    return a


Function = Callable[..., Array]
ACTIVATIONS: dict[str | None, tuple[Function, Function]] = {  # forward (E2), backward (E7)
    "relu": (relu_forward, relu_backward),
    "tanh": (tanh_forward, tanh_backward),
    "sigmoid": (sigmoid_forward, sigmoid_backward),
    None: (identity, lambda h, dh: dh),
}
LOSSES: dict[str, tuple[Function, Function, Function, Function]] = {  # y_hat, ℓ, E4, E5
    "softmax_cross_entropy": (
        softmax, softmax_cross_entropy, softmax_cross_entropy_dy_hat, softmax_cross_entropy_backward
    ),
    "sigmoid_cross_entropy": (
        sigmoid_forward, sigmoid_cross_entropy, sigmoid_cross_entropy_dy_hat,
        sigmoid_cross_entropy_backward
    ),
    "squared_error": (identity, squared_error, squared_error_backward, squared_error_backward),
}  # fmt: skip

"""The lecture's road map as matrices: each factor ∂above/∂below of one example, entry by entry.

∂ℒ/∂W_kij = (∂ℒ/∂y_hat · ∂y_hat/∂a_L) · (∂a_L/∂h_{L-1} · ∂h_{L-1}/∂a_{L-1}) · ... · ∂a_k/∂W_kij:
a row vector times matrices (n_above, n_below) times a column vector. Here an example is a vector,
h (n_in,) and a (n_out,), not a row of a batch. The products are as large as the network is wide,
squared: this is for reading and for tests.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastbp.reference.chain import DenseLayer, forward
from fastbp.reference.equations import ACTIVATIONS, LOSSES, Array, sigmoid_forward


def softmax_jacobian(y_hat: Array) -> Array:
    """E3: ∂y_hat_i/∂a_j = y_hat_i ([i = j] - y_hat_j), that is diag(y_hat) - y_hat y_hatᵀ.

    1 - y_hat_i is the sum of the others, which does not cancel when y_hat_i is near 1.

    >>> softmax_jacobian(np.array([0.25, 0.25, 0.5]))
    array([[ 0.1875, -0.0625, -0.125 ],
           [-0.0625,  0.1875, -0.125 ],
           [-0.125 , -0.125 ,  0.25  ]])
    """
    same = np.eye(len(y_hat), dtype=bool)
    others = np.where(same, 0, y_hat).sum(axis=1)
    return np.where(same, y_hat * others, -np.outer(y_hat, y_hat))


def output_jacobian(loss: str, a: Array) -> Array:
    """E3: ∂y_hat/∂a_L of a loss's output map: softmax, sigmoid, or the identity.

    >>> output_jacobian("sigmoid_cross_entropy", np.zeros(2))
    array([[0.25, 0.  ],
           [0.  , 0.25]])
    """
    if loss == "softmax_cross_entropy":
        return softmax_jacobian(LOSSES[loss][0](a[np.newaxis])[0])
    if loss == "sigmoid_cross_entropy":
        return np.diag(sigmoid_forward(a) * sigmoid_forward(-a))
    return np.eye(len(a), dtype=a.dtype)


def dense_jacobian(W: Array) -> Array:
    """E6: ∂a_i/∂h_j = W_ij.

    >>> dense_jacobian(np.array([[1.0, 2.0]]))
    array([[1., 2.]])
    """
    return W


def activation_jacobian(g: str | None, h: Array) -> Array:
    """E7: ∂h_i/∂a_j = g'(a_i) [i = j], read from h = g(a).

    >>> activation_jacobian("relu", np.array([0.0, 3.0]))
    array([[0., 0.],
           [0., 1.]])
    """
    return np.diag(ACTIVATIONS[g][1](h, np.ones_like(h)))


def weight_jacobian(h: Array, n_out: int, i: int, j: int) -> Array:
    """E8: ∂a/∂W_ij = h_j e_i, a column (n_out,): only a_i has W_ij in it.

    >>> weight_jacobian(np.array([5.0, 7.0]), 3, 2, 1)
    array([0., 0., 7.])
    """
    column = np.zeros(n_out, h.dtype)
    column[i] = h[j]
    return column


def bias_jacobian(h: Array, n_out: int, i: int) -> Array:
    """E9: ∂a/∂b_i = e_i, a column (n_out,).

    >>> bias_jacobian(np.array([5.0, 7.0]), 3, 2)
    array([0., 0., 1.])
    """
    return weight_jacobian(np.ones_like(h), n_out, i, 0)


def road(
    x: Array,
    target: Array,
    layers: Sequence[DenseLayer],
    loss: str,
    k: int,
    i: int,
    j: int | None = None,
) -> list[Array]:
    """E4, E3, then E6 and E7 in turn, E8 or E9: the factors from the loss to one weight.

    Parameters
    ----------
    x : ndarray (n_0,)
        One example.
    target : ndarray
        Its class (), or its row (n_L,).
    layers : sequence of (W, b, g)
        As for :func:`gradients`.
    loss : str
        A key of LOSSES.
    k : int
        The layer, from 1.
    i, j : int
        The unit and what it takes in, from 0; without j the bias b_ki.

    Returns
    -------
    list of ndarray
        ∂ℒ/∂y_hat, ∂y_hat/∂h_L, ∂h_L/∂a_L, ∂a_L/∂h_{L-1}, ..., ∂a_k/∂W_kij (or b_ki): multiplied
        from left to right, ∂ℒ/∂W_kij of this one example, unscaled.

    Examples
    --------
    >>> W = np.array([[0.0, 0.0], [0.0, 0.0]])
    >>> factors = road(np.array([1.0, 2.0]), np.array(0), [(W, None, None)],
    ...                "softmax_cross_entropy", k=1, i=0, j=1)
    >>> float(np.linalg.multi_dot(factors))  # (y_hat_0 - 1) x_1
    -1.0
    """
    L = len(layers)
    _, batch = forward(x[np.newaxis], layers)
    h = {m: row[0] for m, row in batch.items()}
    to_y_hat, _, dy_hat, _ = LOSSES[loss]
    factors = [
        dy_hat(to_y_hat(batch[L]), np.asarray(target)[np.newaxis])[0],  # E4
        output_jacobian(loss, h[L]),  # E3
    ]
    for m in range(L, k - 1, -1):
        factors.append(activation_jacobian(layers[m - 1][2], h[m]))  # E7
        if m > k:
            factors.append(dense_jacobian(layers[m - 1][0]))  # E6
    if j is None:
        factors.append(bias_jacobian(h[k - 1], len(h[k]), i))  # E9
    else:
        factors.append(weight_jacobian(h[k - 1], len(h[k]), i, j))  # E8
    return factors

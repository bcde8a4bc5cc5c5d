"""The chain made of the equations, forward and back: every quantity of the lecture by its name."""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from fastbp.reference.equations import (
    ACTIVATIONS,
    LOSSES,
    Array,
    bias_sum,
    dense_backward,
    dense_forward,
    outer_sum,
)

DenseLayer = tuple[Array, Array | None, str | None]  # W, b or None, g


def forward(x: Array, layers: Sequence[DenseLayer]) -> tuple[dict[int, Array], dict[int, Array]]:
    """The way forward, E1 and E2 in turn: a[k] for k = 1..L and h[k] for k = 0..L, h[0] = x.

    >>> a, h = forward(np.array([[1.0]]), [(np.array([[-2.0]]), None, "relu")])
    >>> a[1], h[1]
    (array([[-2.]]), array([[0.]]))
    """
    a, h = {}, {0: x}
    for k, (W, b, g) in enumerate(layers, start=1):
        a[k] = dense_forward(h[k - 1], W, b)
        h[k] = ACTIVATIONS[g][0](a[k])
    return a, h


def gradients(
    x: Array,
    targets: Array,
    layers: Sequence[DenseLayer],
    loss: str = "softmax_cross_entropy",
    sample_weight: Array | None = None,
    reduction: str = "mean",
    l2: float = 0.0,
) -> SimpleNamespace:
    """The chain of the lecture, from the loss back to the weights: every quantity by its name.

    Parameters
    ----------
    x : ndarray (batch, n_0)
    targets : ndarray
        Classes (batch,) or probability rows; labels in [0, 1]; values (batch, n_L).
    layers : sequence of (W, b, g)
        Weights (n_k, n_{k-1}), bias (n_k,) or None, and what follows: a key of ACTIVATIONS.
    loss : str
        A key of LOSSES.
    sample_weight : ndarray (batch,), optional
        w_n; all 1 without it.
    reduction : {"mean", "sum"}
        Σ w_n ℓ_n / Σ w_n, or Σ w_n ℓ_n: the loss that all gradients belong to.
    l2 : float
        Adds l2 Σ_k ‖W_k‖² to it.

    Returns
    -------
    SimpleNamespace
        loss; y_hat (E4); a[k] (E5, E7); h[k] and x (E6); W[k] (E8); b[k] (E9); scale (batch,);
        ``values``: a[k], h[k] and y_hat on the way forward, and the unweighted losses ``each``.

    Examples
    --------
    >>> layers = [(np.zeros((2, 2)), np.zeros(2), None)]
    >>> gradients(np.array([[1.0, 2.0]]), np.array([0]), layers).W[1]
    array([[-0.5, -1. ],
           [ 0.5,  1. ]])
    """
    to_y_hat, loss_of, dy_hat, delta_of = LOSSES[loss]
    weight = np.ones(len(x), x.dtype) if sample_weight is None else sample_weight.astype(x.dtype)
    scale = weight / weight.sum() if reduction == "mean" else weight
    per_row = scale[:, np.newaxis]

    L = len(layers)
    a, h = forward(x, layers)
    y_hat, each = to_y_hat(h[L]), loss_of(h[L], targets)
    total = (scale * each).sum() + sum(l2 * (W**2).sum() for W, _, _ in layers)

    da, dh, dW, db = {}, {L: per_row * delta_of(h[L], targets)}, {}, {}  # E5
    for k in range(L, 0, -1):
        W, b, g = layers[k - 1]
        da[k] = ACTIVATIONS[g][1](h[k], dh[k])  # E7
        dW[k] = outer_sum(da[k], h[k - 1]) + 2 * l2 * W  # E8
        if b is not None:
            db[k] = bias_sum(da[k])  # E9
        dh[k - 1] = dense_backward(da[k], W)  # E6
    dy = per_row * dy_hat(y_hat, targets)  # E4
    values = SimpleNamespace(a=a, h=h, y_hat=y_hat, each=each)
    return SimpleNamespace(
        loss=total, y_hat=dy, a=da, h=dh, x=dh[0], W=dW, b=db, scale=scale, values=values
    )

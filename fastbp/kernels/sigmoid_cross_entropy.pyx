"""Sigmoid cross-entropy: independent yes-or-no outputs (E3 and E5 for two classes each)."""

from fastbp import checks

from fastbp.kernels.builtin cimport SIGMOID_CROSS_ENTROPY, run_loss
from fastbp.plugin cimport FASTBP_VALUES


def sigmoid_cross_entropy(a, t, delta=None):
    """Cross-entropy loss of sigmoid outputs and its gradient, in one pass.

    loss = Σ_j -t_j log y_hat_j - (1 - t_j) log(1 - y_hat_j), delta = y_hat - t, where
    y_hat = sigmoid(a).

    Parameters
    ----------
    a : ndarray (batch, n), float32 or float64
        Output units' pre-activation; -inf stands for probability 0.
    t : ndarray (batch, n), a's dtype
        Targets in [0, 1], taken as they are.
    delta : ndarray (batch, n), a's dtype, optional
        Filled with the gradient w.r.t. a: per example, unweighted and unscaled. It is finite for
        all finite a, and free of cancellation at t = 0 and t = 1.

    Returns
    -------
    ndarray (batch,), float64
        Loss of each example: a sum over its outputs, unweighted and unscaled. inf only where the
        true value exceeds double's range or a_j = -inf and t_j > 0; NaN in a row that holds +inf
        or NaN.

    Raises
    ------
    DtypeError
        An argument is no array, or its dtype is not float32 or float64, or not that of a.
    ShapeError
        The shapes differ, or an array is not C-contiguous and aligned.
    ConfigError
        `delta` is read-only or shares memory with an input.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import sigmoid_cross_entropy
    >>> a, t, delta = np.log([[3.0, 1.0]]), np.array([[1.0, 0.0]]), np.empty((1, 2))
    >>> bool(np.isclose(sigmoid_cross_entropy(a, t, delta), np.log(4 / 3) + np.log(2)))
    True
    >>> delta
    array([[-0.25,  0.5 ]])

    References
    ----------
    E3 and E5, for two classes per output.
    """
    dtype = checks.operand("a", a, (None, None))
    checks.operand("t", t, a.shape, dtype)
    if delta is not None:
        checks.operand("delta", delta, a.shape, dtype, out=True)
        checks.no_overlap("delta", delta, a=a, t=t)
    return run_loss(SIGMOID_CROSS_ENTROPY, a, t, delta, FASTBP_VALUES)

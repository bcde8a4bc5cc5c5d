"""Squared error E10, the loss for regression."""

from fastbp import checks

from fastbp.kernels.builtin cimport SQUARED_ERROR, run_loss
from fastbp.plugin cimport FASTBP_VALUES


def squared_error(a, t, delta=None):
    """Half the squared distance to the targets, and its gradient.

    loss = ½ Σ_j (a_j - t_j)², delta = a - t.

    Parameters
    ----------
    a : ndarray (batch, n), float32 or float64
        Outputs.
    t : ndarray (batch, n), a's dtype
        Targets.
    delta : ndarray (batch, n), a's dtype, optional
        Filled with the gradient w.r.t. a: per example, unweighted and unscaled.

    Returns
    -------
    ndarray (batch,), float64
        Loss of each example: a sum over its outputs, unweighted and unscaled (half of
        scikit-learn's square; PyTorch's MSELoss is 2/n times it).

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
    >>> from fastbp.kernels import squared_error
    >>> delta = np.empty((1, 2))
    >>> squared_error(np.array([[4.0, 1.0]]), np.array([[1.0, 5.0]]), delta)
    array([12.5])
    >>> delta
    array([[ 3., -4.]])

    References
    ----------
    E10.
    """
    dtype = checks.operand("a", a, (None, None))
    checks.operand("t", t, a.shape, dtype)
    if delta is not None:
        checks.operand("delta", delta, a.shape, dtype, out=True)
        checks.no_overlap("delta", delta, a=a, t=t)
    return run_loss(SQUARED_ERROR, a, t, delta, FASTBP_VALUES)

"""Squared error E10, the loss for regression."""

import numpy as np

from fastbp import checks


cdef void c_squared_error(
        const floating* a, const floating* t, double* loss, floating* delta,
        Py_ssize_t batch, Py_ssize_t n) noexcept nogil:
    # E10: loss = ½ Σ_j (y_hat_j - t_j)² with y_hat = a, so delta = a - t;
    # a, t (batch, n), loss (batch,), delta (batch, n) or NULL.
    cdef Py_ssize_t i, j
    cdef double diff, total
    for i in range(batch):
        total = 0
        for j in range(n):
            diff = <double>a[j] - <double>t[j]
            total += (0.5 * diff) * diff  # in this order, or diff² overflows before its half does
            if delta != NULL:
                delta[j] = <floating>diff
        loss[i] = total
        a += n
        t += n
        if delta != NULL:
            delta += n


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
    loss = np.zeros(a.shape[0])
    if dtype == np.float32:
        run[float](a, t, loss, delta)
    else:
        run[double](a, t, loss, delta)
    return loss


cdef int run(
        const floating[:, ::1] a, const floating[:, ::1] t, double[::1] loss,
        floating[:, ::1] delta) except -1:
    cdef floating* start = NULL
    if a.shape[0] == 0 or a.shape[1] == 0:
        return 0
    if delta is not None:
        start = &delta[0, 0]
    with nogil:
        c_squared_error(&a[0, 0], &t[0, 0], &loss[0], start, a.shape[0], a.shape[1])
    return 0

"""Sigmoid cross-entropy: independent yes-or-no outputs (E3 and E5 for two classes each)."""

from libc.math cimport INFINITY, NAN, exp, fabs, log1p

import numpy as np

from fastbp import checks


cdef void c_sigmoid_cross_entropy(
        const floating* a, const floating* t, double* loss, floating* delta,
        Py_ssize_t batch, Py_ssize_t n) noexcept nogil:
    # With y_hat = sigmoid(a):
    # E3: loss = Σ_j -t_j log y_hat_j - (1 - t_j) log(1 - y_hat_j) = Σ_j softplus(a_j) - t_j a_j;
    # E5: delta = y_hat - t;
    # a, t (batch, n), loss (batch,), delta (batch, n) or NULL.
    #
    # Let e = exp(-|a|), which never overflows. softplus(a) = max(a, 0) + log(1 + e), so the loss is
    # |a| times the part of t on the wrong side, plus log(1 + e): no term is negative. Over the
    # common denominator 1 + e, y_hat - t loses nothing where y_hat is near t = 0 or t = 1.
    cdef Py_ssize_t i, j
    cdef double yes, no, wrong, e, total, slope
    for i in range(batch):
        total = 0
        for j in range(n):
            yes = t[j]
            no = 1 - yes
            e = exp(-fabs(a[j]))
            if a[j] < 0:
                wrong = yes
                slope = (no * e - yes) / (1 + e)
            else:
                wrong = no
                slope = (no - yes * e) / (1 + e)
            if not a[j] < INFINITY:  # +inf and NaN are no output
                total = slope = NAN
            if wrong != 0:  # 0 * inf counts as 0
                total += wrong * fabs(a[j])
            total += log1p(e)
            if delta != NULL:
                delta[j] = <floating>slope
        loss[i] = total
        a += n
        t += n
        if delta != NULL:
            delta += n


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
        c_sigmoid_cross_entropy(&a[0, 0], &t[0, 0], &loss[0], start, a.shape[0], a.shape[1])
    return 0

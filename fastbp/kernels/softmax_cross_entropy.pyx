"""Softmax cross-entropy: output and loss E3, gradient w.r.t. the output units E5.

Everything is written in e_j = exp(a_j - max), so that y_hat_j = e_j / Σ e. The largest e is 1 and
none overflows: where a_j - max overflows to -inf, e_j = 0 is right. Rows are summed in double.
Wherever 1 - y_hat_j is meant, the others are summed instead, because the difference would cancel.
"""

from libc.stdint cimport int64_t

import numpy as np

from fastbp import checks
from fastbp.errors import LabelError, ShapeError

from fastbp.kernels.builtin cimport SOFTMAX_CROSS_ENTROPY, loss_table, run_loss
from fastbp.kernels.host cimport pointer, start_call
from fastbp.plugin cimport FASTBP_CLASSES, FASTBP_VALUES, fastbp_call


cdef object operand_of_classes(object a):
    dtype = checks.operand("a", a, (None, None))
    if a.shape[1] == 0:
        raise ShapeError(f"a: got shape {a.shape}; wanted at least one class")
    return dtype


def softmax(a, out=None):
    """Turn output units into class probabilities.

    y_hat_j = exp(a_j) / Σ_i exp(a_i), row by row, without overflow for any finite a.

    Parameters
    ----------
    a : ndarray (batch, n), float32 or float64
        Output units' pre-activation, n >= 1 classes; -inf stands for probability 0.
    out : ndarray (batch, n), a's dtype, optional
        Where the result goes; a new array by default.

    Returns
    -------
    ndarray (batch, n), a's dtype
        The output y_hat; a row that holds +inf or NaN, or -inf only, comes out as NaN.

    Raises
    ------
    DtypeError
        An argument is no array, or its dtype is not float32 or float64, or not that of a.
    ShapeError
        The shapes differ, there is no class, or an array is not C-contiguous and aligned.
    ConfigError
        `out` is read-only or shares memory with `a`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import softmax
    >>> softmax(np.log([[1.0, 3.0]]))
    array([[0.25, 0.75]])

    References
    ----------
    E3.
    """
    dtype = operand_of_classes(a)
    if out is None:
        out = np.empty(a.shape, dtype)
    else:
        checks.operand("out", out, a.shape, dtype, out=True)
        checks.no_overlap("out", out, a=a)
    cdef fastbp_call call
    cdef int64_t rows = a.shape[0], n = a.shape[1]
    cdef int type = dtype == np.float64
    cdef const void* source
    cdef void* target
    if rows > 0:
        source, target = pointer(a), pointer(out)
        with nogil:
            start_call(&call, rows, n, n)
            loss_table(SOFTMAX_CROSS_ENTROPY).y_hat[type](&call, source, target)
    return out


def softmax_cross_entropy(a, targets, delta=None):
    """Cross-entropy loss of softmax outputs and its gradient, in one pass.

    loss = -log y_hat_l and delta = y_hat - e_l for a class l; loss = -Σ_j p_j log y_hat_j and
    delta = y_hat Σp - p for a row p of class probabilities.

    Parameters
    ----------
    a : ndarray (batch, n), float32 or float64
        Output units' pre-activation, n >= 1 classes.
    targets : ndarray (batch,) of int64, or (batch, n) of a's dtype
        Classes in 0..n-1, or rows of finite class probabilities; rows are taken as they are.
    delta : ndarray (batch, n), a's dtype, optional
        Filled with the gradient w.r.t. a: per example, unweighted and unscaled. It is finite for
        all finite a, and free of cancellation.

    Returns
    -------
    ndarray (batch,), float64
        Loss of each example, unweighted and unscaled: inf only where the true value exceeds
        double's range or a_j = -inf where a class of positive probability stands. A row that holds
        +inf or NaN, or -inf only, gives NaN, as does its delta.

    Raises
    ------
    DtypeError
        An argument is no array, or has the wrong dtype.
    ShapeError
        The shapes do not fit, there is no class, or an array is not C-contiguous and aligned.
    LabelError
        A label lies outside 0..n-1. Nothing has been written then.
    ConfigError
        `delta` is read-only or shares memory with an input.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import softmax_cross_entropy
    >>> a, delta = np.log([[1.0, 3.0]]), np.empty((1, 2))
    >>> bool(np.isclose(softmax_cross_entropy(a, np.array([1]), delta), np.log(4 / 3)))
    True
    >>> delta
    array([[ 0.25, -0.25]])

    References
    ----------
    E3 and E5.
    """
    dtype = operand_of_classes(a)
    int64 = np.dtype(np.int64)
    classes = getattr(targets, "ndim", 1) == 1 or getattr(targets, "dtype", None) == int64
    if classes:
        checks.operand("targets", targets, (a.shape[0],), int64)
    else:
        checks.operand("targets", targets, a.shape, dtype)
    if delta is not None:
        checks.operand("delta", delta, a.shape, dtype, out=True)
        checks.no_overlap("delta", delta, a=a, targets=targets)
    if classes:
        require_labels(targets, a.shape[1])
    kind = FASTBP_CLASSES if classes else FASTBP_VALUES
    return run_loss(SOFTMAX_CROSS_ENTROPY, a, targets, delta, kind)


cdef int require_labels(const int64_t[::1] l, Py_ssize_t n) except -1:
    cdef Py_ssize_t i
    for i in range(l.shape[0]):
        if not 0 <= l[i] < n:
            raise LabelError(f"targets: got label {l[i]} in row {i}; wanted 0 to {n - 1}")
    return 0

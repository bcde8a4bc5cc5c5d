"""Softmax cross-entropy: output and loss E3, gradient w.r.t. the output units E5.

Everything is written in e_j = exp(a_j - max), so that y_hat_j = e_j / Σ e. The largest e is 1 and
none overflows: where a_j - max overflows to -inf, e_j = 0 is right. Rows are summed in double.
Wherever 1 - y_hat_j is meant, the others are summed instead, because the difference would cancel.
"""

from libc.math cimport exp, log, log1p
from libc.stdint cimport int64_t

import numpy as np

from fastbp import checks
from fastbp.errors import LabelError, ShapeError


cdef inline Py_ssize_t largest(const floating* row, Py_ssize_t n) noexcept nogil:
    # Where the largest of n >= 1 entries stands (a leading NaN counts as largest).
    cdef Py_ssize_t j, best = 0
    for j in range(1, n):
        if row[j] > row[best]:
            best = j
    return best


cdef void c_softmax(
        const floating* a, floating* y_hat, Py_ssize_t batch, Py_ssize_t n) noexcept nogil:
    # E3: y_hat_j = e_j / Σ e; a, y_hat (batch, n).
    cdef Py_ssize_t _, j
    cdef double top, e, total
    for _ in range(batch):
        top = a[largest(a, n)]
        total = 0
        for j in range(n):
            e = exp(a[j] - top)
            y_hat[j] = <floating>e
            total += e
        for j in range(n):
            y_hat[j] = <floating>(y_hat[j] / total)
        a += n
        y_hat += n


cdef void c_cross_entropy_classes(
        const floating* a, const int64_t* l, double* loss, floating* delta,
        Py_ssize_t batch, Py_ssize_t n) noexcept nogil:
    # E3: loss = -log y_hat_l = (max - a_l) + log Σ e;
    # E5: delta_j = y_hat_j, and delta_l = y_hat_l - 1 = -Σ_{j≠l} y_hat_j;
    # a (batch, n), l (batch,), loss (batch,), delta (batch, n) or NULL.
    cdef Py_ssize_t i, j, true_class
    cdef double top, gap, e, e_true, others, total
    for i in range(batch):
        true_class = <Py_ssize_t>l[i]
        top = a[largest(a, n)]
        e_true = others = 0
        for j in range(n):
            e = exp(a[j] - top)
            if delta != NULL:
                delta[j] = <floating>e
            if j == true_class:
                e_true = e
            else:
                others += e
        total = e_true + others
        gap = top - a[true_class]
        if gap == 0:  # e_true is 1, and log(1 + others) would lose small others
            loss[i] = log1p(others)
        else:  # NaN where there is no softmax: +inf, NaN, or nothing above -inf
            loss[i] = gap + log(total)
        if delta != NULL:
            for j in range(n):
                delta[j] = <floating>(delta[j] / total)
            delta[true_class] = <floating>(-others / total)
            delta += n
        a += n


cdef void c_cross_entropy_rows(
        const floating* a, const floating* p, double* loss, floating* delta,
        Py_ssize_t batch, Py_ssize_t n) noexcept nogil:
    # E3: loss = Σ_j p_j (-log y_hat_j) = Σ_j p_j (max - a_j) + Σp log Σ e;
    # E5: delta_j = y_hat_j Σp - p_j = (e_j Σ_{i≠j} p_i - p_j Σ_{i≠j} e_i) / Σ e;
    # a, p (batch, n), loss (batch,), delta (batch, n) or NULL.
    cdef Py_ssize_t i, j, j_e, j_p
    cdef double top, e, e_top, e_rest, e_sum, p_rest, p_sum, half, e_others, p_others
    for i in range(batch):
        # Σ_{i≠j} is a difference that cannot cancel, except for the largest entry.
        j_e = largest(a, n)
        j_p = largest(p, n)
        top = a[j_e]
        e_top = e_rest = p_rest = half = 0
        for j in range(n):
            e = exp(a[j] - top)
            if delta != NULL:
                delta[j] = <floating>e
            if j == j_e:
                e_top = e
            else:
                e_rest += e
            if j != j_p:
                p_rest += p[j]
            if p[j] != 0:  # p_j = 0 contributes 0 even where a_j = -inf
                half += p[j] * (0.5 * top - 0.5 * a[j])  # max - a_j may overflow, p_j times it not
        e_sum = e_top + e_rest
        p_sum = p_rest + p[j_p]
        loss[i] = 2 * half + p_sum * log1p(e_rest)
        if e_sum != e_sum:  # no softmax: +inf, NaN, or nothing above -inf
            loss[i] = e_sum
        if delta != NULL:
            for j in range(n):
                e = delta[j]
                e_others = e_rest if j == j_e else e_sum - e
                p_others = p_rest if j == j_p else p_sum - p[j]
                delta[j] = <floating>((e * p_others - p[j] * e_others) / e_sum)
            delta += n
        a += n
        p += n


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
    if dtype == np.float32:
        run_softmax[float](a, out)
    else:
        run_softmax[double](a, out)
    return out


cdef int run_softmax(const floating[:, ::1] a, floating[:, ::1] y_hat) except -1:
    if a.shape[0] > 0:
        with nogil:
            c_softmax(&a[0, 0], &y_hat[0, 0], a.shape[0], a.shape[1])
    return 0


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
    loss = np.empty(a.shape[0])
    if classes and dtype == np.float32:
        run_classes[float](a, targets, loss, delta)
    elif classes:
        run_classes[double](a, targets, loss, delta)
    elif dtype == np.float32:
        run_rows[float](a, targets, loss, delta)
    else:
        run_rows[double](a, targets, loss, delta)
    return loss


cdef int require_labels(const int64_t[::1] l, Py_ssize_t n) except -1:
    cdef Py_ssize_t i
    for i in range(l.shape[0]):
        if not 0 <= l[i] < n:
            raise LabelError(f"targets: got label {l[i]} in row {i}; wanted 0 to {n - 1}")
    return 0


cdef int run_classes(
        const floating[:, ::1] a, const int64_t[::1] l, double[::1] loss,
        floating[:, ::1] delta) except -1:
    cdef floating* start = NULL
    if a.shape[0] == 0:
        return 0
    if delta is not None:
        start = &delta[0, 0]
    with nogil:
        c_cross_entropy_classes(&a[0, 0], &l[0], &loss[0], start, a.shape[0], a.shape[1])
    return 0


cdef int run_rows(
        const floating[:, ::1] a, const floating[:, ::1] p, double[::1] loss,
        floating[:, ::1] delta) except -1:
    cdef floating* start = NULL
    if a.shape[0] == 0:
        return 0
    if delta is not None:
        start = &delta[0, 0]
    with nogil:
        c_cross_entropy_rows(&a[0, 0], &p[0, 0], &loss[0], start, a.shape[0], a.shape[1])
    return 0

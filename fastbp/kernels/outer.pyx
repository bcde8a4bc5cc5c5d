"""Parameter gradients of a dense layer: the sum of the batch's outer products E8, and E9."""

import numpy as np

from fastbp import checks

from fastbp.kernels.blas cimport origin, ready
from fastbp.kernels.product cimport c_product, kernels

cdef void c_outer_sum(
        const floating* delta, const floating* h, floating* dW,
        Py_ssize_t batch, Py_ssize_t n_in, Py_ssize_t n_out) noexcept nogil:
    # E8: forward is a = h Wᵀ + b, so dW = deltaᵀ h, the sum over n of delta_n h_nᵀ;
    # delta (batch, n_out), h (batch, n_in), dW (n_out, n_in).
    c_product(True, False, n_out, n_in, batch, delta, n_out, h, n_in, False, dW, n_in)


cdef void c_bias_sum(
        const floating* delta, floating* db, Py_ssize_t batch, Py_ssize_t n_out) noexcept nogil:
    # E9: forward is a = h Wᵀ + b, so db = Σ_n delta_n, summed in double;
    # delta (batch, n_out), db (n_out,).
    kernels(floating is double).column_sums(batch, n_out, delta, n_out, 1, db)


def outer_sum(delta, h, out=None):
    """Gradient w.r.t. the weights of a dense layer.

    dW = deltaᵀ h = Σ_n delta_n h_nᵀ, i.e. dW_ij = Σ_n delta_ni h_nj.

    Parameters
    ----------
    delta : ndarray (batch, n_out), float32 or float64
        Gradient w.r.t. the layer's pre-activation.
    h : ndarray (batch, n_in), delta's dtype
        What the layer took in.
    out : ndarray (n_out, n_in), delta's dtype, optional
        Where the result goes; a new array by default.

    Returns
    -------
    ndarray (n_out, n_in), delta's dtype
        The gradient dW: a sum over the batch, on delta's scale.

    Raises
    ------
    DtypeError
        An argument is no array, or its dtype is not float32 or float64, or not that of delta.
    ShapeError
        The shapes do not fit, an array is not C-contiguous and aligned.
    ConfigError
        `out` is read-only or shares memory with an input.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import outer_sum
    >>> outer_sum(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0, 5.0]]))
    array([[ 3.,  4.,  5.],
           [ 6.,  8., 10.]])

    References
    ----------
    E8.
    """
    ready()
    dtype = checks.operand("delta", delta, (None, None))
    checks.operand("h", h, (delta.shape[0], None), dtype)
    if out is None:
        out = np.empty((delta.shape[1], h.shape[1]), dtype)
    else:
        checks.operand("out", out, (delta.shape[1], h.shape[1]), dtype, out=True)
        checks.no_overlap("out", out, delta=delta, h=h)
    if dtype == np.float32:
        run_outer[float](delta, h, out)
    else:
        run_outer[double](delta, h, out)
    return out


cdef int run_outer(
        const floating[:, ::1] delta, const floating[:, ::1] h, floating[:, ::1] dW) except -1:
    if dW.shape[0] == 0 or dW.shape[1] == 0:
        return 0
    with nogil:
        c_outer_sum(origin(delta), origin(h), &dW[0, 0],
                    delta.shape[0], h.shape[1], delta.shape[1])
    return 0


def bias_sum(delta, out=None):
    """Gradient w.r.t. the biases of a dense layer.

    db = Σ_n delta_n, summed in double.

    Parameters
    ----------
    delta : ndarray (batch, n_out), float32 or float64
        Gradient w.r.t. the layer's pre-activation.
    out : ndarray (n_out,), delta's dtype, optional
        Where the result goes; a new array by default.

    Returns
    -------
    ndarray (n_out,), delta's dtype
        The gradient db: a sum over the batch, on delta's scale.

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `outer_sum` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import bias_sum
    >>> bias_sum(np.array([[1.0, 2.0], [10.0, 20.0]]))
    array([11., 22.])

    References
    ----------
    E9.
    """
    dtype = checks.operand("delta", delta, (None, None))
    if out is None:
        out = np.empty(delta.shape[1], dtype)
    else:
        checks.operand("out", out, (delta.shape[1],), dtype, out=True)
        checks.no_overlap("out", out, delta=delta)
    if dtype == np.float32:
        run_bias[float](delta, out)
    else:
        run_bias[double](delta, out)
    return out


cdef int run_bias(const floating[:, ::1] delta, floating[::1] db) except -1:
    if db.shape[0] > 0:
        with nogil:
            c_bias_sum(origin(delta), &db[0], delta.shape[0], delta.shape[1])
    return 0

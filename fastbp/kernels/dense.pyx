"""Dense layer: pre-activation E1 and the gradient w.r.t. what came in, E6."""

import numpy as np

from fastbp import checks

from fastbp.kernels.blas cimport origin, ready
from fastbp.kernels.product cimport c_product, kernels


cdef void c_dense_forward(
        const floating* x, const floating* W, const floating* b, floating* a,
        Py_ssize_t batch, Py_ssize_t n_in, Py_ssize_t n_out) noexcept nogil:
    # E1: a = x Wᵀ + b; x (batch, n_in), W (n_out, n_in), b (n_out,) or NULL, a (batch, n_out).
    kernels(floating is double).affine(batch, n_in, n_out, x, W, b, NULL, 0, a, n_out)


cdef void c_dense_backward(
        const floating* delta, const floating* W, floating* dh,
        Py_ssize_t batch, Py_ssize_t n_in, Py_ssize_t n_out) noexcept nogil:
    # E6: forward is a = x Wᵀ + b, so dh = delta W;
    # delta (batch, n_out), W (n_out, n_in), dh (batch, n_in).
    c_product(False, False, batch, n_in, n_out, delta, n_out, W, n_in, False, dh, n_in)


def dense_forward(x, W, b=None, out=None):
    """Pre-activation of a dense layer.

    a = x Wᵀ + b, i.e. a_ni = b_i + Σ_j W_ij x_nj.

    Parameters
    ----------
    x : ndarray (batch, n_in), float32 or float64
        What the layer takes in, one example a row.
    W : ndarray (n_out, n_in), x's dtype
        Weights.
    b : ndarray (n_out,), x's dtype, optional
        Biases; none by default.
    out : ndarray (batch, n_out), x's dtype, optional
        Where the result goes; a new array by default.

    Returns
    -------
    ndarray (batch, n_out), x's dtype
        The pre-activation a.

    Raises
    ------
    DtypeError
        An argument is no array, or its dtype is not float32 or float64, or not that of x.
    ShapeError
        The shapes do not fit, an array is not C-contiguous and aligned.
    ConfigError
        `out` is read-only or shares memory with an input.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import dense_forward
    >>> dense_forward(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.5]))
    array([[11.5]])

    References
    ----------
    E1.
    """
    ready()
    dtype = checks.operand("x", x, (None, None))
    checks.operand("W", W, (None, x.shape[1]), dtype)
    if b is not None:
        checks.operand("b", b, (W.shape[0],), dtype)
    if out is None:
        out = np.empty((x.shape[0], W.shape[0]), dtype)
    else:
        checks.operand("out", out, (x.shape[0], W.shape[0]), dtype, out=True)
        checks.no_overlap("out", out, x=x, W=W, b=b)
    if dtype == np.float32:
        run_forward[float](x, W, b, out)
    else:
        run_forward[double](x, W, b, out)
    return out


cdef int run_forward(
        const floating[:, ::1] x, const floating[:, ::1] W, const floating[::1] b,
        floating[:, ::1] a) except -1:
    cdef const floating* biases = NULL
    if a.shape[0] == 0 or a.shape[1] == 0:
        return 0
    if b is not None:
        biases = &b[0]
    with nogil:
        c_dense_forward(origin(x), origin(W), biases, &a[0, 0],
                        x.shape[0], x.shape[1], W.shape[0])
    return 0


def dense_backward(delta, W, out=None):
    """Gradient w.r.t. what a dense layer takes in.

    dh = delta W, i.e. dh_nj = Σ_i delta_ni W_ij.

    Parameters
    ----------
    delta : ndarray (batch, n_out), float32 or float64
        Gradient w.r.t. the layer's pre-activation.
    W : ndarray (n_out, n_in), delta's dtype
        Weights.
    out : ndarray (batch, n_in), delta's dtype, optional
        Where the result goes; a new array by default.

    Returns
    -------
    ndarray (batch, n_in), delta's dtype
        The gradient dh, on delta's scale.

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `dense_forward` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import dense_backward
    >>> dense_backward(np.array([[2.0]]), np.array([[3.0, 4.0]]))
    array([[6., 8.]])

    References
    ----------
    E6.
    """
    ready()
    dtype = checks.operand("delta", delta, (None, None))
    checks.operand("W", W, (delta.shape[1], None), dtype)
    if out is None:
        out = np.empty((delta.shape[0], W.shape[1]), dtype)
    else:
        checks.operand("out", out, (delta.shape[0], W.shape[1]), dtype, out=True)
        checks.no_overlap("out", out, delta=delta, W=W)
    if dtype == np.float32:
        run_backward[float](delta, W, out)
    else:
        run_backward[double](delta, W, out)
    return out


cdef int run_backward(
        const floating[:, ::1] delta, const floating[:, ::1] W, floating[:, ::1] dh) except -1:
    if dh.shape[0] == 0 or dh.shape[1] == 0:
        return 0
    with nogil:
        c_dense_backward(origin(delta), origin(W), &dh[0, 0],
                         delta.shape[0], W.shape[1], W.shape[0])
    return 0

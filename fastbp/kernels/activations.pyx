"""Elementwise layers: hidden units E2 and the gradient w.r.t. their pre-activation, E7.

tanh and exp are taken in double for both float types: float32 results are then correctly rounded
but for rare ties, and there is one body.
"""

from libc.math cimport exp, fabs, tanh

import numpy as np

from fastbp import checks


cdef void c_relu_forward(const floating* a, floating* h, Py_ssize_t n) noexcept nogil:
    # E2: h = max(a, 0); a, h (n,). Asked this way round, NaN stays NaN.
    cdef Py_ssize_t i
    for i in range(n):
        h[i] = 0 if a[i] <= 0 else a[i]


cdef void c_relu_backward(
        const floating* h, const floating* dh, floating* da, Py_ssize_t n) noexcept nogil:
    # E7: forward is h = max(a, 0), so da = dh where h > 0, else 0; h, dh, da (n,).
    cdef Py_ssize_t i
    cdef floating upstream
    for i in range(n):
        upstream = dh[i]  # read always: a load under a condition would not vectorise
        da[i] = upstream if h[i] > 0 else 0


cdef void c_tanh_forward(const floating* a, floating* h, Py_ssize_t n) noexcept nogil:
    # E2: h = tanh(a); a, h (n,).
    cdef Py_ssize_t i
    for i in range(n):
        h[i] = <floating>tanh(a[i])


cdef void c_tanh_backward(
        const floating* h, const floating* dh, floating* da, Py_ssize_t n) noexcept nogil:
    # E7: forward is h = tanh(a), so da = dh (1 - h²); h, dh, da (n,).
    # 1 - h and 1 + h lose nothing near h = ±1, where 1 - h² would.
    cdef Py_ssize_t i
    for i in range(n):
        da[i] = dh[i] * ((1 - h[i]) * (1 + h[i]))


cdef void c_sigmoid_forward(const floating* a, floating* h, Py_ssize_t n) noexcept nogil:
    # E2: h = 1 / (1 + exp(-a)); a, h (n,). exp is taken of -|a|, so it cannot overflow.
    cdef Py_ssize_t i
    cdef double e
    for i in range(n):
        e = exp(-fabs(a[i]))
        h[i] = <floating>((e if a[i] < 0 else 1) / (1 + e))


cdef void c_sigmoid_backward(
        const floating* h, const floating* dh, floating* da, Py_ssize_t n) noexcept nogil:
    # E7: forward is h = sigmoid(a), so da = dh h (1 - h); h, dh, da (n,).
    cdef Py_ssize_t i
    for i in range(n):
        da[i] = dh[i] * (h[i] * (1 - h[i]))


cdef enum Kind:
    RELU
    TANH
    SIGMOID


cdef object output(object out, object shape, object dtype, dict inputs):
    # A checked or new output. Being an input is fine, sharing only a part of it is not.
    if out is None:
        return np.empty(shape, dtype)
    checks.operand("out", out, shape, dtype, out=True)
    for name, array in inputs.items():
        if out is not array and np.may_share_memory(out, array):
            start = out.__array_interface__["data"][0]
            if start != array.__array_interface__["data"][0]:
                checks.no_overlap("out", out, **{name: array})
    return out


cdef object forward(Kind kind, object a, object out):
    dtype = checks.operand("a", a, getattr(a, "shape", ()))
    out = output(out, a.shape, dtype, {"a": a})
    if dtype == np.float32:
        run_forward[float](kind, a.reshape(-1), out.reshape(-1))
    else:
        run_forward[double](kind, a.reshape(-1), out.reshape(-1))
    return out


cdef object backward(Kind kind, object h, object dh, object out):
    dtype = checks.operand("h", h, getattr(h, "shape", ()))
    checks.operand("dh", dh, h.shape, dtype)
    out = output(out, h.shape, dtype, {"h": h, "dh": dh})
    if dtype == np.float32:
        run_backward[float](kind, h.reshape(-1), dh.reshape(-1), out.reshape(-1))
    else:
        run_backward[double](kind, h.reshape(-1), dh.reshape(-1), out.reshape(-1))
    return out


cdef int run_forward(Kind kind, const floating[::1] a, floating[::1] h) except -1:
    cdef Py_ssize_t n = a.shape[0]
    if n > 0:
        with nogil:
            if kind == RELU:
                c_relu_forward(&a[0], &h[0], n)
            elif kind == TANH:
                c_tanh_forward(&a[0], &h[0], n)
            else:
                c_sigmoid_forward(&a[0], &h[0], n)
    return 0


cdef int run_backward(
        Kind kind, const floating[::1] h, const floating[::1] dh, floating[::1] da) except -1:
    cdef Py_ssize_t n = h.shape[0]
    if n > 0:
        with nogil:
            if kind == RELU:
                c_relu_backward(&h[0], &dh[0], &da[0], n)
            elif kind == TANH:
                c_tanh_backward(&h[0], &dh[0], &da[0], n)
            else:
                c_sigmoid_backward(&h[0], &dh[0], &da[0], n)
    return 0


def relu_forward(a, out=None):
    """Rectified linear units.

    h = max(a, 0), entry by entry; NaN stays NaN.

    Parameters
    ----------
    a : ndarray of any shape, float32 or float64
        Pre-activation.
    out : ndarray, a's shape and dtype, optional
        Where the result goes; may be `a`; a new array by default.

    Returns
    -------
    ndarray, a's shape and dtype
        The hidden units h.

    Raises
    ------
    DtypeError
        An argument is no array, or its dtype is not float32 or float64, or not that of a.
    ShapeError
        The shapes differ, or an array is not C-contiguous and aligned.
    ConfigError
        `out` is read-only, or shares only a part of its memory with `a`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import relu_forward
    >>> relu_forward(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])

    References
    ----------
    E2.
    """
    return forward(RELU, a, out)


def relu_backward(h, dh, out=None):
    """Gradient w.r.t. the pre-activation of rectified linear units, from their output.

    da = dh where h > 0, else 0.

    Parameters
    ----------
    h : ndarray of any shape, float32 or float64
        What `relu_forward` put out.
    dh : ndarray, h's shape and dtype
        Gradient w.r.t. h.
    out : ndarray, h's shape and dtype, optional
        Where the result goes; may be `h` or `dh`; a new array by default.

    Returns
    -------
    ndarray, h's shape and dtype
        The gradient da, on dh's scale.

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `relu_forward` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import relu_backward
    >>> relu_backward(np.array([0.0, 3.0]), np.array([5.0, 7.0]))
    array([0., 7.])

    References
    ----------
    E7.
    """
    return backward(RELU, h, dh, out)


def tanh_forward(a, out=None):
    """Hyperbolic tangent.

    h = tanh(a), entry by entry.

    Parameters
    ----------
    a : ndarray of any shape, float32 or float64
        Pre-activation.
    out : ndarray, a's shape and dtype, optional
        Where the result goes; may be `a`; a new array by default.

    Returns
    -------
    ndarray, a's shape and dtype
        The hidden units h.

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `relu_forward` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import tanh_forward
    >>> tanh_forward(np.array([0.0, 1.0])).round(6)
    array([0.      , 0.761594])

    References
    ----------
    E2.
    """
    return forward(TANH, a, out)


def tanh_backward(h, dh, out=None):
    """Gradient w.r.t. the pre-activation of tanh units, from their output.

    da = dh (1 - h²).

    Parameters
    ----------
    h : ndarray of any shape, float32 or float64
        What `tanh_forward` put out.
    dh : ndarray, h's shape and dtype
        Gradient w.r.t. h.
    out : ndarray, h's shape and dtype, optional
        Where the result goes; may be `h` or `dh`; a new array by default.

    Returns
    -------
    ndarray, h's shape and dtype
        The gradient da, on dh's scale.

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `relu_forward` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import tanh_backward
    >>> tanh_backward(np.array([0.0, 0.5]), np.array([1.0, 4.0]))
    array([1., 3.])

    References
    ----------
    E7.
    """
    return backward(TANH, h, dh, out)


def sigmoid_forward(a, out=None):
    """Logistic sigmoid.

    h = 1 / (1 + exp(-a)), entry by entry, without overflow for any a.

    Parameters
    ----------
    a : ndarray of any shape, float32 or float64
        Pre-activation.
    out : ndarray, a's shape and dtype, optional
        Where the result goes; may be `a`; a new array by default.

    Returns
    -------
    ndarray, a's shape and dtype
        The hidden units h.

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `relu_forward` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import sigmoid_forward
    >>> sigmoid_forward(np.array([-1e308, 0.0, 1e308]))
    array([0. , 0.5, 1. ])

    References
    ----------
    E2.
    """
    return forward(SIGMOID, a, out)


def sigmoid_backward(h, dh, out=None):
    """Gradient w.r.t. the pre-activation of sigmoid units, from their output.

    da = dh h (1 - h).

    Parameters
    ----------
    h : ndarray of any shape, float32 or float64
        What `sigmoid_forward` put out.
    dh : ndarray, h's shape and dtype
        Gradient w.r.t. h.
    out : ndarray, h's shape and dtype, optional
        Where the result goes; may be `h` or `dh`; a new array by default.

    Returns
    -------
    ndarray, h's shape and dtype
        The gradient da, on dh's scale.

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `relu_forward` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import sigmoid_backward
    >>> sigmoid_backward(np.array([0.5, 1.0]), np.array([8.0, 8.0]))
    array([2., 0.])

    References
    ----------
    E7.
    """
    return backward(SIGMOID, h, dh, out)

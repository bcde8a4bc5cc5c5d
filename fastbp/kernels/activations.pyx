"""Elementwise layers: hidden units E2 and the gradient w.r.t. their pre-activation, E7.

tanh and the logistic function of float32 are within one unit in the last place, taken in float.
"""

from libc.stdint cimport int64_t

import numpy as np

from fastbp import checks

from fastbp.kernels.builtin cimport RELU, SIGMOID, TANH, Builtin, elementwise_table
from fastbp.kernels.host cimport pointer, start_call
from fastbp.plugin cimport fastbp_call


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


cdef object forward(Builtin part, object a, object out):
    dtype = checks.operand("a", a, getattr(a, "shape", ()))
    out = output(out, a.shape, dtype, {"a": a})
    cdef fastbp_call call
    cdef int64_t n = a.size
    cdef int type = dtype == np.float64
    cdef const void* source
    cdef void* target
    if n > 0:
        source, target = pointer(a), pointer(out)
        with nogil:
            start_call(&call, 1, n, n)
            elementwise_table(part).f[type](&call, n, source, target)
    return out


cdef object backward(Builtin part, object h, object dh, object out):
    dtype = checks.operand("h", h, getattr(h, "shape", ()))
    checks.operand("dh", dh, h.shape, dtype)
    out = output(out, h.shape, dtype, {"h": h, "dh": dh})
    cdef fastbp_call call
    cdef int64_t n = h.size
    cdef int type = dtype == np.float64
    cdef const void* source
    cdef const void* upstream
    cdef void* target
    if n > 0:
        source, upstream, target = pointer(h), pointer(dh), pointer(out)
        with nogil:
            start_call(&call, 1, n, n)
            # the built-in derivatives read the output alone, so it may stand for the input
            elementwise_table(part).backward[type](&call, n, source, source, upstream, target)
    return out


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

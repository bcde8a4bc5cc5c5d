"""Optimizer steps: parameters theta and their state change in place.

Hyperparameters are double; constants derived from them are computed in double and rounded once,
then the arithmetic is that of the parameters.
"""

from libc.math cimport pow, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memset

import numpy as np

from fastbp import checks
from fastbp.errors import ConfigError

from fastbp.kernels.host cimport pointer
from fastbp.kernels.product cimport (
    RULE_ADAM, RULE_MOMENTUM, RULE_NESTEROV, RULE_SGD, dense_type, kernels, update_rule,
)


cdef update_rule make_rule(rule, int64_t t) except *:
    # ("sgd", lr, weight_decay), ("momentum", lr, momentum, nesterov, weight_decay) or
    # ("adam", lr, beta1, beta2, eps, weight_decay) as the optimizer's step number t.
    cdef update_rule made
    memset(&made, 0, sizeof(update_rule))
    if rule is None:
        return made
    name, made.lr, made.decay = rule[0], rule[1], rule[len(rule) - 1]
    made.rate = made.lr
    if name == "sgd":
        made.kind = RULE_SGD
    elif name == "momentum":
        made.kind = RULE_NESTEROV if rule[3] else RULE_MOMENTUM
        made.keep_m = rule[2]
    else:
        made.kind = RULE_ADAM
        made.keep_m, made.keep_v, made.eps = rule[2:5]
        made.new_m, made.new_v = 1 - made.keep_m, 1 - made.keep_v
        count_step(&made, t)
    return made


cdef void count_step(update_rule* rule, int64_t t) noexcept nogil:
    # Adam's m_hat = m / (1 - beta1^t) and v_hat = v / (1 - beta2^t), as factors.
    if rule.kind == RULE_ADAM:
        rule.rate = rule.lr / (1 - pow(rule.keep_m, <double>t))
        rule.grow = 1 / sqrt(1 - pow(rule.keep_v, <double>t))


cdef int run(theta, g, rule, slots, int64_t t) except -1:
    cdef update_rule made = make_rule(rule, t)
    cdef const dense_type* own = kernels(theta.dtype == np.float64)
    cdef int64_t n = theta.shape[0]
    cdef void* gradient = pointer(g)
    made.theta = pointer(theta)
    if len(slots) > 0:
        made.m = pointer(slots[0])
    if len(slots) > 1:
        made.v = pointer(slots[1])
    with nogil:
        own.update(n, made.theta, gradient, &made)
    return 0


def sgd_update(theta, g, *, lr, weight_decay=0.0):
    """Take one step of plain gradient descent, in place.

    theta -= lr (g + weight_decay theta).

    Parameters
    ----------
    theta : ndarray (n,), float32 or float64
        Parameters; changed.
    g : ndarray (n,), theta's dtype
        Their gradient.
    lr : float
        Learning rate, on g's scale.
    weight_decay : float
        Adds the gradient of weight_decay/2 Σ theta².

    Raises
    ------
    DtypeError
        An argument is no array, or its dtype is not float32 or float64, or not that of theta.
    ShapeError
        The shapes differ, or an array is not C-contiguous and aligned.
    ConfigError
        An array that changes is read-only or shares memory with another.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import sgd_update
    >>> theta = np.array([1.0, 2.0])
    >>> sgd_update(theta, np.array([2.0, 2.0]), lr=0.25)
    >>> theta
    array([0.5, 1.5])

    References
    ----------
    PyTorch's SGD.
    """
    dtype = checks.operand("theta", theta, (None,), out=True)
    checks.operand("g", g, theta.shape, dtype)
    checks.no_overlap("theta", theta, g=g)
    run(theta, g, ("sgd", lr, weight_decay), (), 1)


def momentum_update(theta, g, v, *, lr, momentum, nesterov=False, weight_decay=0.0):
    """Take one step of gradient descent with momentum, in place.

    d = g + weight_decay theta; v = momentum v + d; theta -= lr v, or with Nesterov's momentum
    theta -= lr (d + momentum v).

    Parameters
    ----------
    theta : ndarray (n,), float32 or float64
        Parameters; changed.
    g : ndarray (n,), theta's dtype
        Their gradient.
    v : ndarray (n,), theta's dtype
        Velocity, zero at first; changed.
    lr : float
        Learning rate, on g's scale.
    momentum : float
        Part of the velocity that is kept.
    nesterov : bool
        Whether to look one step ahead.
    weight_decay : float
        Adds the gradient of weight_decay/2 Σ theta².

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `sgd_update` does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import momentum_update
    >>> theta, v = np.array([1.0]), np.array([2.0])
    >>> momentum_update(theta, np.array([3.0]), v, lr=0.25, momentum=0.5)
    >>> theta, v
    (array([0.]), array([4.]))

    References
    ----------
    PyTorch's SGD with momentum, without dampening.
    """
    dtype = checks.operand("theta", theta, (None,), out=True)
    checks.operand("g", g, theta.shape, dtype)
    checks.operand("v", v, theta.shape, dtype, out=True)
    checks.no_overlap("theta", theta, g=g, v=v)
    checks.no_overlap("v", v, g=g)
    run(theta, g, ("momentum", lr, momentum, nesterov, weight_decay), (v,), 1)


def adam_update(theta, g, m, v, *, lr, beta1, beta2, eps, t, weight_decay=0.0):
    """Take one step of Adam, in place.

    d = g + weight_decay theta; m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d²;
    theta -= lr m_hat / (sqrt(v_hat) + eps), where m_hat = m / (1 - beta1^t) and
    v_hat = v / (1 - beta2^t).

    Parameters
    ----------
    theta : ndarray (n,), float32 or float64
        Parameters; changed.
    g : ndarray (n,), theta's dtype
        Their gradient.
    m, v : ndarray (n,), theta's dtype
        First and second moments, zero at first; changed.
    lr : float
        Learning rate: about the largest change of a parameter in one step.
    beta1, beta2 : float
        Parts of the moments that are kept.
    eps : float
        Keeps the step finite where the gradient vanishes.
    t : int
        Number of this step, from 1.
    weight_decay : float
        Adds the gradient of weight_decay/2 Σ theta².

    Raises
    ------
    DtypeError, ShapeError, ConfigError
        As `sgd_update` does; ConfigError also where t is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.kernels import adam_update
    >>> theta, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adam_update(theta, np.array([4.0]), m, v, lr=0.5, beta1=0.5, beta2=0.75, eps=0.0, t=1)
    >>> theta, m, v
    (array([0.5]), array([2.]), array([4.]))

    References
    ----------
    Kingma and Ba, https://arxiv.org/abs/1412.6980, algorithm 1, in PyTorch's form.
    """
    dtype = checks.operand("theta", theta, (None,), out=True)
    checks.operand("g", g, theta.shape, dtype)
    checks.operand("m", m, theta.shape, dtype, out=True)
    checks.operand("v", v, theta.shape, dtype, out=True)
    checks.no_overlap("theta", theta, g=g, m=m, v=v)
    checks.no_overlap("m", m, g=g, v=v)
    checks.no_overlap("v", v, g=g)
    if t < 1:
        raise ConfigError(f"t: got {t}; wanted the number of the step, from 1")
    run(theta, g, ("adam", lr, beta1, beta2, eps, weight_decay), (m, v), t)

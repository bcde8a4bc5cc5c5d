"""Optimizer steps: parameters theta and their state change in place.

Hyperparameters are double; constants derived from them are computed in double and rounded once,
then the arithmetic is that of the parameters.
"""

from libc.math cimport pow, sqrt
from libc.stdint cimport int64_t

import numpy as np

from fastbp import checks
from fastbp.errors import ConfigError

from fastbp.kernels.host cimport pointer


cdef void c_sgd(
        floating* theta, const floating* g, double lr, double weight_decay, Py_ssize_t n
) noexcept nogil:
    # theta -= lr (g + weight_decay theta); theta, g (n,).
    cdef floating rate = <floating>lr, decay = <floating>weight_decay
    cdef Py_ssize_t i
    for i in range(n):
        theta[i] -= rate * (g[i] + decay * theta[i])


cdef void c_momentum(
        floating* theta, const floating* g, floating* v, double lr, double mu, bint nesterov,
        double weight_decay, Py_ssize_t n) noexcept nogil:
    # d = g + weight_decay theta, v = mu v + d, theta -= lr (d + mu v if nesterov else v);
    # theta, g, v (n,).
    cdef floating rate = <floating>lr, keep = <floating>mu, decay = <floating>weight_decay
    cdef floating d, speed
    cdef Py_ssize_t i
    for i in range(n):
        d = g[i] + decay * theta[i]
        speed = keep * v[i] + d
        v[i] = speed
        theta[i] -= rate * (d + keep * speed if nesterov else speed)


cdef void c_adam(
        floating* theta, const floating* g, floating* m, floating* v, double lr, double beta1,
        double beta2, double eps, double weight_decay, int64_t t, Py_ssize_t n) noexcept nogil:
    # d = g + weight_decay theta, m = beta1 m + (1 - beta1) d, v = beta2 v + (1 - beta2) d²,
    # theta -= lr m_hat / (sqrt(v_hat) + eps), m_hat = m / (1 - beta1^t), v_hat = v / (1 - beta2^t);
    # theta, g, m, v (n,).
    cdef floating decay = <floating>weight_decay, epsilon = <floating>eps
    cdef floating keep_m = <floating>beta1, new_m = <floating>(1 - beta1)
    cdef floating keep_v = <floating>beta2, new_v = <floating>(1 - beta2)
    cdef floating rate = <floating>(lr / (1 - pow(beta1, <double>t)))
    cdef floating grow = <floating>(1 / sqrt(1 - pow(beta2, <double>t)))
    cdef floating d
    cdef Py_ssize_t i
    for i in range(n):
        d = g[i] + decay * theta[i]
        m[i] = keep_m * m[i] + new_m * d
        v[i] = keep_v * v[i] + new_v * (d * d)
        theta[i] -= rate * m[i] / (<floating>sqrt(v[i]) * grow + epsilon)


cdef int read_rule(Update* u, rule, slots, int64_t t) except -1:
    # ("sgd", lr, weight_decay), ("momentum", lr, momentum, nesterov, weight_decay) or
    # ("adam", lr, beta1, beta2, eps, weight_decay); the arrays of state stay the caller's.
    cdef int i
    u.t = t
    u.rule = NONE
    if rule is None:
        return 0
    u.rule = {"sgd": SGD, "momentum": MOMENTUM, "adam": ADAM}[rule[0]]
    for i in range(len(rule) - 1):
        u.constants[i] = rule[i + 1]
    for i in range(len(slots)):
        u.slots[i] = pointer(slots[i])
    return 0


cdef void apply_update(Update* u, floating* theta, const floating* g, int64_t n) noexcept nogil:
    cdef double* c = u.constants
    if u.rule == SGD:
        c_sgd(theta, g, c[0], c[1], n)
    elif u.rule == MOMENTUM:
        c_momentum(theta, g, <floating*>u.slots[0], c[0], c[1], c[2] != 0, c[3], n)
    elif u.rule == ADAM:
        c_adam(theta, g, <floating*>u.slots[0], <floating*>u.slots[1], c[0], c[1], c[2], c[3],
               c[4], u.t, n)


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
    if dtype == np.float32:
        run_sgd[float](theta, g, lr, weight_decay)
    else:
        run_sgd[double](theta, g, lr, weight_decay)


cdef int run_sgd(
        floating[::1] theta, const floating[::1] g, double lr, double weight_decay) except -1:
    if theta.shape[0] > 0:
        with nogil:
            c_sgd(&theta[0], &g[0], lr, weight_decay, theta.shape[0])
    return 0


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
    if dtype == np.float32:
        run_momentum[float](theta, g, v, lr, momentum, nesterov, weight_decay)
    else:
        run_momentum[double](theta, g, v, lr, momentum, nesterov, weight_decay)


cdef int run_momentum(
        floating[::1] theta, const floating[::1] g, floating[::1] v, double lr, double mu,
        bint nesterov, double weight_decay) except -1:
    if theta.shape[0] > 0:
        with nogil:
            c_momentum(&theta[0], &g[0], &v[0], lr, mu, nesterov, weight_decay, theta.shape[0])
    return 0


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
    if dtype == np.float32:
        run_adam[float](theta, g, m, v, lr, beta1, beta2, eps, weight_decay, t)
    else:
        run_adam[double](theta, g, m, v, lr, beta1, beta2, eps, weight_decay, t)


cdef int run_adam(
        floating[::1] theta, const floating[::1] g, floating[::1] m, floating[::1] v, double lr,
        double beta1, double beta2, double eps, double weight_decay, int64_t t) except -1:
    if theta.shape[0] > 0:
        with nogil:
            c_adam(&theta[0], &g[0], &m[0], &v[0], lr, beta1, beta2, eps, weight_decay, t,
                   theta.shape[0])
    return 0

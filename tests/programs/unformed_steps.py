"""A step along E8 unformed, with the gradient formed first, and by hand."""

import itertools
import os

import numpy as np

import fastbp as bp
from fastbp import reference
from fastbp.kernels.product import instruction_set

assert instruction_set() == os.environ["FASTBP_ISA"]


class FormedSGD(bp.SGD):
    def update(self, theta, grad, state):  # no rule, so the gradient is formed first
        super().update(theta, grad, state)


class FormedAdam(bp.Adam):
    def update(self, theta, grad, state):
        super().update(theta, grad, state)


OPTIMIZERS = [
    (bp.SGD, FormedSGD, dict(lr=0.05)),
    (bp.SGD, FormedSGD, dict(lr=0.05, weight_decay=0.1)),
    (bp.SGD, FormedSGD, dict(lr=0.05, momentum=0.9, weight_decay=0.1)),
    (bp.SGD, FormedSGD, dict(lr=0.05, momentum=0.9, nesterov=True)),
    # eps keeps the quotient from magnifying the rounding of a gradient near 0
    (bp.Adam, FormedAdam, dict(lr=0.03, eps=0.1, weight_decay=0.1)),
]


def by_hand(theta, g, s, t, lr, momentum=0, nesterov=False, weight_decay=0, eps=None):
    # the optimizers' formulas in double: theta and state after the t-th step
    g = g + weight_decay * theta
    if eps is not None:
        m, v = 0.9 * s["m"] + 0.1 * g, 0.999 * s["v"] + 0.001 * g * g
        root = np.sqrt(v / (1 - 0.999**t))
        return theta - lr * m / (1 - 0.9**t) / (root + eps), {"m": m, "v": v}
    if not momentum:
        return theta - lr * g, {}
    v = momentum * s["v"] + g
    return theta - lr * (g + momentum * v if nesterov else v), {"v": v}


def numbers(net):
    arrays = net.optimizer_state.arrays if net.optimizer_state else {}
    return net.flat.astype(float), {key: array.astype(float) for key, array in arrays.items()}


def near(got, wanted, bound):
    for a, b in [(got[0], wanted[0]), *((got[1][key], wanted[1][key]) for key in wanted[1])]:
        assert np.abs(a - b).max() <= bound * max(1, np.abs(b).max()), case


rng = np.random.default_rng(1)  # no pre-activation is so near 0 that ReLU's slope is in doubt
everything = itertools.product(
    OPTIMIZERS,
    (0.0, 0.05),
    ("float32", "float64"),
    (bp.ReLU, bp.Tanh, bp.Sigmoid),
    (True, False),
    (1, 2, 7, 33, 64, 200, 513),
)
for case in everything:
    (kind, formed_kind, settings), l2, dtype, g, bias, batch = case
    layers = [bp.Dense(17, bias=bias), g(), bp.Dense(33, bias=bias), g(), bp.Dense(3, bias=bias)]
    fused, formed = (bp.Network(9, layers, dtype=dtype, l2=l2, rng=1) for _ in range(2))
    eps = np.finfo(dtype).eps
    for t in (1, 2, 3):
        X, y = rng.standard_normal((batch, 9)).astype(dtype), rng.integers(0, 3, batch)
        theta, state = numbers(fused)
        state = state or {slot: 0 for slot in kind(**settings).slots}
        at, chain = 0, []
        for k, (n_in, n_out) in enumerate([(9, 17), (17, 33), (33, 3)]):
            W = theta[at : at + n_in * n_out].reshape(n_out, n_in)
            at += W.size
            b = theta[at : at + n_out] if bias else None
            at += n_out if bias else 0
            chain.append((W, b, g.__name__.lower() if k < 2 else None))
        exact = reference.gradients(X.astype(float), y, chain, l2=l2)
        parts = [(exact.W[k], exact.b[k]) if bias else (exact.W[k],) for k in (1, 2, 3)]
        gradient = np.concatenate([part.ravel() for pair in parts for part in pair])
        if t > 1:
            fused._plan.flat[:] = np.nan
        losses = fused.step(X, y, kind(**settings)), formed.step(X, y, formed_kind(**settings))
        assert losses[0] == losses[1], case
        assert abs(losses[0] / exact.loss - 1) < 64 * eps, case
        if t > 1:  # W of the first layer: steps are along E8 unformed where that pays
            unformed = batch <= (512 if kind is bp.SGD else 1)
            assert np.isnan(fused._plan.flat[: 9 * 17]).all() == unformed, case
        near(numbers(fused), numbers(formed), 16 * eps)
        near(numbers(fused), by_hand(theta, gradient, state, t, **settings), 64 * eps)
        formed.flat = fused.flat
        for key, array in fused.optimizer_state.arrays.items():
            formed.optimizer_state.arrays[key][:] = array

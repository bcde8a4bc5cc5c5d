"""Optimizer steps against their formulas in long double, and against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp.errors import ConfigError
from fastbp.kernels import adam_update, momentum_update, sgd_update

STEPS, SIZES = 6, [0, 1, 2, 7, 64, 1001]


def start(rng, n, dtype):
    theta = rng.standard_normal(n).astype(dtype)
    return theta, [rng.standard_normal(n).astype(dtype) for _ in range(STEPS)]


def assert_near(got, want, dtype):
    np.testing.assert_allclose(got, want.astype(float), rtol=0, atol=40 * np.finfo(dtype).eps)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("n", SIZES)
def test_sgd(n, weight_decay, dtype, rng):
    theta, gradients = start(rng, n, dtype)
    want = theta.astype(np.longdouble)
    for g in gradients:
        sgd_update(theta, g, lr=0.3, weight_decay=weight_decay)
        want = want - 0.3 * (g + weight_decay * want)
    assert_near(theta, want, dtype)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_momentum(n, nesterov, weight_decay, dtype, rng):
    theta, gradients = start(rng, n, dtype)
    v = np.zeros_like(theta)
    want, speed = theta.astype(np.longdouble), v.astype(np.longdouble)
    options = {"lr": 0.3, "momentum": 0.8, "nesterov": nesterov, "weight_decay": weight_decay}
    for g in gradients:
        momentum_update(theta, g, v, **options)
        d = g + weight_decay * want
        speed = 0.8 * speed + d
        want = want - 0.3 * (d + 0.8 * speed if nesterov else speed)
    assert_near(theta, want, dtype)
    assert_near(v, speed, dtype)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("n", SIZES)
def test_adam(n, weight_decay, dtype, rng):
    theta, gradients = start(rng, n, dtype)
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    want, first, second = (part.astype(np.longdouble) for part in (theta, m, v))
    for t, g in enumerate(gradients, 1):
        options = {"lr": 0.1, "beta1": 0.8, "beta2": 0.99, "eps": 1e-3}
        adam_update(theta, g, m, v, t=t, weight_decay=weight_decay, **options)
        d = g + weight_decay * want
        first = 0.8 * first + (1 - 0.8) * d
        second = 0.99 * second + (1 - 0.99) * d**2
        scale = np.sqrt(second / (1 - 0.99**t)) + 1e-3
        want = want - 0.1 * first / (1 - 0.8**t) / scale
    for got, exact in ((theta, want), (m, first), (v, second)):
        assert_near(got, exact, dtype)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_first_step_of_adam_has_length_lr_whatever_the_gradients_scale(scale, dtype):
    theta, g = np.zeros(3, dtype), np.array([-2, 1, 3], dtype) * dtype.type(scale)
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    adam_update(theta, g, m, v, lr=0.5, beta1=0.9, beta2=0.999, eps=0.0, t=1)
    np.testing.assert_allclose(theta, [0.5, -0.5, -0.5], rtol=1e-6)


def test_adams_root_and_quotient_are_good_to_the_last_bits(dtype, rng):
    """From moments of all sizes, as they are after the step: their own rounding is left out."""
    n, decades = 20_001, 36 if dtype == np.float32 else 300
    v = (10.0 ** rng.uniform(-decades, decades, n)).astype(dtype)
    m = (rng.standard_normal(n) * np.sqrt(v.astype(float))).astype(dtype)
    theta, constants = np.zeros(n, dtype), {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    adam_update(theta, np.zeros(n, dtype), m, v, lr=0.5, t=3, **constants)
    m, v = m.astype(np.longdouble), v.astype(np.longdouble)
    m_hat, v_hat = m / (1 - np.longdouble(0.9) ** 3), v / (1 - np.longdouble(0.999) ** 3)
    want = -0.5 * m_hat / (np.sqrt(v_hat) + 1e-8)
    normal = np.abs(want) > np.finfo(dtype).tiny
    assert normal.mean() > 0.8
    error = np.abs(theta - want)[normal] / np.abs(want[normal])
    assert error.max() < 4 * np.finfo(dtype).eps


def test_adam_where_the_second_moment_is_0_or_overflows(dtype):
    g = np.array([0, np.sqrt(np.finfo(dtype).max) * 1e3, 1], dtype)
    theta, m, v = np.ones(3, dtype), np.zeros(3, dtype), np.zeros(3, dtype)
    with np.errstate(over="ignore"):
        adam_update(theta, g, m, v, lr=0.5, beta1=0.9, beta2=0.999, eps=1e-8, t=1)
    assert np.isinf(v[1])
    assert theta[0] == 1
    assert 0.5 <= theta[1] <= 1
    assert theta[2] == pytest.approx(0.5)


def test_adam_refuses_step_0_and_writes_nothing(dtype):
    theta, m, v = np.ones(2, dtype), np.zeros(2, dtype), np.zeros(2, dtype)
    with pytest.raises(ConfigError, match=r"^t: got 0; wanted the number of the step, from 1"):
        adam_update(theta, np.ones(2, dtype), m, v, lr=1, beta1=0.9, beta2=0.9, eps=0, t=0)
    assert np.all(theta == 1)
    assert not m.any()
    assert not v.any()


@pytest.mark.parametrize("kind", ["sgd", "momentum", "nesterov", "adam"])
def test_meaning_of_every_constant_is_pytorchs(torch, kind, dtype, rng):
    theta, gradients = start(rng, 50, dtype)
    peer = torch.nn.Parameter(torch.from_numpy(theta.copy()))
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    common = {"lr": 0.05, "weight_decay": 0.1}
    optimizer = {
        "sgd": lambda: torch.optim.SGD([peer], **common),
        "momentum": lambda: torch.optim.SGD([peer], momentum=0.8, **common),
        "nesterov": lambda: torch.optim.SGD([peer], momentum=0.8, nesterov=True, **common),
        "adam": lambda: torch.optim.Adam([peer], betas=(0.8, 0.99), eps=1e-3, **common),
    }[kind]()
    for t, g in enumerate(gradients, 1):
        if kind == "sgd":
            sgd_update(theta, g, **common)
        elif kind == "adam":
            adam_update(theta, g, m, v, beta1=0.8, beta2=0.99, eps=1e-3, t=t, **common)
        else:
            momentum_update(theta, g, v, momentum=0.8, nesterov=kind == "nesterov", **common)
        peer.grad = torch.from_numpy(g)
        optimizer.step()
    assert_near(theta, peer.detach().numpy(), dtype)

"""E2 and E7 of ReLU, tanh and sigmoid, value by value."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import kernels

NAMES = ["relu", "tanh", "sigmoid"]
EXACT = {  # in long double, which keeps at least double's accuracy
    "relu": lambda a: np.where(a > 0, a, 0),
    "tanh": np.tanh,
    "sigmoid": lambda a: np.where(a < 0, np.exp(-abs(a)), 1) / (1 + np.exp(-abs(a))),
}
SLOPE = {  # from the output h
    "relu": lambda h: np.where(h > 0, 1, 0),
    "tanh": lambda h: (1 - h) * (1 + h),
    "sigmoid": lambda h: h * (1 - h),
}
A = np.concatenate([np.linspace(-40, 40, 801), [1e-30, -1e-30, 1e-6, -1e-6, 0.0]])


def forward(name, *args, **options):
    return getattr(kernels, f"{name}_forward")(*args, **options)


def backward(name, *args, **options):
    return getattr(kernels, f"{name}_backward")(*args, **options)


@pytest.mark.parametrize("name", NAMES)
def test_forward_is_e2(within, name, dtype):
    a = A.astype(dtype)
    want = EXACT[name](a.astype(np.longdouble))
    bound = 2 * np.finfo(dtype).eps * abs(want) + np.finfo(dtype).smallest_subnormal
    within(forward(name, a), want, bound)


@pytest.mark.parametrize("name", NAMES)
def test_backward_is_e7(within, name, dtype, rng):
    h = forward(name, A.astype(dtype))
    dh = rng.standard_normal(h.shape).astype(dtype)
    want = SLOPE[name](h.astype(np.longdouble)) * dh
    bound = 3 * np.finfo(dtype).eps * abs(want) + np.finfo(dtype).smallest_subnormal
    within(backward(name, h, dh), want, bound)


@pytest.mark.parametrize("name", NAMES)
def test_backward_is_the_gradient_of_forward(name):
    a, step = np.linspace(-3, 3, 40), 1e-3  # no entry within two steps of ReLU's kink
    ahead = [forward(name, a + k * step) for k in (-2, -1, 1, 2)]
    want = (ahead[0] - 8 * ahead[1] + 8 * ahead[2] - ahead[3]) / (12 * step)
    got = backward(name, forward(name, a), np.ones_like(a))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "limits"), [("relu", (0, np.inf)), ("tanh", (-1, 1)), ("sigmoid", (0, 1))]
)
def test_limits_and_nan(name, limits, dtype):
    low, high = limits
    top = np.finfo(dtype).max
    h = forward(name, np.array([-np.inf, -top, top, np.inf, np.nan], dtype))
    np.testing.assert_array_equal(h[[0, 1, 3, 4]], [low, low, high, np.nan])
    assert h[2] == (top if name == "relu" else high)


def test_relu_has_slope_0_at_0_and_keeps_no_negative_zero(dtype):
    h = kernels.relu_forward(np.array([-0.0, 0.0, 1e-40], dtype))
    assert not np.signbit(h).any()
    np.testing.assert_array_equal(kernels.relu_backward(h, np.full(3, 5, dtype)), [0, 0, 5])


def test_slopes_lose_nothing_near_saturation(dtype):
    h = np.nextafter(np.array([1, -1], dtype), 0)
    gap = np.finfo(dtype).epsneg
    ones = np.ones(2, dtype)
    want = gap * (2 - np.longdouble(gap))
    got = kernels.tanh_backward(h, ones)
    assert np.all(abs(got / want - 1) <= np.finfo(dtype).eps)
    assert kernels.sigmoid_backward(h, ones)[0] == h[0] * gap


@pytest.mark.parametrize("shape", [(), (0,), (1,), (0, 3), (3, 0), (2, 3), (2, 1, 5), (17,)])
@pytest.mark.parametrize("name", NAMES)
def test_any_shape(name, shape, dtype):
    a = np.full(shape, 0.5, dtype)
    h = forward(name, a)
    da = backward(name, h, a)
    assert h.shape == da.shape == shape
    assert np.all(h == forward(name, np.full(1, 0.5, dtype))[0])

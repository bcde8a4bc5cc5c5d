"""Tanh: h = tanh(a)."""

import numpy as np
import pytest

import fastbp as bp
from fastbp import reference
from fastbp.layers import Context

DTYPES = ["float32", "float64"]
BOUND = {"float32": 1e-6, "float64": 1e-14}
EDGES = [-1, -1, 0, 1, 1, np.nan]


@pytest.fixture(params=DTYPES)
def x(request):
    return np.random.default_rng(0).normal(scale=2, size=(6, 9)).astype(request.param)


def forward(x):
    y = np.full_like(x, np.nan)
    bp.Tanh().forward({}, x, y, Context())
    return y


def test_forward_is_e2(x, relative_error):
    y, f = forward(x), np.full_like(x, np.nan)
    bp.Tanh().f(x, f)
    want = reference.tanh_forward(x.astype(np.longdouble))
    assert relative_error(y, want) < BOUND[x.dtype.name]
    np.testing.assert_array_equal(y, f)


def test_slope_is_that_of_the_lecture(x, relative_error):
    slope = np.full_like(x, np.nan)
    bp.Tanh().df(x, forward(x), slope)
    exact = x.astype(np.longdouble)
    want = reference.tanh_backward(reference.tanh_forward(exact), np.ones_like(exact))
    assert relative_error(slope, want) < BOUND[x.dtype.name]


def test_slope_against_central_differences():
    x, step = np.array([-2.5, -1.0, -0.3, 0.2, 0.9, 3.0]), 1e-3
    slope = np.empty_like(x)
    bp.Tanh().df(x, forward(x), slope)
    f = [forward(x + k * step) for k in (-2, -1, 1, 2)]
    np.testing.assert_allclose(slope, (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step), atol=1e-10)


def test_backward_is_e7_and_overwrites(x, relative_error):
    y, dy = forward(x), np.random.default_rng(1).normal(size=x.shape).astype(x.dtype)
    dx = np.full_like(x, np.nan)
    bp.Tanh().backward({}, x, y, dy, dx, {}, Context())
    exact = reference.tanh_forward(x.astype(np.longdouble))
    assert relative_error(dx, reference.tanh_backward(exact, dy)) < BOUND[x.dtype.name]


def test_backward_reads_the_output_alone(x):
    """needs_x = False is a promise: the host may have let x go."""
    assert not bp.Tanh.needs_x
    y, dy = forward(x), np.ones_like(x)
    dx, blind, slope = (np.empty_like(x) for _ in range(3))
    nothing = np.full_like(x, np.nan)
    bp.Tanh().backward({}, x, y, dy, dx, {}, Context())
    bp.Tanh().backward({}, nothing, y, dy, blind, {}, Context())
    np.testing.assert_array_equal(blind, dx)
    bp.Tanh().df(nothing, y, slope)
    assert np.isfinite(slope).all()


def test_backward_without_the_inputs_gradient_does_nothing(x):
    y = forward(x)
    bp.Tanh().backward({}, x, y, np.ones_like(x), None, {}, Context())
    np.testing.assert_array_equal(y, forward(x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_ends_and_nan(dtype):
    x = np.array([[-np.inf, -1e30, 0.0, 1e30, np.inf, np.nan]], dtype)
    np.testing.assert_array_equal(forward(x), np.array([EDGES], dtype))


def test_build_gain_and_name():
    layer = bp.Tanh(name="g1")
    spec = layer.build(7, np.dtype("float32"))
    assert spec == bp.layers.LayerSpec(n_out=7)
    assert layer.gain == pytest.approx(5 / 3)
    assert (layer.name, bp.Tanh().name) == ("g1", None)
    assert layer.rows_independent
    assert not layer.affine
    assert repr(layer) == "Tanh(name='g1')"


@pytest.mark.parametrize("dtype", DTYPES)
def test_odd_and_level_near_0(dtype):
    x = np.array([[1e-4, 0.3, 2.0]], dtype)
    np.testing.assert_array_equal(forward(-x), -forward(x))
    tiny = np.array([[1e-20, 1e-38]], dtype)
    np.testing.assert_array_equal(forward(tiny), tiny)

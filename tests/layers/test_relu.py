"""ReLU: h = max(a, 0), with slope 0 at 0."""

import numpy as np
import pytest

import fastbp as bp
from fastbp import reference
from fastbp.layers import Context

DTYPES = ["float32", "float64"]
BOUND = {"float32": 1e-6, "float64": 1e-14}
EDGES = [0, 0, 0, 1e30, np.inf, np.nan]


@pytest.fixture(params=DTYPES)
def x(request):
    return np.random.default_rng(0).normal(scale=2, size=(6, 9)).astype(request.param)


def forward(x):
    y = np.full_like(x, np.nan)
    bp.ReLU().forward({}, x, y, Context())
    return y


def test_forward_is_e2(x, relative_error):
    y, f = forward(x), np.full_like(x, np.nan)
    bp.ReLU().f(x, f)
    want = reference.relu_forward(x.astype(np.longdouble))
    assert relative_error(y, want) < BOUND[x.dtype.name]
    np.testing.assert_array_equal(y, f)


def test_slope_is_that_of_the_lecture(x, relative_error):
    slope = np.full_like(x, np.nan)
    bp.ReLU().df(x, forward(x), slope)
    exact = x.astype(np.longdouble)
    want = reference.relu_backward(reference.relu_forward(exact), np.ones_like(exact))
    assert relative_error(slope, want) < BOUND[x.dtype.name]


def test_slope_against_central_differences():
    x, step = np.array([-2.5, -1.0, -0.3, 0.2, 0.9, 3.0]), 1e-3
    slope = np.empty_like(x)
    bp.ReLU().df(x, forward(x), slope)
    f = [forward(x + k * step) for k in (-2, -1, 1, 2)]
    np.testing.assert_allclose(slope, (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step), atol=1e-10)


def test_backward_is_e7_and_overwrites(x, relative_error):
    y, dy = forward(x), np.random.default_rng(1).normal(size=x.shape).astype(x.dtype)
    dx = np.full_like(x, np.nan)
    bp.ReLU().backward({}, x, y, dy, dx, {}, Context())
    exact = reference.relu_forward(x.astype(np.longdouble))
    assert relative_error(dx, reference.relu_backward(exact, dy)) < BOUND[x.dtype.name]


def test_backward_reads_the_output_alone(x):
    """needs_x = False is a promise: the host may have let x go."""
    assert not bp.ReLU.needs_x
    y, dy = forward(x), np.ones_like(x)
    dx, blind, slope = (np.empty_like(x) for _ in range(3))
    nothing = np.full_like(x, np.nan)
    bp.ReLU().backward({}, x, y, dy, dx, {}, Context())
    bp.ReLU().backward({}, nothing, y, dy, blind, {}, Context())
    np.testing.assert_array_equal(blind, dx)
    bp.ReLU().df(nothing, y, slope)
    assert np.isfinite(slope).all()


def test_backward_without_the_inputs_gradient_does_nothing(x):
    y = forward(x)
    bp.ReLU().backward({}, x, y, np.ones_like(x), None, {}, Context())
    np.testing.assert_array_equal(y, forward(x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_ends_and_nan(dtype):
    x = np.array([[-np.inf, -1e30, 0.0, 1e30, np.inf, np.nan]], dtype)
    np.testing.assert_array_equal(forward(x), np.array([EDGES], dtype))


def test_build_gain_and_name():
    layer = bp.ReLU(name="g1")
    spec = layer.build(7, np.dtype("float32"))
    assert spec == bp.layers.LayerSpec(n_out=7)
    assert layer.gain == pytest.approx(2**0.5)
    assert (layer.name, bp.ReLU().name) == ("g1", None)
    assert layer.rows_independent
    assert not layer.affine
    assert repr(layer) == "ReLU(name='g1')"


def test_slope_at_0_is_0():
    x = np.array([[-0.0, 0.0]])
    slope, dx = np.full_like(x, np.nan), np.full_like(x, np.nan)
    bp.ReLU().df(x, forward(x), slope)
    bp.ReLU().backward({}, x, forward(x), np.ones_like(x), dx, {}, Context())
    np.testing.assert_array_equal(slope, [[0, 0]])
    np.testing.assert_array_equal(dx, [[0, 0]])


def test_a_closed_unit_stops_even_an_infinite_gradient():
    x, dx = np.array([[-1.0, 2.0]]), np.empty((1, 2))
    bp.ReLU().backward({}, x, forward(x), np.array([[np.inf, 3.0]]), dx, {}, Context())
    np.testing.assert_array_equal(dx, [[0, 3]])

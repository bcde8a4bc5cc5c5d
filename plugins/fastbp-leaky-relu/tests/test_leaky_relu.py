import numpy as np
import pytest
from fastbp_leaky_relu import LeakyReLU

import fastbp as bp
from fastbp.testing import parametrize_checks


@parametrize_checks([LeakyReLU(), LeakyReLU(slope=0.3)])
def test_contract(check):
    check()


def test_numbers():
    a = np.array([[-2.0, 0.0, 3.0, -np.inf, np.nan]])
    h, slope = np.empty_like(a), np.empty_like(a)
    layer = LeakyReLU(slope=0.5)
    layer.f(a, h)
    layer.df(a, h, slope)
    np.testing.assert_array_equal(h, [[-1, 0, 3, -np.inf, np.nan]])
    np.testing.assert_array_equal(slope[0, :4], [0.5, 0.5, 1, 0.5])


def test_by_name():
    assert bp.layer("leaky_relu", slope=0.1) == LeakyReLU(slope=0.1)
    net = bp.mlp([2, 8, 1], activation="leaky_relu", loss="squared_error", rng=0)
    X = np.random.default_rng(0).normal(size=(32, 2))
    first = net.loss(X, X[:, 0])
    for _ in range(20):
        net.step(X, X[:, 0], bp.SGD(0.1))
    assert net.loss(X, X[:, 0]) < first / 2


@pytest.mark.parametrize("slope", [0, 1, -0.1, float("nan")])
def test_a_slope_that_makes_no_sense(slope):
    with pytest.raises(bp.ConfigError, match="slope: got"):
        LeakyReLU(slope=slope)

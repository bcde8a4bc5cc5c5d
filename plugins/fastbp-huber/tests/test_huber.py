import numpy as np
import pytest
from fastbp_huber import Huber

import fastbp as bp
from fastbp.testing import parametrize_checks


class InPython(Huber):
    """The same loss without its C body."""

    __fastbp_loss__ = property()  # hasattr says no


@parametrize_checks([Huber(), Huber(threshold=0.1), InPython()])
def test_contract(check):
    check()


def test_numbers():
    a = np.array([[0.5, 3.0], [-2.0, 0.0]])
    t = np.zeros((2, 2))
    delta = np.empty((2, 2))
    losses = Huber(threshold=1).loss_and_delta(a, t, delta)
    np.testing.assert_allclose(losses, [0.125 + 2.5, 1.5])
    np.testing.assert_allclose(delta, [[0.5, 1], [-1, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threshold", [0.2, 1.0, 50.0])
def test_c_and_python_agree(dtype, threshold):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), 3 * rng.normal(size=(40, 2))
    in_c, in_python = (
        bp.mlp([3, 5, 2], loss=kind(threshold=threshold), dtype=dtype, rng=1)
        for kind in (Huber, InPython)
    )
    assert in_c.loss(X, y) == pytest.approx(in_python.loss(X, y), rel=1e-6)
    got, want = in_c.gradients(X, y), in_python.gradients(X, y)
    np.testing.assert_allclose(got.flat, want.flat, rtol=1e-5, atol=1e-6)


def test_a_wide_threshold_is_the_squared_error():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(10, 3)), rng.normal(size=(10, 2))
    net = bp.mlp([3, 2], loss=bp.loss("huber", threshold=1e6), rng=0)
    assert net.loss(X, y) == pytest.approx(bp.mlp([3, 2], loss="squared_error", rng=0).loss(X, y))


def test_two_thresholds_side_by_side():
    X, y = np.ones((1, 1)), [[10.0]]
    nets = [bp.mlp([1, 1], loss=Huber(threshold=t), rng=0) for t in (1, 2)]
    for net in nets:
        net.flat[:] = 0
    assert [net.loss(X, y) for net in nets] == [9.5, 18.0]


@pytest.mark.parametrize("threshold", [0, -1, float("nan"), float("inf")])
def test_a_threshold_that_makes_no_sense(threshold):
    with pytest.raises(bp.ConfigError, match="threshold: got"):
        Huber(threshold=threshold)

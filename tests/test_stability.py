"""The stability law: logits as large as the floats go, -inf entries, underflow, and rows that err.

Through the kernels, and through a network whose one Dense puts out chosen logits.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastbp as bp
from fastbp import reference
from fastbp.kernels import sigmoid_cross_entropy, softmax, softmax_cross_entropy

BIG = {"float32": 3e38, "float64": 1e308}


@pytest.fixture(params=BIG)
def dtype(request):
    return request.param


def logits_network(a, dtype, loss="softmax_cross_entropy"):
    """A network and an X for which h_L is `a`: one row by its bias, several as W x (finite a)."""
    a = np.atleast_2d(np.asarray(a, dtype))
    net = bp.Network(len(a), [bp.Dense(a.shape[1])], loss=loss, dtype=dtype, rng=0)
    if len(a) == 1:  # the bias, because 0 · inf in a product would be NaN
        net.params["dense1.W"][...] = 0
        net.params["dense1.b"][...] = a[0]
        X = np.ones((1, 1), dtype)
    else:
        net.params["dense1.W"][...] = a.T
        X = np.eye(len(a), dtype=dtype)
    np.testing.assert_array_equal(net.forward(X), a)
    return net, X


def both_ways(a, targets, dtype):
    """(loss, delta, y_hat) of rows of logits by the kernel, after checking the network's."""
    a = np.atleast_2d(np.asarray(a, dtype))
    targets = np.asarray(targets)
    targets = targets.astype(np.int64) if targets.ndim == 1 else targets.astype(dtype)
    delta = np.empty_like(a)
    loss, y_hat = softmax_cross_entropy(a, targets, delta), softmax(a)
    for n in range(len(a)):
        net, X = logits_network(a[n], dtype)
        g = net.gradients(X, targets[n : n + 1])
        assert g.loss == loss[n] == net.loss(X, targets[n : n + 1])
        np.testing.assert_array_equal(g.a[1][0], delta[n])
        np.testing.assert_array_equal(g.values.y_hat[0], y_hat[n])
    if np.isfinite(a).all():
        net, X = logits_network(a, dtype)
        np.testing.assert_array_equal(net.gradients(X, targets, reduction="sum").a[1], delta)
    return loss, delta, y_hat


def test_the_largest_logits(dtype):
    big = float(np.dtype(dtype).type(BIG[dtype]))
    a = [[big, -big, 0], [big, big, -big], [-big, -big, -big], [-big, big, 0], [0, -big, 1]]
    loss, delta, y_hat = both_ways(a, [0, 1, 2, 0, 1], dtype)
    third, e = 1 / 3, math.exp(1)
    want = [[1, 0, 0], [0.5, 0.5, 0], [third] * 3, [0, 1, 0], [1 / (1 + e), 0, e / (1 + e)]]
    np.testing.assert_allclose(y_hat, want, rtol=1e-6)
    truth = np.eye(3)[[0, 1, 2, 0, 1]]
    np.testing.assert_allclose(delta, want - truth, rtol=1e-6)
    assert np.isfinite(delta).all()
    assert loss[:3].tolist() == pytest.approx([0, math.log(2), math.log(3)], rel=1e-15)
    # a_j - a_l = 2 · 3e38 is past float32 and in double's reach; 2 · 1e308 is past double's
    true = 2 * np.longdouble(big)
    assert loss[3] == (math.inf if true > np.finfo(np.float64).max else float(true))
    assert loss[4] == pytest.approx(big, rel=1e-15)


def test_the_loss_is_infinite_only_where_its_true_value_is_past_doubles_range():
    top = np.finfo(np.float64).max
    loss, delta, _ = both_ways(
        [[0.6 * top, -0.39 * top], [0.6 * top, -0.41 * top]], [1, 1], "float64"
    )
    assert loss[0] == pytest.approx(0.99 * top, rel=1e-15)
    assert loss[1] == math.inf
    assert delta.tolist() == [[1, -1], [1, -1]]


def test_the_largest_logits_with_probability_rows(dtype):
    big = float(np.dtype(dtype).type(BIG[dtype]))
    a = [[big, -big, 0], [big, 0, 0]]  # 2 · 1e308 is past double's reach, a quarter of it is not
    p = np.array([[0.5, 0.25, 0.25], [1, 0, 0]])
    loss, delta, _ = both_ways(a, p, dtype)
    assert loss.tolist() == pytest.approx([0.75 * big, 0], rel=1e-15)
    np.testing.assert_allclose(delta, [[0.5, -0.25, -0.25], [0, 0, 0]], rtol=1e-6)


def test_entries_of_minus_infinity(dtype):
    inf = math.inf
    a = [[-inf, 0, 0], [-inf, 5, -inf], [0, -inf, 1]]
    loss, delta, y_hat = both_ways(a, [1, 1, 1], dtype)
    e = math.exp(1)
    np.testing.assert_allclose(y_hat, [[0, 0.5, 0.5], [0, 1, 0], [1 / (1 + e), 0, e / (1 + e)]])
    np.testing.assert_allclose(delta, y_hat - np.eye(3)[[1, 1, 1]], rtol=1e-6)
    assert loss.tolist() == pytest.approx([math.log(2), 0, inf])


def test_entries_of_minus_infinity_under_probability_rows(dtype):
    inf = math.inf
    a = [[-inf, 0, 0], [-inf, 0, 0]]
    p = np.array([[0, 0.25, 0.75], [0.5, 0.25, 0.25]])
    loss, delta, _ = both_ways(a, p, dtype)
    assert loss.tolist() == pytest.approx([math.log(2), inf])  # p_j = 0 contributes 0
    np.testing.assert_allclose(delta, [[0, 0.25, -0.25], [-0.5, 0.25, 0.25]], atol=1e-7)


def test_step_refuses_an_infinite_loss_and_changes_nothing(dtype):
    net, X = logits_network([[-math.inf, 0.0]], dtype)
    before = net.flat.copy()
    with pytest.raises(bp.NonFiniteError, match="loss"):
        net.step(X, [0], bp.SGD(0.1))
    np.testing.assert_array_equal(net.flat, before)
    assert net.optimizer_state is None


# Rows that are no logits


@pytest.mark.parametrize(
    "row", [[math.inf, 0, 0], [0, math.nan, 0], [-math.inf] * 3, [math.inf, -math.inf, math.nan]]
)
def test_a_row_of_infinity_nan_or_only_minus_infinity_is_an_error(row, dtype):
    net, X = logits_network([row], dtype)
    X = np.repeat(X, 3, axis=0)
    for y in ([0, 1, 2], np.full((3, 3), 1 / 3)):
        with pytest.raises(bp.NonFiniteError, match="row 0"):
            net.gradients(X, y)
        before = net.flat.copy()
        for train in (net.step, net.fit):
            with pytest.raises(bp.NonFiniteError):
                train(X, y, optimizer=bp.SGD(0.1))
        np.testing.assert_array_equal(net.flat, before)
        assert math.isnan(net.loss(X, y))  # loss and forward let it through


def test_the_error_names_the_callers_row(dtype):
    big = BIG[dtype]
    net = bp.Network(2, [bp.Dense(2, bias=False)], dtype=dtype, rng=0)
    net.params["dense1.W"][...] = [[big, big], [0, 0]]
    X = np.array([[0, 0], [5, 5], [1, 0], [7, 7]], dtype)  # rows 1 and 3 overflow to +inf
    with pytest.raises(bp.NonFiniteError, match="row 1"):
        net.gradients(X, [0, 0, 0, 0])
    with pytest.raises(bp.NonFiniteError, match="row 3"):
        net.gradients(X, [0, 0, 0, 0], sample_weight=[1, 0, 1, 1])
    g = net.gradients(X, [0, 0, 1, 0], sample_weight=[1, 0, 1, 0])
    assert np.isfinite(g.flat).all()
    assert g.a[1].tolist() == [[-0.25, 0.25], [0, 0], [0.5, -0.5], [0, 0]]


@pytest.mark.parametrize("loss", ["sigmoid_cross_entropy", "squared_error"])
@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_the_other_losses_refuse_such_rows_too(loss, bad, dtype):
    net, X = logits_network([[0.0, bad]], dtype, loss=loss)
    for t in (0.0, 1.0):
        with pytest.raises(bp.NonFiniteError):
            net.gradients(X, [[t, t]])


def test_kernels_mark_bad_rows_and_no_others(dtype):
    a = np.array([[0, 0], [math.inf, 0], [1, 1], [math.nan, 0], [-math.inf, -math.inf]], dtype)
    bad = np.array([False, True, False, True, True])
    for targets in (np.zeros(5, np.int64), np.full((5, 2), 0.5, dtype)):
        delta = np.empty_like(a)
        loss = softmax_cross_entropy(a, targets, delta)
        assert (np.isnan(loss) == bad).all()
        assert (np.isnan(delta) == bad[:, np.newaxis]).all()
    assert (np.isnan(softmax(a)).any(axis=1) == bad).all()


# Digits: E4 where y_hat underflows, and differences that must not cancel


def test_e4_where_y_hat_underflows(dtype):
    net, X = logits_network([[-1e4, 0, -1e4]], dtype)
    g = net.gradients(X, [0])
    assert g.values.y_hat.tolist() == [[0, 1, 0]]
    assert g.y_hat.tolist() == [[-math.inf, 0, 0]]
    assert g.loss == 1e4
    assert g.a[1].tolist() == [[-1, 1, 0]]
    g = net.gradients(X, [1])
    assert g.y_hat.tolist() == [[0, -1, 0]]
    g = net.gradients(X, [[0, 1, 0]])  # 0/0 counts as 0
    assert g.y_hat.tolist() == [[0, -1, 0]]
    g = net.gradients(X, [[0.5, 0.5, 0]])
    assert g.y_hat.tolist() == [[-math.inf, -0.5, 0]]


def test_e4_of_the_sigmoid_where_y_hat_is_0_or_1(dtype):
    net, X = logits_network([[-1e4, 1e4, -1e4, 1e4]], dtype, loss="sigmoid_cross_entropy")
    g = net.gradients(X, [[0, 1, 1, 0]])
    assert g.y_hat.tolist() == [[1, -1, -math.inf, math.inf]]
    assert g.a[1].tolist() == [[0, 0, -1, 1]]
    assert g.loss == 2e4


def test_e4_of_the_sigmoid_keeps_its_digits_near_1(dtype):
    net, X = logits_network([[16.0, -16.0, 30.0]], dtype, loss="sigmoid_cross_entropy")
    g = net.gradients(X, [[0, 1, 0]])
    large, larger = 1 + math.exp(16), 1 + math.exp(30)  # 1 / (1 - y_hat) = 1 + exp(a)
    rtol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(g.y_hat, [[large, -large, larger]], rtol=rtol)


def test_delta_of_the_true_class_keeps_its_digits(dtype):
    for margin in (1.0, 20.0, 40.0, 80.0):
        a = np.array([[0.5, 0.5 - margin, 0.5 - margin - 1]], dtype)
        y = np.array([0])
        want = reference.softmax_cross_entropy_backward(a.astype(np.longdouble), y)
        _, delta, _ = both_ways(a, y, dtype)
        eps = float(np.finfo(dtype).eps)
        np.testing.assert_allclose(delta, want.astype(dtype), rtol=(10 + margin) * eps)
        assert delta[0, 0] == pytest.approx(-float(delta[0, 1:].sum()), rel=4 * eps, abs=0)
        assert delta[0, 0] < 0


def test_losses_near_zero_keep_their_digits(dtype):
    for margin in (20.0, 40.0, 80.0, 700.0):
        for target in ([0], [[1.0, 0.0]]):
            loss, _, _ = both_ways([[margin, 0.0]], target, dtype)
            assert loss[0] == pytest.approx(math.exp(-margin), rel=1e-8, abs=0)


def test_sigmoid_cross_entropy_at_the_far_ends(dtype):
    big = float(np.dtype(dtype).type(BIG[dtype]))
    a = np.array([[big], [-big], [big], [-big], [90.0], [-90.0]], dtype)
    t = np.array([[1], [0], [0], [1], [1], [0]], dtype)
    delta = np.empty_like(a)
    loss = sigmoid_cross_entropy(a, t, delta)
    tail = math.exp(-90)
    np.testing.assert_allclose(loss, [0, 0, big, big, tail, tail], rtol=1e-14)
    tiny = np.finfo(dtype).tiny  # exp(-90) is below float32's normal numbers
    np.testing.assert_allclose(
        delta[:, 0], [0, 0, 1, -1, -tail, tail], rtol=1e-5, atol=tiny if dtype == "float32" else 0
    )
    for n in range(len(a)):
        net, X = logits_network(a[n], dtype, loss="sigmoid_cross_entropy")
        g = net.gradients(X, t[n : n + 1])
        assert g.loss == loss[n]
        np.testing.assert_array_equal(g.a[1][0], delta[n])


def test_activations_at_the_far_ends(dtype):
    big = BIG[dtype]
    a = np.array([[-math.inf, -big, -0.0, 0.0, big, math.inf, math.nan]], dtype)
    halves = [0, 0, 0.5, 0.5, 1, 1, math.nan]
    np.testing.assert_array_equal(bp.kernels.sigmoid_forward(a)[0], np.array(halves, dtype))
    signs = [-1, -1, 0, 0, 1, 1, math.nan]
    np.testing.assert_array_equal(bp.kernels.tanh_forward(a)[0], np.array(signs, dtype))
    kept = np.array([0, 0, 0, 0, big, math.inf, math.nan], dtype)
    np.testing.assert_array_equal(bp.kernels.relu_forward(a)[0], kept)


def test_deep_networks_stay_finite_on_huge_inputs(dtype):
    net = bp.mlp([3, 5, 4, 3], activation="tanh", dtype=dtype, rng=0)
    X = np.array([[1e30, -1e30, 1e30], [0, 0, 0], [1e-30, 1e-40, 0]], dtype)
    g = net.gradients(X, [0, 1, 2], input_gradient=True)
    for array in (g.flat, g.x, g.a[1], g.h[1], g.values.y_hat):
        assert np.isfinite(array).all()

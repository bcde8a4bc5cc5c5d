"""The laws of the lecture page: reduction, weights, minibatches, scale, l2, E4 beside E5.

Every law is tried with every built-in loss and with a loss of one's own written in Python.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

import fastbp as bp
from fastbp import reference

BATCH, N_IN, N_OUT = 7, 4, 3


class Quartic(bp.losses.Loss):
    """ℓ = ¼ Σ_j (a_j - t_j)⁴: somebody else's loss, which says nothing of weights or scale."""

    def loss_and_delta(self, a, targets, delta):
        if delta is not None:
            delta[...] = (a - targets) ** 3
        return ((a - targets) ** 4).sum(axis=1).astype(np.float64) / 4


KINDS = {
    "classes": "softmax_cross_entropy",
    "rows": "softmax_cross_entropy",
    "binary": "sigmoid_cross_entropy",
    "values": "squared_error",
    "own": Quartic(),
}


def make(kind, l2=0.0, dtype="float64"):
    """A small network for one kind of targets, and data for it."""
    rng = np.random.default_rng(5)
    net = bp.mlp([N_IN, 6, N_OUT], "tanh", loss=KINDS[kind], dtype=dtype, rng=1, l2=l2)
    X = rng.normal(size=(BATCH, N_IN)).astype(dtype)
    shape = (BATCH, N_OUT)
    y = {
        "classes": rng.integers(0, N_OUT, BATCH),
        "rows": rng.dirichlet(np.ones(N_OUT), BATCH),
        "binary": rng.choice([0.0, 1.0, 0.3], shape),
        "values": rng.normal(size=shape),
        "own": rng.normal(size=shape),
    }[kind]
    return net, X, y


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=["mean", "sum"])
def reduction(request):
    return request.param


def trained(net, X, y, weight=None, **fit):
    """The parameters after an epoch of fit on a copy of the network."""
    twin = net.copy()
    settings = {"optimizer": bp.SGD(0.05), "epochs": 1, "shuffle": False, "progress": False}
    twin.fit(X, y, sample_weight=weight, **(settings | fit))
    return twin.flat


# Reduction


def test_weight_2_is_the_row_twice(kind, reduction, relative_error):
    net, X, y = make(kind, l2=0.01)
    weight = np.array([1, 2, 1, 3, 2, 1, 1])
    twice = np.repeat(np.arange(BATCH), weight)
    g = net.gradients(X, y, sample_weight=weight, reduction=reduction)
    want = net.gradients(X[twice], y[twice], reduction=reduction)
    assert relative_error(g.flat, want.flat) < 1e-14
    assert relative_error(g.loss, want.loss) < 1e-14
    loss = net.loss(X, y, sample_weight=weight, reduction=reduction)
    assert relative_error(loss, net.loss(X[twice], y[twice], reduction=reduction)) < 1e-14

    one, other = net.copy(), net.copy()
    one.step(X, y, bp.SGD(0.1), sample_weight=weight)
    other.step(X[twice], y[twice], bp.SGD(0.1))
    assert relative_error(one.flat, other.flat) < 1e-14


def nonsense(y, rows):
    """Targets of which these rows are no targets at all."""
    y = y.astype(np.float64)
    y[rows] = [[-1.0], [99.0], [np.nan]] if y.ndim == 2 else [-1.0, 99.0, np.nan]
    return y


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weight_0_is_the_row_dropped(kind, reduction, dtype):
    net, X, y = make(kind, l2=0.01, dtype=dtype)
    dropped, kept = [0, 3, 6], [1, 2, 4, 5]
    weight = np.array([0, 0.5, 2, 0, 1, 1.5, 0])
    X[dropped] = [[np.inf], [np.nan], [-np.inf]]
    y = nonsense(y, dropped)
    whole = {"X": X, "y": y, "sample_weight": weight}
    clean = {"X": X[kept], "y": y[kept], "sample_weight": weight[kept]}

    g = net.gradients(**whole, reduction=reduction, input_gradient=True)
    want = net.gradients(**clean, reduction=reduction, input_gradient=True)
    np.testing.assert_array_equal(g.flat, want.flat)
    assert g.loss == want.loss
    assert net.loss(**whole, reduction=reduction) == net.loss(**clean, reduction=reduction)
    rows = {"x": (g.x, want.x), "y_hat": (g.y_hat, want.y_hat)}
    rows |= {f"a[{k}]": (g.a[k], want.a[k]) for k in g.a}
    rows |= {f"h[{k}]": (g.h[k], want.h[k]) for k in g.h}
    rows["none"] = tuple(net.loss(**data, reduction="none") for data in (whole, clean))
    for name, (got, wanted) in rows.items():
        assert len(got) == BATCH, name
        np.testing.assert_array_equal(got[kept], wanted, err_msg=name)
        assert not got[dropped].any(), name  # rows left out stand as zeros, not as NaN


def test_training_drops_rows_of_weight_0(kind):
    net, X, y = make(kind, l2=0.01)
    dropped, kept = [0, 3, 6], [1, 2, 4, 5]
    weight = np.array([0, 0.5, 2, 0, 1, 1.5, 0])
    X[dropped] = [[np.inf], [np.nan], [-np.inf]]
    y = nonsense(y, dropped)
    one, other = net.copy(), net.copy()
    one.step(X, y, bp.Adam(0.1), sample_weight=weight)
    other.step(X[kept], y[kept], bp.Adam(0.1), sample_weight=weight[kept])
    np.testing.assert_array_equal(one.flat, other.flat)
    for size in (1, 3, 64):
        np.testing.assert_array_equal(
            trained(net, X, y, weight, batch_size=size),
            trained(net, X[kept], y[kept], weight[kept], batch_size=size),
        )


def test_none_recombines(kind, relative_error):
    net, X, y = make(kind)
    weight = np.random.default_rng(0).uniform(0, 2, BATCH)
    each = net.loss(X, y, reduction="none")
    weighted = net.loss(X, y, sample_weight=weight, reduction="none")
    assert each.shape == (BATCH,)
    assert each.dtype == np.float64
    assert relative_error(weighted, weight * each) < 1e-15
    for n in range(BATCH):
        assert net.loss(X[n : n + 1], y[n : n + 1]) == pytest.approx(each[n], rel=1e-14)

    def loss(reduction, weight):
        return net.loss(X, y, sample_weight=weight, reduction=reduction)

    assert loss("sum", None) == pytest.approx(each.sum(), rel=1e-14)
    assert loss("mean", None) == pytest.approx(each.mean(), rel=1e-14)
    assert loss("sum", weight) == pytest.approx(weighted.sum(), rel=1e-14)
    assert loss("mean", weight) == pytest.approx(weighted.sum() / weight.sum(), rel=1e-14)


def test_a_mean_does_not_depend_on_the_weights_unit(kind, relative_error):
    net, X, y = make(kind)
    weight = np.random.default_rng(0).uniform(0.1, 2, BATCH)
    g = net.gradients(X, y, sample_weight=weight)
    for unit in (1e-200, 1e200):
        other = net.gradients(X, y, sample_weight=unit * weight)
        assert relative_error(other.flat, g.flat) < 1e-14
        assert other.loss == pytest.approx(g.loss, rel=1e-14)


# Scale


def test_gradients_carry_the_reductions_scale(kind, reduction, relative_error):
    net, X, y = make(kind)
    weight = np.array([0.5, 1, 2, 0.25, 1, 1, 3])
    g = net.gradients(X, y, sample_weight=weight, reduction=reduction)
    assert g.scale == (1 / weight.sum() if reduction == "mean" else 1)
    for n in range(BATCH):
        alone = net.gradients(X[n : n + 1], y[n : n + 1], reduction="sum")
        for k in g.a:
            want = weight[n] * alone.a[k][0]  # that of w_n ℓ_n, without the scale
            assert relative_error(g.a[k][n] / g.scale, want) < 1e-14
    for k, (delta, h) in g.factors.items():
        assert relative_error(delta.T @ h, g.W[k]) < 1e-14
        assert delta is g.a[k] or np.array_equal(delta, g.a[k])


# L2


def test_l2_adds_to_weights_and_not_to_biases_or_rows(kind, reduction, relative_error):
    net, X, y = make(kind)
    decayed, _, _ = make(kind, l2=0.3)
    decayed.flat = net.flat
    g, with_l2 = (n.gradients(X, y, reduction=reduction) for n in (net, decayed))
    squares = sum((net.params[f"dense{k}.W"] ** 2).sum() for k in (1, 2))
    assert with_l2.loss == pytest.approx(g.loss + 0.3 * squares, rel=1e-14)
    for k in (1, 2):
        want = g.W[k] + 0.6 * net.params[f"dense{k}.W"]
        assert relative_error(with_l2.W[k], want) < 1e-14
        np.testing.assert_array_equal(with_l2.b[k], g.b[k])
        np.testing.assert_array_equal(with_l2.a[k], g.a[k])
    np.testing.assert_array_equal(
        decayed.loss(X, y, reduction="none"), net.loss(X, y, reduction="none")
    )


# Minibatches


@pytest.mark.parametrize("l2", [0.0, 0.02])
def test_an_epoch_at_batch_size_1_adds_up_to_the_full_gradient(kind, l2, relative_error):
    net, X, y = make(kind, l2)
    weight = np.array([0.5, 0, 4, 0.1, 1, 1, 3])
    tiny = 1e-7  # so that the gradient hardly moves within the epoch
    moved = trained(net, X, y, weight, batch_size=1, optimizer=bp.SGD(tiny))
    rows = np.count_nonzero(weight)
    full = net.gradients(X, y, sample_weight=weight)
    assert relative_error((net.flat - moved) / (tiny * rows), full.flat) < 1e-5


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
def test_fit_step_by_step_by_hand(kind, batch_size, layers_of, relative_error, monkeypatch):
    l2, lr = 0.02, 0.1
    net, X, y = make(kind, l2)
    weight = np.array([0.5, 0, 4, 0.1, 1, 1, 3])
    kept = np.flatnonzero(weight)
    theta, name = layers_of(net), KINDS[kind]
    quartic = (
        lambda a: a,
        lambda a, t: ((a - t) ** 4).sum(axis=1) / 4,
        *[lambda a, t: (a - t) ** 3] * 2,
    )
    monkeypatch.setitem(reference.LOSSES, KINDS["own"], quartic)
    losses = []
    for start in range(0, len(kept), batch_size):
        rows = kept[start : start + batch_size]
        scale = len(kept) / (len(rows) * weight.sum())  # N / (batch · Σ_all w)
        g = reference.gradients(
            X[rows].astype(np.longdouble), y[rows], theta, name, scale * weight[rows], "sum", l2
        )
        losses.append((g.loss, len(rows)))
        theta = [
            (W - lr * g.W[k], b - lr * g.b[k], activation)
            for k, (W, b, activation) in enumerate(theta, start=1)
        ]
    want = np.concatenate([p.ravel() for W, b, _ in theta for p in (W, b)])
    history = net.fit(
        X, y, sample_weight=weight, batch_size=batch_size, optimizer=bp.SGD(lr), epochs=1,
        shuffle=False, progress=False,
    )  # fmt: skip
    assert relative_error(net.flat, want) < 1e-13
    mean = sum(loss * rows for loss, rows in losses) / len(kept)
    assert history.loss[0] == pytest.approx(float(mean), rel=1e-13)


def test_step_uses_its_own_batchs_weights(kind, relative_error):
    net, X, y = make(kind, l2=0.02)
    weight = np.array([0.5, 0, 4, 0.1, 1, 1, 3])
    g, before = net.gradients(X, y, sample_weight=weight), net.flat.copy()
    loss = net.step(X, y, bp.SGD(0.1), sample_weight=weight)
    assert loss == pytest.approx(g.loss, rel=1e-14)
    assert relative_error(net.flat, before - 0.1 * g.flat) < 1e-14


# E4 and E5: two quantities, two names


def test_e5_is_the_jacobian_of_softmax_applied_to_e4(relative_error):
    net, X, y = make("classes")
    g = net.gradients(X, y, reduction="sum")
    for n, label in enumerate(y):
        y_hat, e = g.values.y_hat[n], np.eye(N_OUT)[label]
        jacobian = np.diag(y_hat) - np.outer(y_hat, y_hat)
        assert relative_error(g.y_hat[n], -e / y_hat[label]) < 1e-15  # E4
        assert relative_error(g.a[2][n], y_hat - e) < 1e-14  # E5
        assert relative_error(jacobian @ g.y_hat[n], g.a[2][n]) < 1e-14
    assert relative_error(g.y_hat, g.a[2]) > 0.1  # never one for the other


def test_e4_and_e5_of_probability_rows(relative_error):
    net, X, p = make("rows")
    g = net.gradients(X, p, reduction="sum")
    y_hat = g.values.y_hat
    assert relative_error(g.y_hat, -p / y_hat) < 1e-15
    assert relative_error(g.a[2], y_hat * p.sum(axis=1, keepdims=True) - p) < 1e-14
    dot = (y_hat * g.y_hat).sum(axis=1, keepdims=True)
    assert relative_error(y_hat * (g.y_hat - dot), g.a[2]) < 1e-14


def test_e4_and_e5_of_the_other_losses(relative_error):
    net, X, t = make("binary")
    g = net.gradients(X, t)
    y_hat = g.values.y_hat
    assert relative_error(g.y_hat * y_hat * (1 - y_hat), g.a[2]) < 1e-14
    assert relative_error(g.y_hat, g.a[2]) > 0.1
    net, X, t = make("values")
    g = net.gradients(X, t)
    np.testing.assert_array_equal(g.y_hat, g.a[2])  # y_hat is a itself
    np.testing.assert_array_equal(g.values.y_hat, g.values.a[2])


def test_one_hot_rows_are_classes(relative_error):
    net, X, y = make("classes")
    g, of_rows = net.gradients(X, y), net.gradients(X, np.eye(N_OUT)[y])
    assert relative_error(of_rows.flat, g.flat) < 1e-14
    assert relative_error(of_rows.y_hat, g.y_hat) < 1e-14
    assert of_rows.loss == pytest.approx(g.loss, rel=1e-14)


# vjp, and gradients for SciPy


def test_vjp_of_the_losss_own_delta_is_the_gradient(kind):
    net, X, y = make(kind)
    g = net.gradients(X, y, input_gradient=True)
    back = net.vjp(X, g.h[2])
    np.testing.assert_array_equal(back.flat, g.flat)
    np.testing.assert_array_equal(back.x, g.x)
    for k in g.a:
        np.testing.assert_array_equal(back.a[k], g.a[k])
    assert back.scale == 1


def test_vjp_knows_no_l2_and_takes_delta_as_it_is(relative_error):
    net, X, _ = make("values", l2=0.5)
    rng = np.random.default_rng(0)
    delta, step = rng.normal(size=(BATCH, N_OUT)), 1e-6 * rng.normal(size=net.flat.size)
    back = net.vjp(X, delta)
    ends = []
    for sign in (1, -1):
        moved = net.copy()
        moved.flat = net.flat + sign * step
        ends.append((delta * moved.forward(X)).sum())
    assert back.flat @ step == pytest.approx((ends[0] - ends[1]) / 2, rel=1e-7, abs=0)
    assert relative_error(net.vjp(X, 2 * delta).flat, 2 * back.flat) < 1e-15


def test_loss_and_grad(kind):
    net, X, y = make(kind, l2=0.01)
    value, grad = net.loss_and_grad(X, y)
    g = net.gradients(X, y)
    assert value == pytest.approx(g.loss, rel=1e-15)
    np.testing.assert_allclose(grad, g.flat, rtol=1e-13, atol=1e-15)
    assert not np.shares_memory(grad, net.loss_and_grad(X, y)[1])

    theta, before = net.flat * 0.5, net.flat.copy()
    elsewhere = net.copy()
    elsewhere.flat = theta
    want_value, want = elsewhere.loss_and_grad(X, y)
    value, grad = net.loss_and_grad(X, y, theta)
    assert value == want_value
    np.testing.assert_array_equal(grad, want)
    np.testing.assert_array_equal(net.flat, before)


def test_scipy_minimises_it(kind):
    net, X, y = make(kind, l2=0.01)

    def fun(theta):
        return net.loss_and_grad(X, y, theta)

    start = net.flat.copy()
    error = scipy.optimize.check_grad(lambda t: fun(t)[0], lambda t: fun(t)[1], start)
    assert error < 1e-6 * np.linalg.norm(fun(start)[1]) + 1e-6
    result = scipy.optimize.minimize(
        fun, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-6}
    )
    assert np.abs(fun(result.x)[1]).max() < 1e-4
    assert result.fun < 0.9 * fun(start)[0]
    np.testing.assert_array_equal(net.flat, start)


# The same bits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_seed_one_result(kind, dtype):
    def run(seed, order):
        net, X, y = make(kind, dtype=dtype)
        net = bp.mlp([N_IN, 6, N_OUT], "relu", loss=KINDS[kind], dtype=dtype, rng=seed)
        history = net.fit(X, y, epochs=3, batch_size=2, rng=order, progress=False)
        return net.flat.tobytes(), history.loss, net.gradients(X, y).flat.tobytes()

    assert run(3, 4) == run(3, 4)
    assert run(3, None) == run(3, None)  # shuffling follows the network's own seed
    assert run(3, 4)[0] != run(4, 4)[0]
    assert run(3, 4)[0] != run(3, 5)[0]

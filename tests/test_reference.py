"""The reference against loops over single elements, and against central differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastbp import reference

BATCH, N_IN, N_OUT = 3, 4, 5
# Tolerances relative to an array's largest entry, for longdouble of 80 bits or more, and where
# longdouble is double: one for the same sums in another order, one for differences.
EXTENDED = np.finfo(np.longdouble).eps < 1e-18
TIGHT, DIFFERENCE = (1e-15, 1e-10) if EXTENDED else (1e-14, 1e-7)
ACTIVATIONS = ["relu", "tanh", "sigmoid"]


@pytest.fixture
def data():
    """x, W, b, delta, and targets of each kind, in longdouble."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.longdouble)

    p, outputs = np.abs(normal(BATCH, N_OUT)), (BATCH, N_OUT)
    return {
        "x": normal(BATCH, N_IN),
        "W": normal(N_OUT, N_IN),
        "b": normal(N_OUT),
        "a": 2 * normal(*outputs),
        "delta": normal(*outputs),
        "classes": np.array([4, 0, 2]),
        "rows": p / p.sum(axis=1, keepdims=True),
        "binary": np.array([[0, 1, 0.25, 1, 0]] * BATCH, np.longdouble),
        "values": normal(*outputs),
    }


def difference(f, x, step=1e-3):
    """Gradient of the number f(x) by 4th-order central differences, entry by entry."""
    x = x.copy()
    out = np.empty_like(x)
    for entry in np.ndindex(x.shape):
        kept, values = x[entry], []
        for offset in (-2, -1, 1, 2):
            x[entry] = kept + offset * np.longdouble(step)
            values.append(f(x))
        x[entry] = kept
        out[entry] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    return out


def test_e1_each_unit_is_its_bias_and_a_weighted_sum(data, relative_error):
    x, W, b = data["x"], data["W"], data["b"]
    a = np.empty((BATCH, N_OUT), np.longdouble)
    for n, i in np.ndindex(a.shape):
        a[n, i] = b[i] + sum(W[i, j] * x[n, j] for j in range(N_IN))
    assert relative_error(reference.dense_forward(x, W, b), a) < TIGHT
    assert relative_error(reference.dense_forward(x, W), a - b) < TIGHT


@pytest.mark.parametrize("g", ACTIVATIONS)
def test_e2_and_e7_activations(g, data, relative_error):
    scalar = {
        "relu": lambda a: max(a, 0.0),
        "tanh": math.tanh,
        "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    }[g]
    a, dh = data["a"], data["delta"]
    forward, backward = reference.ACTIVATIONS[g]
    h = forward(a)
    want = np.array([[scalar(float(entry)) for entry in row] for row in a])
    assert relative_error(h, want) < 1e-15  # math's double

    da = backward(h, dh)
    assert relative_error(da, difference(lambda a: (dh * forward(a)).sum(), a)) < DIFFERENCE


def test_sigmoid_and_its_cross_entropy_at_the_far_ends():
    a = np.array([[-1e4, -750.0, 0.0, 750.0, 1e4]])
    assert reference.sigmoid_forward(a).tolist() == [[0, math.exp(-750), 0.5, 1, 1]]
    t = np.array([[0.0, 1.0, 1.0, 1.0, 0.0]])
    each = [math.exp(-1e4), 750.0, math.log(2), math.exp(-750), 1e4]
    assert reference.sigmoid_cross_entropy(a, t)[0] == pytest.approx(sum(each), rel=1e-15)


def test_e3_softmax_and_loss_written_out(data, relative_error):
    a, p = data["a"], data["rows"]
    y_hat, log_y_hat = np.empty_like(a), np.empty_like(a)
    for n, j in np.ndindex(a.shape):
        y_hat[n, j] = np.exp(a[n, j]) / sum(np.exp(a[n, i]) for i in range(N_OUT))
        log_y_hat[n, j] = np.log(y_hat[n, j])
    assert relative_error(reference.softmax(a), y_hat) < TIGHT
    classes = [-log_y_hat[n, label] for n, label in enumerate(data["classes"])]
    assert relative_error(reference.softmax_cross_entropy(a, data["classes"]), classes) < TIGHT
    rows = [-sum(p[n, j] * log_y_hat[n, j] for j in range(N_OUT)) for n in range(BATCH)]
    assert relative_error(reference.softmax_cross_entropy(a, p), rows) < TIGHT


LOSSES = [
    ("softmax_cross_entropy", "classes"),
    ("softmax_cross_entropy", "rows"),
    ("sigmoid_cross_entropy", "binary"),
    ("squared_error", "values"),
]


def loss_of_y_hat(loss, y_hat, targets):
    """The loss as a function of y_hat, as it stands in the books."""
    if loss == "squared_error":
        return ((y_hat - targets) ** 2).sum() / 2
    if loss == "sigmoid_cross_entropy":
        return -(targets * np.log(y_hat) + (1 - targets) * np.log(1 - y_hat)).sum()
    if targets.ndim == 1:
        return -np.log(y_hat[np.arange(len(targets)), targets]).sum()
    return -(targets * np.log(y_hat)).sum()


@pytest.mark.parametrize(("loss", "kind"), LOSSES)
def test_losses_and_their_gradients_e4_e5_e10(loss, kind, data, relative_error):
    a, targets = data["a"], data[kind]
    to_y_hat, loss_of, dy_hat, backward = reference.LOSSES[loss]
    y_hat = to_y_hat(a)
    assert float(loss_of(a, targets).sum()) == pytest.approx(
        float(loss_of_y_hat(loss, y_hat, targets)), rel=1e-15
    )
    want = difference(lambda a: loss_of(a, targets).sum(), a)
    assert relative_error(backward(a, targets), want) < DIFFERENCE
    want = difference(lambda y: loss_of_y_hat(loss, y, targets), y_hat, step=1e-6)
    assert relative_error(dy_hat(y_hat, targets), want) < DIFFERENCE


def test_e4_counts_zero_over_zero_as_zero():
    y_hat = np.array([[0.0, 1.0], [0.0, 1.0]])
    dy_hat = reference.softmax_cross_entropy_dy_hat(y_hat, np.array([0, 1]))
    assert dy_hat.tolist() == [[-np.inf, 0.0], [0.0, -1.0]]
    dy_hat = reference.sigmoid_cross_entropy_dy_hat(y_hat, np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert dy_hat.tolist() == [[1.0, -1.0], [-np.inf, np.inf]]


def test_e5_keeps_its_digits_when_the_network_is_sure():
    a = np.array([[50.0, 0.0, 1.0]])
    delta = reference.softmax_cross_entropy_backward(a, np.array([0]))
    others = math.exp(-50) + math.exp(-49)
    assert delta[0, 0] == pytest.approx(-others, rel=1e-14, abs=0)
    delta = reference.sigmoid_cross_entropy_backward(np.array([[50.0]]), np.array([[1.0]]))
    assert delta[0, 0] == pytest.approx(-math.exp(-50), rel=1e-14, abs=0)


def test_e6_e8_e9_written_out(data, relative_error):
    delta, W, h = data["delta"], data["W"], data["x"]
    dh, dW, db = np.zeros_like(h), np.zeros_like(W), np.zeros(N_OUT, np.longdouble)
    for n, i in np.ndindex(delta.shape):
        db[i] += delta[n, i]
        for j in range(N_IN):
            dh[n, j] += W[i, j] * delta[n, i]
            dW[i, j] += delta[n, i] * h[n, j]
    assert relative_error(reference.dense_backward(delta, W), dh) < TIGHT
    assert relative_error(reference.outer_sum(delta, h), dW) < TIGHT
    assert relative_error(reference.bias_sum(delta), db) < TIGHT


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("loss", "kind"), LOSSES)
def test_the_chain_against_differences_of_its_loss(loss, kind, reduction, data, relative_error):
    rng = np.random.default_rng(1)
    W2, b1 = rng.standard_normal((2, N_OUT, N_OUT)).astype(np.longdouble), data["b"]
    layers = [(data["W"], b1, "tanh"), (W2[0], None, "sigmoid"), (W2[1], data["b"] / 2, None)]
    settings = (loss, np.array([0.5, 2.0, 1.25], np.longdouble), reduction, 0.03)
    x, targets = data["x"], data[kind]
    g = reference.gradients(x, targets, layers, *settings)

    def value(k, position):
        def loss_with(array):
            changed = [list(layer) for layer in layers]
            changed[k - 1][position] = array
            return reference.gradients(x, targets, changed, *settings).loss

        return loss_with

    assert g.b.keys() == {1, 3}
    for k, (W, b, _) in enumerate(layers, start=1):
        assert relative_error(g.W[k], difference(value(k, 0), W)) < DIFFERENCE
        if b is not None:
            assert relative_error(g.b[k], difference(value(k, 1), b)) < DIFFERENCE
    want = difference(lambda x: reference.gradients(x, targets, layers, *settings).loss, x)
    assert relative_error(g.x, want) < DIFFERENCE
    assert g.x is g.h[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize(("loss", "kind"), LOSSES)
def test_one_float_type_in_the_same_out(loss, kind, dtype, data, quantities):
    targets = data[kind] if kind == "classes" else data[kind].astype(dtype)
    W, b, x = (data[name].astype(dtype) for name in ("W", "b", "x"))
    for g in reference.ACTIVATIONS:
        grad = reference.gradients(x, targets, [(W, b, g)], loss, l2=0.5)
        assert {array.dtype for array in quantities(grad).values()} == {np.dtype(dtype)}


# The Jacobians of the road map


def jacobian_by_differences(f, x):
    """∂f_i/∂x_j of a function of vectors."""
    return np.array([difference(lambda v, i=i: f(v)[i], x) for i in range(len(f(x)))])


@pytest.mark.parametrize(
    ("loss", "to_y_hat"),
    [
        ("softmax_cross_entropy", lambda a: np.exp(a) / np.exp(a).sum()),
        ("sigmoid_cross_entropy", lambda a: 1 / (1 + np.exp(-a))),
        ("squared_error", lambda a: a),
    ],
)
def test_jacobian_of_the_output_map(data, relative_error, loss, to_y_hat):
    a = data["a"][0]
    got, want = reference.output_jacobian(loss, a), jacobian_by_differences(to_y_hat, a)
    assert got.dtype == np.longdouble
    assert relative_error(got, want) <= DIFFERENCE
    if loss == "softmax_cross_entropy":
        assert relative_error(reference.softmax_jacobian(to_y_hat(a)), want) <= DIFFERENCE


def test_jacobian_of_a_sure_softmax_keeps_its_digits():
    """1 - y_hat would be 0."""
    a = np.array([60, 0, -1], np.longdouble)
    e = np.exp(a - 60)
    got = reference.output_jacobian("softmax_cross_entropy", a)
    assert float(got[0, 0] / (e[1] + e[2])) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("g", [*ACTIVATIONS, None])
def test_jacobian_of_an_activation(data, relative_error, g):
    forward = reference.ACTIVATIONS[g][0]
    a = data["a"][1]
    want = jacobian_by_differences(forward, a)
    assert relative_error(reference.activation_jacobian(g, forward(a)), want) <= DIFFERENCE


def test_jacobians_of_a_dense_layer(data, relative_error):
    x, W, b = data["x"][0], data["W"], data["b"]

    def a(x=x, W=W, b=b):
        return np.array([b[i] + sum(W[i, j] * x[j] for j in range(N_IN)) for i in range(N_OUT)])

    want = jacobian_by_differences(lambda v: a(x=v), x)
    assert relative_error(reference.dense_jacobian(W), want) <= DIFFERENCE
    for i in range(N_OUT):
        want = jacobian_by_differences(lambda v: a(b=v), b)[:, i]
        assert relative_error(reference.bias_jacobian(x, N_OUT, i), want) <= DIFFERENCE
        for j in range(N_IN):
            want = jacobian_by_differences(lambda v: a(W=v.reshape(W.shape)), W.ravel())
            got = reference.weight_jacobian(x, N_OUT, i, j)
            assert relative_error(got, want[:, i * N_IN + j]) <= DIFFERENCE


def test_the_road_has_the_lectures_shapes_and_leads_to_the_gradient(data):
    rng = np.random.default_rng(1)
    sizes = [N_IN, 3, 6, N_OUT]
    layers = [
        (rng.standard_normal((n, m)).astype(np.longdouble), data["b"][:n].copy(), g)
        for m, n, g in zip(sizes[:2], sizes[1:3], ["tanh", "relu"], strict=True)
    ]
    layers[1] = (layers[1][0], None, "relu")
    layers.append((data["W"][:, [0, 1, 2, 3, 0, 1]], data["b"], None))
    x, target = data["x"][0], np.array(2)
    g = reference.gradients(x[np.newaxis], target[np.newaxis], layers)
    for k in (1, 2, 3):
        road = reference.road(x, target, layers, "softmax_cross_entropy", k, 1, 2)
        assert [f.ndim for f in road] == [1, *[2] * (len(road) - 2), 1]
        assert len(road) == 2 * (3 - k) + 4
        product = road[0]
        for factor in road[1:]:
            product = product @ factor
        assert float(product) == pytest.approx(float(g.W[k][1, 2]), rel=1e-12)
    road = reference.road(x, target, layers, "softmax_cross_entropy", 1, 2)
    product = road[0]
    for factor in road[1:]:
        product = product @ factor
    assert float(product) == pytest.approx(float(g.b[1][2]), rel=1e-12)

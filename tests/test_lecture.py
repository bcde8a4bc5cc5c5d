"""The lecture's own numbers, its road map, and its outer product, through the public face."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as bp


def assert_digits(got, printed):
    """Equal to a printed decimal number in every digit it prints."""
    decimals = len(printed.split(".")[1])
    assert f"{float(got):.{decimals}f}" == printed


# Worked examples of others


MAZUR_W1 = [["0.14978072", "0.19956143"], ["0.24975114", "0.29950229"]]
MAZUR_W2 = [["0.35891648", "0.40866619"], ["0.51130127", "0.56137012"]]


def test_mazur_loss_and_outputs(mazur):
    net, x, t = mazur
    assert_digits(net.loss(x, t), "0.298371109")
    assert_digits(net.gradients(x, t).loss, "0.298371109")
    for got, printed in zip(net.forward(x)[0], ["0.75136507", "0.77292847"], strict=True):
        assert_digits(got, printed)


def test_mazur_weights_after_one_step(mazur):
    net, x, t = mazur
    g = net.gradients(x, t)
    by_hand = {k: net.params[f"dense{k}.W"] - 0.5 * g.W[k] for k in (1, 2)}
    assert_digits(net.step(x, t, bp.SGD(0.5)), "0.298371109")
    for k, printed in {1: MAZUR_W1, 2: MAZUR_W2}.items():
        W = net.params[f"dense{k}.W"]
        np.testing.assert_array_equal(W, by_hand[k])
        for i, j in np.ndindex(2, 2):
            assert_digits(W[i, j], printed[i][j])


def test_cs231n_affine_forward():
    x = np.linspace(-0.1, 0.5, 2 * 120).reshape(2, 120)
    W = np.linspace(-0.2, 0.3, 120 * 3).reshape(120, 3).T.copy()
    b = np.linspace(-0.3, 0.1, 3)
    a = bp.kernels.dense_forward(x, W, b)
    printed = [
        ["1.49834967", "1.70660132", "1.91485297"],
        ["3.25553199", "3.5141327", "3.77273342"],
    ]
    for n, i in np.ndindex(2, 3):
        assert_digits(a[n, i], printed[n][i])


def test_cs231n_two_layer_toy():
    weights, inputs = np.random.RandomState(0), np.random.RandomState(1)
    net = bp.mlp([4, 10, 3], activation="relu", dtype="float64", l2=0.05)
    net.flat = np.zeros(net.flat.size)
    net.params["dense1.W"] = (1e-1 * weights.randn(4, 10)).T
    net.params["dense2.W"] = (1e-1 * weights.randn(10, 3)).T
    X, y = 10 * inputs.randn(5, 4), [0, 1, 2, 2, 1]
    assert_digits(net.loss(X, y), "1.30378789133")
    assert_digits(net.gradients(X, y).loss, "1.30378789133")


# The road map: from the loss back to one weight


@pytest.mark.parametrize(
    ("activation", "slope"),
    [
        ("tanh", lambda a: 1 / np.cosh(a) ** 2),
        ("sigmoid", lambda a: np.exp(-a) / (1 + np.exp(-a)) ** 2),
        ("relu", lambda a: (a > 0) * 1.0),
    ],
)
def test_five_jacobians_of_the_road_map(activation, slope):
    net = bp.mlp([3, 4, 5, 3], activation=activation, dtype="float64", rng=3)
    x, label = np.array([[0.5, -1.0, 2.0]]), 2
    g = net.gradients(x, [label])
    W2, W3 = net.params["dense2.W"], net.params["dense3.W"]
    a, y_hat = g.values.a, g.values.y_hat[0]

    talk_to_the_weight = -np.eye(3)[label] / y_hat[label]  # ∂ℒ/∂y_hat, a row
    to_the_output_layer = np.diag(y_hat) - np.outer(y_hat, y_hat)  # ∂y_hat/∂a_3
    to_the_previous_hidden_layer = W3 @ np.diag(slope(a[2][0]))  # ∂a_3/∂h_2 · ∂h_2/∂a_2
    to_the_one_before = W2 @ np.diag(slope(a[1][0]))  # ∂a_2/∂h_1 · ∂h_1/∂a_1
    for i, j in np.ndindex(4, 3):
        talk_to_the_weights = np.eye(4)[i] * x[0, j]  # ∂a_1/∂W_1ij, a column
        product = (
            talk_to_the_weight
            @ to_the_output_layer
            @ to_the_previous_hidden_layer
            @ to_the_one_before
            @ talk_to_the_weights
        )
        assert product == pytest.approx(g.W[1][i, j], rel=1e-12, abs=1e-15)

    # and the stations on the way are the quantities of that name
    at_a3 = talk_to_the_weight @ to_the_output_layer
    at_a2 = at_a3 @ to_the_previous_hidden_layer
    stations = {
        "y_hat": (g.y_hat, talk_to_the_weight),
        "a[3]": (g.a[3], at_a3),
        "h[2]": (g.h[2], at_a3 @ W3),
        "a[2]": (g.a[2], at_a2),
        "h[1]": (g.h[1], at_a2 @ W2),
        "a[1]": (g.a[1], at_a2 @ to_the_one_before),
    }
    for name, (got, want) in stations.items():
        np.testing.assert_allclose(got[0], want, rtol=1e-12, atol=1e-15, err_msg=name)


# E8 on the lecture's 3 x 3 matrix


def lecture_matrix(da, h):
    """∇_W ℒ as the lecture writes it down: row i holds ∂ℒ/∂a_i times h_1, h_2, h_3."""
    return [
        [da[0] * h[0], da[0] * h[1], da[0] * h[2]],
        [da[1] * h[0], da[1] * h[1], da[1] * h[2]],
        [da[2] * h[0], da[2] * h[1], da[2] * h[2]],
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outer_product_entry_by_entry(dtype):
    delta, h = np.array([[2.0, -3.0, 0.7]], dtype), np.array([[1.1, 10.0, 0.1]], dtype)
    dW = bp.kernels.outer_sum(delta, h)
    assert dW.tolist() == np.array(lecture_matrix(delta[0], h[0]), dtype).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outer_product_in_a_network(dtype):
    net = bp.mlp([3, 3, 3, 3], activation="tanh", dtype=dtype, rng=0)
    g = net.gradients([[0.3, -0.2, 0.9]], [1])
    for k in (1, 2, 3):
        want = np.array(lecture_matrix(g.a[k][0], g.values.h[k - 1][0]), dtype)
        assert g.W[k].tolist() == want.tolist()
        assert g.b[k].tolist() == g.a[k][0].tolist()  # E9

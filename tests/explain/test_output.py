"""Where the walk begins: with ∂ℒ/∂ŷ where that is a number, and with E5, saying why, where not."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as bp
from fastbp import reference

X = [[1.0, 2.0]]


def network(W, loss="softmax_cross_entropy", dtype="float64"):
    W = np.asarray(W, float)
    net = bp.Network(2, [bp.Dense(len(W))], loss=loss, dtype=dtype)
    net.params["dense1.W"] = W
    net.params["dense1.b"] = 0.0 * W[:, 0]
    return net


def delta(W, target, loss):
    """E5 in longdouble."""
    a = np.asarray(W, np.longdouble) @ np.asarray(X[0], np.longdouble)
    target = np.asarray([target])
    if target.dtype.kind != "i" or target.ndim > 1:
        target = target.astype(np.longdouble)
    return reference.LOSSES[loss][3](a[np.newaxis], target)[0]


@pytest.mark.parametrize("a", [0.0, 1.0, 20.0, 40.0, 300.0, 700.0])
@pytest.mark.parametrize("target", [0, 1, 2, [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
def test_softmax_keeps_its_digits(a, target):
    """A sure output: 1 - ŷ_l is far below the last digit of 1."""
    W = [[a, 0], [0, 0], [-1, 0]]
    same = 0 if target == [1.0, 0.0, 0.0] else target  # a row's E5 cancels in the reference
    want = delta(W, same, "softmax_cross_entropy")
    net = network(W)
    for i in range(3):
        walk = net.explain(X, [target], weight=("dense1.W", i, 1))
        assert walk.note == ""
        assert abs(walk.product - 2 * want[i]) <= 1e-10 * 2 * np.abs(want).max()


@pytest.mark.parametrize("a", [0.0, 1.0, 20.0, 40.0, 300.0, 700.0, -40.0, -700.0])
@pytest.mark.parametrize("t", [0.0, 1.0, 0.25])
def test_sigmoid_keeps_its_digits(a, t):
    want = delta([[a, 0]], [t], "sigmoid_cross_entropy")
    walk = network([[a, 0]], "sigmoid_cross_entropy").explain(X, [t], weight=("dense1.b", 0))
    assert walk.note == ""
    assert abs(walk.product - want[0]) <= 1e-10 * abs(want[0])


@pytest.mark.parametrize(
    ("loss", "W", "target", "words"),
    [
        ("softmax_cross_entropy", [[800, 0], [0, 0]], 1, "ŷ[1] = 0, and ŷ there is too small"),
        ("softmax_cross_entropy", [[720, 0], [0, 0]], 1, "and ŷ there is too small"),  # denormal
        ("softmax_cross_entropy", [[800, 0], [0, 0]], [0.5, 0.5], "ŷ[1] = 0"),
        ("sigmoid_cross_entropy", [[-800, 0], [0, 0]], [1, 0], "ŷ[0] = 0, and ŷ there"),
        ("sigmoid_cross_entropy", [[0, 0], [800, 0]], [1, 0], "ŷ[1] = 1, and 1 - ŷ there"),
    ],
)
def test_where_y_hat_underflows_it_begins_with_e5(loss, W, target, words):
    walk = network(W, loss).explain(X, [target], weight=("dense1.W", 1, 1))
    assert words in walk.note
    assert "E5" in walk.note
    assert f"Note: {walk.note}." in " ".join(str(walk).split())
    first, _ = walk.factors
    assert (first.name, first.equation) == ("∂ℒ/∂a₁", "E5")
    want = delta(W, target, loss)
    np.testing.assert_allclose(first.value, want.astype(float), rtol=1e-12)
    assert walk.product == pytest.approx(2 * float(want[1]), rel=1e-12)
    assert "log 0" not in str(walk)


def test_a_target_of_0_needs_no_quotient():
    """0/0 counts as 0 (E4): only outputs that the loss looks at have to be numbers."""
    walk = network([[800, 0], [0, 0]]).explain(X, [[1.0, 0.0]])
    assert walk.factors[0].name == "∂ℒ/∂ŷ"
    walk = network([[800, 0]], "sigmoid_cross_entropy").explain(X, [1])
    assert walk.factors[0].name == "∂ℒ/∂ŷ"
    assert walk.note == "this weight moves nothing here, as ∂ℒ/∂a₁[0] is 0"
    walk = network([[1, 0]], "sigmoid_cross_entropy").explain([[0.0, 1.0]], [1], 0, "dense1.W:0,0")
    assert walk.note == "this weight moves nothing here, as h₀[0] is 0"
    walk = network([[1e-300, 0]], "squared_error").explain(
        [[1e-300, 0.0]], [1e-30], 0, "dense1.W:0,0"
    )
    assert walk.note == "this weight moves nothing here, as the product is too small for a number"


def test_near_the_target_it_begins_with_e5():
    """Distillation: there ŷ - p is far below the terms that make it."""
    net = bp.mlp([2, 4], dtype="float64", rng=0)
    for off, note in ((0.0, True), (1e-9, True), (1e-3, False)):
        p = net.predict_proba(X) + off * np.array([[1, -1, 0, 0]])
        walk = net.explain(X, p)
        assert ("near the target" in walk.note) == note
        assert abs(walk.product - walk.outer) <= 1e-10 * abs(walk.outer)
    net = network([[-60, 0]], "sigmoid_cross_entropy")
    assert "lead to" not in net.explain(X, net.predict_proba(X)).note


def test_a_faint_target_needs_a_faint_quotient():
    """p / ŷ of two tiny numbers, one without its last digits."""
    W = [[710, 0], [0, 0], [-5, 0]]
    walk = network(W).explain(X, [[1 - 1e-20, 1e-20, 0.0]], weight=("dense1.W", 1, 1))
    want = 2 * (np.exp(np.longdouble(-710)) - np.longdouble(1e-20))
    assert walk.product == pytest.approx(float(want), rel=1e-10)


# Losses by others


class Own(bp.SquaredError):
    """Huber's, in Python."""

    def loss_and_delta(self, a, targets, delta):
        r = a - targets
        near = np.clip(r, -1, 1)
        if delta is not None:
            delta[...] = near
        return (near * (r - near / 2)).sum(axis=1)


class Python(bp.losses.Loss):
    """Σ (a - t)⁴, with no words of its own."""

    def loss_and_delta(self, a, targets, delta):
        r = (a - targets).astype(np.float64)
        if delta is not None:
            delta[...] = 4 * r**3
        return (r**4).sum(axis=1)


class Mapped(Python):
    """The same, of exp(a)."""

    def loss_and_delta(self, a, targets, delta):
        r = (np.exp(a) - targets).astype(np.float64)
        if delta is not None:
            delta[...] = 4 * r**3 * np.exp(a)
        return (r**4).sum(axis=1)

    def y_hat(self, a, out):
        np.exp(a, out=out)


class Smoothed(bp.losses.Loss):
    """Cross-entropy with a part of the targets spread out, whose E4 nobody has told."""

    targets, probabilities, y_hat_map = "classes", True, "softmax"

    def loss_and_delta(self, a, targets, delta):
        p = np.full(a.shape, 0.05)
        p[np.arange(len(a)), targets] += 1 - p[0].sum()
        if delta is not None:
            delta[...] = reference.softmax(a) - p
        return reference.softmax_cross_entropy(a, p)

    def y_hat(self, a, out):
        out[...] = reference.softmax(a)


class Slightly(bp.SquaredError):
    """An E4 that is almost its own."""

    def y_hat_gradient(self, a, targets, out):
        np.multiply(a - targets, 1 + 1e-7, out=out)


class Cooled(bp.SoftmaxCrossEntropy):
    """Predicts with another temperature than it learns with."""

    def y_hat(self, a, out):
        out[...] = reference.softmax(a / 2)


class Wrong(Smoothed):
    """An E4 that is not its own."""

    def y_hat_gradient(self, a, targets, out):
        out[...] = reference.softmax_cross_entropy_dy_hat(reference.softmax(a), targets)


@pytest.mark.parametrize(
    ("loss", "target", "first", "note"),
    [
        (Python(), [0.5, -0.5], "∂ℒ/∂ŷ", ""),
        (Mapped(), [0.5, 0.5], "∂ℒ/∂a₁", "Mapped gives ŷ by a map of its own"),
        (Smoothed(), 1, "∂ℒ/∂a₁", "Smoothed gives no ∂ℒ/∂ŷ"),
        (Slightly(), [3, 4], "∂ℒ/∂a₁", "Slightly's ∂ℒ/∂ŷ does not lead to its own ∂ℒ/∂a"),
        (Cooled(), 1, "∂ℒ/∂a₁", "Cooled gives ŷ by a map of its own"),
        (Wrong(), 1, "∂ℒ/∂a₁", "Wrong's ∂ℒ/∂ŷ does not lead to its own ∂ℒ/∂a"),
    ],
)
def test_losses_in_python(loss, target, first, note):
    W = np.array([[0.3, -0.2], [0.1, 0.4]])
    walk = network(W, loss).explain(X, [target], weight=("dense1.W", 1, 0))
    assert walk.factors[0].name == first
    assert walk.note.startswith(note)
    assert bool(walk.note) == bool(note)
    step, losses = 1e-4, []
    for sign in (1, -1):
        moved = W.copy()
        moved[1, 0] += sign * step
        losses.append(network(moved, loss).loss(X, [target]))
    assert walk.product == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-6)
    assert f"{loss!r}'s own" in str(walk)


def test_an_error_of_a_loss_is_told():
    class Refusing(Smoothed):
        def y_hat_gradient(self, a, targets, out):
            raise bp.ConfigError("for a reason of its own")

    with pytest.raises(bp.ConfigError, match="for a reason of its own"):
        network([[1, 0], [0, 1]], Refusing()).explain(X, [1])


def test_a_subclass_does_not_speak_with_its_base_classs_words():
    walk = network([[0.3, -0.2]], Own()).explain(X, [[5.0]])
    assert "½ Σ (ŷ - t)²" not in str(walk)
    assert walk.factors[0].running.letters == "Own()'s own"
    assert walk.product == pytest.approx(-2)

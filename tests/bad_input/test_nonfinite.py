"""NaN and infinity: refused where something is learned, passed on where something is told."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as bp

BAD = [np.nan, np.inf, -np.inf]
STRICT = ["gradients", "loss_and_grad", "step", "fit", "validation"]
WANTED = "wanted finite numbers"


def with_entry(array, where, value, dtype="float64"):
    array = np.array(array, dtype)
    array[where] = value
    return array


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("call", [*STRICT, "vjp"], indirect=True)
def test_x_is_refused(net, X, y, call, refuses, value):
    bad = with_entry(X, (3, 1), value)
    message = f"X: got {value} at row 3, column 1; {WANTED}"
    refuses(net, bp.NonFiniteError, message, lambda: call(net, bad, y))


def test_infinities_that_cancel_are_found(net, X, y, refuses):
    bad = with_entry(X, (3, 1), np.inf)
    bad[4, 0] = -np.inf
    message = f"X: got inf at row 3, column 1; {WANTED}"
    refuses(net, bp.NonFiniteError, message, lambda: net.gradients(bad, y))


def test_finite_numbers_with_an_infinite_sum_pass(net, y):
    net.flat[:] = 0
    X = np.full((5, 3), 3e38)
    with np.errstate(all="raise"):
        assert net.gradients(X, y).loss == pytest.approx(np.log(3))


TARGETS = {
    "rows": ("softmax_cross_entropy", 3, np.full((5, 3), 1 / 3)),
    "multilabel": ("sigmoid_cross_entropy", 2, np.full((5, 2), 0.5)),
    "values": ("squared_error", 2, np.zeros((5, 2))),
}


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("call", STRICT, indirect=True)
@pytest.mark.parametrize("kind", TARGETS)
def test_y_is_refused(make, X, call, refuses, kind, value):
    loss, n_out, y = TARGETS[kind]
    net, bad = make(n_out, loss), with_entry(y, (2, 1), value)
    message = f"y: got {value} at row 2, column 1; {WANTED}"
    refuses(net, bp.NonFiniteError, message, lambda: call(net, X, bad))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("call", STRICT, indirect=True)
def test_weights_are_refused(net, X, y, call, refuses, value):
    bad = with_entry(np.ones(5), 4, value)
    message = f"sample_weight: got {value} at row 4; {WANTED}"
    refuses(net, bp.NonFiniteError, message, lambda: call(net, X, y, bad))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", BAD)
def test_x_passes_on_in_its_row_alone(make, snapshot, X, y, value, dtype):
    net = make(dtype=dtype)
    bad, others, before = with_entry(X, (3, 1), value), [0, 1, 2, 4], snapshot(net)
    for method in (net.forward, net.predict_proba, net.predict):
        got, want = method(bad), method(X)
        assert got[others].tobytes() == want[others].tobytes()
        assert got.dtype == want.dtype
    assert not np.isfinite(net.forward(bad)[3]).all()
    losses = net.loss(bad, y, reduction="none")
    assert losses[others].tobytes() == net.loss(X, y, reduction="none")[others].tobytes()
    assert not np.isfinite(losses[3])
    assert not np.isfinite(net.loss(bad, y))
    assert snapshot(net) == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", TARGETS)
def test_y_passes_on_in_its_row_alone(make, snapshot, X, kind, value):
    loss, n_out, y = TARGETS[kind]
    net, bad, others = make(n_out, loss), with_entry(y, (2, 1), value), [0, 1, 3, 4]
    before = snapshot(net)
    losses = net.loss(X, bad, reduction="none")
    assert losses[others].tobytes() == net.loss(X, y, reduction="none")[others].tobytes()
    assert not np.isfinite(losses[2])
    assert not np.isfinite(net.loss(X, bad))
    assert snapshot(net) == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_pass_on_in_their_row_alone(net, X, y, value):
    bad, others = with_entry(np.ones(5), 4, value), [0, 1, 2, 3]
    losses = net.loss(X, y, sample_weight=bad, reduction="none")
    assert losses[others].tobytes() == net.loss(X, y, reduction="none")[others].tobytes()
    assert not np.isfinite(losses[4])
    assert not np.isfinite(net.loss(X, y, sample_weight=bad, reduction="sum"))
    assert np.isnan(net.loss(X, y, sample_weight=bad))


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("call", ["gradients", "loss_and_grad", "step", "fit"], indirect=True)
@pytest.mark.parametrize("loss", bp.plugins.available("loss"))
def test_parameters_that_are_not_finite_are_noticed(make, X, call, refuses, loss, value):
    net = make(2, loss)
    net.params["dense2.b"][0] = value
    y = np.zeros((5, 2)) if loss != "softmax_cross_entropy" else np.zeros(5, int)
    if value == -np.inf and loss.endswith("cross_entropy"):
        pytest.skip("a logit of -inf is a probability of 0")
    with pytest.raises(bp.NonFiniteError) as caught:
        call(net, X, y)
    assert "wanted" in str(caught.value) or "became" in str(caught.value)
    net.params["dense2.b"][0] = 0
    assert net.optimizer_state.steps == 1
    assert np.isfinite(net.flat).all()

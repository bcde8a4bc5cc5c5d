"""A loss, a gradient or a layer that fails while training: the network stays at a step boundary."""

from __future__ import annotations

import re

import numpy as np
import pytest

import fastbp as bp

DIVERGING = {
    "SGD": bp.SGD(30.0),
    "momentum": bp.SGD(3.0, momentum=0.9),
    "nesterov": bp.SGD(3.0, momentum=0.9, nesterov=True),
    "Adam": bp.Adam(1e18),
}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 3)), rng.standard_normal((40, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", DIVERGING.values(), ids=DIVERGING)
def test_a_diverging_fit_stops_at_the_last_good_step(make, data, snapshot, optimizer, dtype):
    X, y = data
    net = make(2, "squared_error", dtype)
    net.reset_optimizer()
    if dtype == "float64" and isinstance(optimizer, bp.Adam):
        optimizer = bp.Adam(1e150)
    replay = net.copy()
    with pytest.raises(bp.NonFiniteError) as caught:
        net.fit(X, y, optimizer=optimizer, epochs=300, batch_size=8, shuffle=False)
    found = re.match(
        r"epoch (\d+), step (\d+): (loss|gradient|h_L): .*(nan|inf)", str(caught.value)
    )
    assert found, caught.value
    epoch, step = int(found[1]), int(found[2])
    assert 1 <= step <= 5
    assert (epoch, step) > (1, 1)  # some steps were good ones

    batches = [(X[i : i + 8], y[i : i + 8]) for i in range(0, 40, 8)]
    for number in range(5 * (epoch - 1) + step - 1):
        replay.step(*batches[number % 5], optimizer)
    assert snapshot(net) == snapshot(replay)
    with pytest.raises(bp.NonFiniteError):
        replay.step(*batches[step - 1], optimizer)
    assert snapshot(net) == snapshot(replay)


MAY_HELP = "X and y scaled to about 1, or a smaller learning rate, may help"
OVERFLOWS = {
    "the loss alone": (
        "float64",
        1,
        1e200,
        1,
        "loss: became inf; wanted a finite number; " + MAY_HELP,
    ),
    "the gradient alone": (
        "float32",
        1e30,
        1,
        1,
        "gradient: ...; wanted finite numbers..." + MAY_HELP,
    ),
    "the output": ("float32", 1, 1, 3e38, "h_L: got [...] at row ...; wanted ...; ..." + MAY_HELP),
}


@pytest.mark.parametrize("call", ["step", "fit"], indirect=True)
@pytest.mark.parametrize(
    ("dtype", "times_x", "times_y", "bias", "message"),
    OVERFLOWS.values(),
    ids=OVERFLOWS,
)
def test_a_pass_that_overflows(
    make, data, call, snapshot, assert_message, dtype, times_x, times_y, bias, message
):
    (X, y), net = data, make(2, "squared_error", dtype)
    net.params["dense1.b"] = np.full(4, bias)
    net.params["dense2.W"] = np.full((2, 4), 2)
    before = snapshot(net)
    with pytest.raises(bp.NonFiniteError) as caught:
        call(net, times_x * X, times_y * y)
    assert_message(re.sub(r"^epoch 1, step 1: ", "", str(caught.value)), message)
    after = snapshot(net)
    assert {**after, "generator": 0} == {**before, "generator": 0}  # fit has shuffled


@pytest.mark.parametrize("loss", bp.plugins.available("loss"))
def test_a_diverged_network_learns_again_from_good_parameters(make, loss):
    net, X = make(2, loss), np.random.default_rng(0).standard_normal((20, 3))
    y = np.zeros(20, int) if loss.startswith("softmax") else np.zeros((20, 2))
    good = net.state_dict()
    net.params["dense1.W"][...] = 3e38
    optimizer = bp.SGD(1e-3, momentum=0.9)
    before = net.optimizer_state.arrays["v"].tobytes()
    with pytest.raises(bp.NonFiniteError, match="epoch 1, step 1: "):
        net.fit(X * 1e10, y, optimizer=optimizer)
    assert net.optimizer_state.arrays["v"].tobytes() == before
    assert net.optimizer_state.steps == 1
    net.load_state_dict(good)
    assert np.isfinite(net.fit(X, y, optimizer=optimizer, epochs=1).loss[0])


class Counting(bp.Layer):
    """Counts training passes in a buffer, and gives NaN when asked for it."""

    def build(self, n_in, dtype):
        return bp.layers.LayerSpec(n_out=n_in, buffers={"passes": (1,)})

    def forward(self, params, x, y, ctx):
        if ctx.training:
            ctx.buffers["passes"] += 1
        y[...] = np.where(x > 100, np.nan, x)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            dx[...] = dy


def test_buffers_are_as_before_a_failed_step():
    net = bp.Network(3, [Counting(), bp.Dense(2)], rng=0)
    X, y, optimizer = np.ones((4, 3)), [0, 1, 0, 1], bp.SGD(0.1, momentum=0.9)
    net.step(X, y, optimizer)
    assert net.buffers["counting1.passes"].tolist() == [1]
    before = net.flat.tobytes(), net.optimizer_state.arrays["v"].tobytes()
    with pytest.raises(bp.NonFiniteError, match="h_L: got "):
        net.step(X * 101, y, optimizer)
    assert net.buffers["counting1.passes"].tolist() == [1]
    assert (net.flat.tobytes(), net.optimizer_state.arrays["v"].tobytes()) == before
    assert net.optimizer_state.steps == 1


class Failing(Counting):
    """Raises on its way back."""

    def backward(self, params, x, y, dy, dx, grads, ctx):
        raise RuntimeError("cannot")


@pytest.mark.parametrize("call", ["step", "fit"], indirect=True)
def test_a_layer_that_raises_changes_nothing(snapshot, call):
    net = bp.Network(3, [bp.Dense(2), Failing()], rng=0)
    before = snapshot(net)
    with pytest.raises(RuntimeError, match="cannot"):
        call(net, np.ones((4, 3)), [0, 1, 0, 1])
    after = snapshot(net)
    assert {**after, "generator": 0} == {**before, "generator": 0}  # fit has shuffled
    assert net.optimizer_state is None

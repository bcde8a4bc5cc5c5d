"""Training that is asked for wrongly, or that goes wrong on the way."""

from __future__ import annotations

import re

import numpy as np
import pytest

import fastbp as bp

TRAINED_BY = "{'momentum': 0.9, 'nesterov': False, 'weight_decay': 0.0}"
OPTIMIZERS = {
    "Adam": bp.Adam(0.1),
    "other momentum": bp.SGD(0.1, momentum=0.5),
    "no momentum": bp.SGD(0.1),
    "nesterov": bp.SGD(0.1, momentum=0.9, nesterov=True),
    "weight decay": bp.SGD(0.1, momentum=0.9, weight_decay=0.01),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizer_changed_midway(net, X, y, refuses, optimizer):
    message = (
        f"optimizer: got {type(optimizer).__name__} with {{...}}; the network was trained by "
        f"SGD with {TRAINED_BY}; net.reset_optimizer() forgets that"
    )
    refuses(net, bp.OptimizerError, message, lambda: net.step(X, y, optimizer))
    refuses(net, bp.OptimizerError, message, lambda: net.fit(X, y, optimizer=optimizer))
    net.reset_optimizer()
    net.step(X, y, optimizer)
    net.fit(X, y, optimizer=optimizer, epochs=1)
    assert net.optimizer_state.steps == 2


def test_fits_default_optimizer_is_another_one_too(net, X, y, refuses):
    message = "optimizer: got Adam with ...; the network was trained by SGD ...reset_optimizer()..."
    refuses(net, bp.OptimizerError, message, lambda: net.fit(X, y))


def test_the_learning_rate_may_change(net, X, y):
    net.step(X, y, bp.SGD(0.01, momentum=0.9))
    net.fit(X, y, optimizer=bp.SGD(1.0, momentum=0.9), epochs=1)
    assert net.optimizer_state.steps == 3


NO_OPTIMIZER = {
    "class": (bp.SGD, "<class 'fastbp.optimizers.sgd.SGD'>"),
    "name": ("adam", "'adam'"),
    "learning rate": (0.1, "0.1"),
    "layer": (bp.ReLU(), "ReLU()"),
}


@pytest.mark.parametrize(("optimizer", "got"), NO_OPTIMIZER.values(), ids=NO_OPTIMIZER)
def test_no_optimizer(net, X, y, refuses, optimizer, got):
    message = f"optimizer: got {got}; wanted one like bp.Adam(1e-3)"
    refuses(net, bp.ConfigError, message, lambda: net.step(X, y, optimizer))
    refuses(net, bp.ConfigError, message, lambda: net.fit(X, y, optimizer=optimizer))


def test_step_has_no_default_optimizer(net, X, y, refuses):
    message = "optimizer: got None; wanted one like bp.Adam(1e-3)"
    refuses(net, bp.ConfigError, message, lambda: net.step(X, y, None))


WHOLE = "{}: got {}; wanted a whole number >= 1"
ONES = np.ones((2, 3))
FIT = {
    "no epochs": ({"epochs": 0}, bp.ConfigError, WHOLE.format("epochs", 0)),
    "half an epoch": ({"epochs": 0.5}, bp.ConfigError, WHOLE.format("epochs", 0.5)),
    "text for epochs": ({"epochs": "3"}, bp.ConfigError, WHOLE.format("epochs", "'3'")),
    "no batch": ({"batch_size": 0}, bp.ConfigError, WHOLE.format("batch_size", 0)),
    "negative batch": ({"batch_size": -1}, bp.ConfigError, WHOLE.format("batch_size", -1)),
    "float batch": ({"batch_size": 2.0}, bp.ConfigError, WHOLE.format("batch_size", 2.0)),
    "None for batch": ({"batch_size": None}, bp.ConfigError, WHOLE.format("batch_size", None)),
    "shuffle": ({"shuffle": "no"}, bp.ConfigError, "shuffle: got 'no'; wanted True or False"),
    "rng": (
        {"rng": "seed"},
        bp.DtypeError,
        "rng: got 'seed'; wanted None, an int, a SeedSequence or a Generator",
    ),
    "seed": ({"rng": -1}, bp.ConfigError, "rng: got -1; wanted a whole number >= 0"),
    "callback": ({"callbacks": [3]}, bp.ConfigError, "callbacks: got 3; wanted callables"),
    "progress": (
        {"progress": "tqdm"},
        bp.ConfigError,
        "progress: got 'tqdm'; wanted 'auto', True or False",
    ),
    "validation y": (
        {"validation_data": (ONES, [0, 3])},
        bp.LabelError,
        "...y: got 3 at row 1; wanted classes 0..2",
    ),
    "validation X": (
        {"validation_data": (ONES[:, :2], [0, 2])},
        bp.ShapeError,
        "...X: got shape (2, 2); wanted (batch, 3)",
    ),
    "validation weights": (
        {"validation_data": (ONES, [0, 2], [0, 0])},
        bp.ConfigError,
        "...sample_weight: got weights that sum to 0; wanted a sum > 0, ...",
    ),
}


@pytest.mark.parametrize(("arguments", "error", "message"), FIT.values(), ids=FIT)
def test_bad_arguments_of_fit(net, X, y, refuses, arguments, error, message):
    arguments = {"optimizer": bp.SGD(0.1, momentum=0.9), "epochs": 1} | arguments
    refuses(net, error, message, lambda: net.fit(X, y, **arguments))


@pytest.mark.parametrize("validation", [ONES, (ONES,), (ONES, [0], None, 1), 5], ids=str)
def test_validation_data_that_is_no_pair(net, X, y, refuses, validation):
    def fit():
        net.fit(X, y, optimizer=bp.SGD(0.1, momentum=0.9), validation_data=validation)

    message = "validation_data: ...wanted (X, y) or (X, y, sample_weight)"
    refuses(net, bp.ConfigError, message, fit)


def test_an_error_in_a_callback_leaves_a_step_boundary(net, X, y):
    def callback(network, history):
        raise RuntimeError("no more")

    want = net.copy()
    optimizer = bp.SGD(0.1, momentum=0.9)
    with pytest.raises(RuntimeError, match="no more"):
        net.fit(X, y, optimizer=optimizer, callbacks=[callback])
    want.fit(X, y, optimizer=optimizer, epochs=1)
    assert net.flat.tobytes() == want.flat.tobytes()
    assert net.optimizer_state.steps == want.optimizer_state.steps


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

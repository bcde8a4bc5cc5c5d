"""Training that is asked for wrongly."""

from __future__ import annotations

import subprocess
import sys

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


def test_labels_changed_midway_are_not_seen(net, X, y):
    """Kernels index by labels, so those that were checked must be the ones that are used."""

    def callback(network, history):
        y[:] = 2
        validation_y[:] = 2

    validation_y, want = y.copy(), net.copy()
    arguments = {"optimizer": bp.SGD(0.1, momentum=0.9), "epochs": 3}
    expected = want.fit(X, y.copy(), validation_data=(X, y.copy()), **arguments)
    found = net.fit(X, y, validation_data=(X, validation_y), callbacks=[callback], **arguments)
    assert (found.loss, found.val_loss) == (expected.loss, expected.val_loss)
    assert net.flat.tobytes() == want.flat.tobytes()


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


STATES = """
import numpy as np
import fastbp as bp

X, y = np.ones((4, 3)), [0, 1, 2, 0]
trained = bp.mlp([3, 300, 3], rng=0)
trained.step(X, y, bp.Adam())


def change(name, array):
    net = trained.copy()
    net.optimizer_state.arrays[name] = array
    return net


def drop():
    net = trained.copy()
    net.optimizer_state.arrays.clear()
    return net


def replace():
    net = trained.copy()
    net.optimizer_state = 5
    return net


m = trained.optimizer_state.arrays["m"]
for net in (
    drop(), replace(), change("m", m[:5].copy()), change("m", m.astype(float)),
    change("v", np.repeat(m, 2)[::2]), change("v", None), change("w", m),
):
    for train in (lambda: net.step(X, y, bp.Adam()), lambda: net.fit(X, y, optimizer=bp.Adam())):
        before = net.flat.tobytes()
        try:
            train()
        except bp.OptimizerError as exc:
            assert "optimizer" in str(exc) and "wanted" in str(exc), exc
        else:
            raise AssertionError("trained with a state that is not Adam's")
        assert net.flat.tobytes() == before

swapped = trained.copy()
state = swapped.optimizer_state
state.arrays = dict(reversed(state.arrays.items()))
for net in (trained, swapped):
    net.step(X, y, bp.Adam())
assert swapped.flat.tobytes() == trained.flat.tobytes()
"""


def test_a_state_that_is_not_the_optimizers(tmp_path):
    """In a process of its own: kernels that trusted such a state would write anywhere."""
    command = [sys.executable, "-c", STATES]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


class Draws(np.random.Generator):
    """A generator that draws what it was given for an order."""

    def __init__(self, order):
        super().__init__(np.random.PCG64(0))
        self.order = order

    def permutation(self, x, axis=0):
        return self.order


SAME = bp.SGD(0.1, momentum=0.9)  # as `net` was trained by
ORDERS = {
    "out of range": [0, 1, 2, 3, 5],
    "far out of range": [0, 1, 2, 3, 10**9],
    "negative": [0, 1, 2, 3, -1],
    "one twice": [0, 1, 2, 3, 3],
    "too few": [0, 1, 2, 3],
    "too many": [0, 1, 2, 3, 4, 0],
    "floats": [0.0, 1.0, 2.0, 3.0, 4.0],
    "two axes": [[0, 1, 2, 3, 4]],
}


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_that_is_none(net, X, y, refuses, order):
    rng = Draws(np.array(ORDERS[order]))
    refuses(
        net, bp.ConfigError, "rng: its permutation(5) gave ...",
        lambda: net.fit(X, y, rng=rng, optimizer=SAME, batch_size=2),
    )  # fmt: skip


@pytest.mark.parametrize("order", [None, 3, [4, 3, 2, 1, 0]])
def test_an_order_that_is_no_array(net, X, y, refuses, order):
    refuses(
        net, bp.ConfigError, "rng: its permutation(5) gave ...; wanted 5 whole numbers",
        lambda: net.fit(X, y, rng=Draws(order), optimizer=SAME),
    )  # fmt: skip


def test_an_order_of_ones_own(make, X, y):
    nets = make(), make()
    nets[0].fit(
        X, y, rng=Draws(np.array([4, 2, 0, 1, 3], np.int32)), optimizer=SAME, batch_size=2, epochs=1
    )
    order = [4, 2, 0, 1, 3]
    nets[1].fit(X[order], y[order], optimizer=SAME, batch_size=2, epochs=1, shuffle=False)
    assert nets[0].flat.tobytes() == nets[1].flat.tobytes()


def test_params_are_not_replaced(net, refuses):
    refuses(
        net, bp.ConfigError, "net.params: got a dict in its place; wanted its arrays written...",
        lambda: setattr(net, "params", {"dense1.W": np.zeros((4, 3))}),
    )  # fmt: skip


def test_buffers_are_not_replaced(net, refuses):
    refuses(
        net, bp.ConfigError, "net.buffers: got a dict in its place; wanted its arrays written...",
        lambda: setattr(net, "buffers", {}),
    )  # fmt: skip

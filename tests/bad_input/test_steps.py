"""Steps after the first, which C takes as they come: what it cannot take, Python must still see.

Beside the network a twin takes every step the careful way; both keep the same bits.
"""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import fastbp as bp

OPTIMIZER = bp.SGD(0.1, momentum=0.9)
LOSSES = {"softmax_cross_entropy": 3, "sigmoid_cross_entropy": 3, "squared_error": 1}
OPTIMIZERS = [bp.SGD(0.1), bp.SGD(0.1, weight_decay=0.1), OPTIMIZER, bp.Adam(0.1)]


def data(loss="softmax_cross_entropy", dtype="float32", rows=5):
    rng = np.random.default_rng(rows)
    X = (rng.integers(-8, 8, (rows, 3)) / 4).astype(dtype)  # exact in both dtypes
    if loss == "softmax_cross_entropy":
        return X, rng.integers(0, 3, rows)
    return X, rng.integers(0, 2, (rows, LOSSES[loss])).astype(dtype)


@pytest.fixture
def careful(monkeypatch):
    """The arguments of every step that Python looked at."""
    seen, own = [], bp.Network._step_carefully

    def look(net, *arguments):
        seen.append(arguments)
        return own(net, *arguments)

    monkeypatch.setattr(bp.Network, "_step_carefully", look)
    return seen


def warm(loss="softmax_cross_entropy", dtype="float32", l2=0.0, optimizer=OPTIMIZER):
    """A network that has taken two steps, the second in C, and its twin."""
    net = bp.mlp([3, 4, LOSSES[loss]], loss=loss, dtype=dtype, l2=l2, rng=0)
    for _ in range(2):
        net.step(*data(loss, dtype), optimizer)
    return net, net.copy()


def by_hand(net, X, y, optimizer=OPTIMIZER, weight=None):
    """One step, the careful way."""
    return net._step_carefully(X, y, optimizer, weight)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_both_ways_give_the_same_bits(careful, snapshot, loss, dtype, l2, optimizer):
    net, twin = warm(loss, dtype, l2, optimizer)
    careful.clear()
    for rows in (5, 1, 4, 5, 2):
        X, y = data(loss, dtype, rows)
        got = net.step(X, y, optimizer)
        assert not careful
        assert got == by_hand(twin, X, y, optimizer)
        assert snapshot(net) == snapshot(twin)
        careful.clear()


def misaligned(array):
    memory = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    memory[...] = array
    return memory


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def spread(array):
    return np.repeat(array, 2, axis=0)[::2]


FORMS = {
    "list": np.ndarray.tolist,
    "Fortran order": np.asfortranarray,
    "not contiguous": spread,
    "backwards": lambda array: array[::-1].copy()[::-1],
    "misaligned": misaligned,
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "subclass": lambda array: array.view(type("Mine", (np.ndarray,), {})),
    "float64": np.float64,
    "int32": np.int32,
}


@pytest.mark.parametrize("which", ["X", "y"])
@pytest.mark.parametrize("form", FORMS)
def test_other_forms_of_the_same_numbers(careful, snapshot, form, which):
    (net, twin), (X, y) = warm(), data()
    X = np.round(X)
    careful.clear()
    odd = (FORMS[form](X), y) if which == "X" else (X, FORMS[form](y))
    got = net.step(*odd, OPTIMIZER)
    # one-dimensional y is contiguous in both orders
    assert len(careful) == ((form, which) != ("Fortran order", "y"))
    assert got == by_hand(twin, X, y)
    assert snapshot(net) == snapshot(twin)


@pytest.mark.parametrize("loss", LOSSES)
def test_read_only_data_are_taken_in_c(careful, snapshot, loss):
    (net, twin), (X, y) = warm(loss), data(loss)
    careful.clear()
    got = net.step(read_only(X), read_only(y), OPTIMIZER)
    assert not careful
    assert got == by_hand(twin, X, y)
    assert snapshot(net) == snapshot(twin)


def with_entry(array, value):
    array = array.copy()
    array[(3,) + (0,) * (array.ndim - 1)] = value
    return array


BAD = {
    "label too large": ({"y": lambda y: with_entry(y, 3)}, bp.LabelError, "y: got 3 at row 3..."),
    "label negative": ({"y": lambda y: with_entry(y, -1)}, bp.LabelError, "y: got -1 at row 3..."),
    "half a label": (
        {"y": lambda y: with_entry(y.astype(float), 0.5)}, bp.LabelError, "y: got 0.5..."),
    "nan": ({"X": lambda X: with_entry(X, np.nan)}, bp.NonFiniteError, "X: got nan at...3..."),
    "inf": ({"X": lambda X: with_entry(X, np.inf)}, bp.NonFiniteError, "X: got inf at...3..."),
    "-inf": ({"X": lambda X: with_entry(X, -np.inf)}, bp.NonFiniteError, "X: got -inf at...3..."),
    "no rows": ({"X": lambda X: X[:0], "y": lambda y: y[:0]}, bp.ShapeError, "X: got...0..."),
    "no rows in X": ({"X": lambda X: X[:0]}, bp.ShapeError, "X: got...0..."),
    "wrong width": ({"X": lambda X: X[:, :2].copy()}, bp.ShapeError, "X: got...2..."),
    "one dimension": ({"X": lambda X: X[0].copy()}, bp.ShapeError, "X: got..."),
    "y too short": ({"y": lambda y: y[:4].copy()}, bp.ShapeError, "y: got...4..."),
    "y too long": ({"y": lambda y: np.append(y, 0)}, bp.ShapeError, "y: got...6..."),
    "complex": ({"X": np.complex64}, bp.DtypeError, "X: got...complex64..."),
    "another optimizer": ({"optimizer": bp.Adam()}, bp.OptimizerError, "optimizer: got Adam..."),
    "other constants": (
        {"optimizer": bp.SGD(0.1, momentum=0.8)}, bp.OptimizerError, "optimizer: got SGD..."),
    "a class": ({"optimizer": bp.SGD}, bp.ConfigError, "optimizer: got..."),
    "None": ({"optimizer": None}, bp.ConfigError, "optimizer: got None..."),
}  # fmt: skip


def bad(changes, X, y):
    changes = dict(changes)
    optimizer = changes.pop("optimizer", OPTIMIZER)
    given = {"X": X, "y": y}
    given |= {name: change(given[name]) for name, change in changes.items()}
    return given["X"], given["y"], optimizer


@pytest.mark.parametrize("case", BAD)
def test_bad_steps_change_nothing(refuses, snapshot, case):
    (net, twin), (X, y) = warm(), data()
    changes, error, message = BAD[case]
    arguments = bad(changes, X, y)
    refuses(net, error, message, lambda: net.step(*arguments))
    assert net.step(X, y, OPTIMIZER) == by_hand(twin, X, y)
    assert snapshot(net) == snapshot(twin)


@pytest.mark.parametrize("loss", ["sigmoid_cross_entropy", "squared_error"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.5, -0.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bad_values(careful, refuses, snapshot, loss, value, dtype):
    (net, twin), (X, y) = warm(loss, dtype), data(loss, dtype)
    careful.clear()
    if loss == "squared_error" and np.isfinite(value):  # good ones
        assert net.step(X, with_entry(y, value), OPTIMIZER) == by_hand(
            twin, X, with_entry(y, value))  # fmt: skip
        assert len(careful) == 1  # the twin's
    else:
        error = bp.NonFiniteError if loss == "squared_error" else bp.LabelError
        if not np.isfinite(value):
            error = bp.NonFiniteError
        message = f"y: got {value} at...3..."
        refuses(net, error, message, lambda: net.step(X, with_entry(y, value), OPTIMIZER))
    assert snapshot(net) == snapshot(twin)


def one_array(net):
    arrays = net.optimizer_state.arrays
    arrays["v"] = arrays["v"] * 2


def written(net):
    net.flat[::3] = 0.25
    net.params["dense1.b"][:] = 1


CHANGES = {
    "no state": lambda net: net.reset_optimizer(),
    "a copy of the state": lambda net: setattr(
        net, "optimizer_state", copy.deepcopy(net.optimizer_state)),
    "other arrays": lambda net: setattr(net.optimizer_state, "arrays", {
        slot: array * 2 for slot, array in net.optimizer_state.arrays.items()}),
    "one other array": one_array,
    "other numbers in the state": lambda net: net.optimizer_state.arrays["v"].fill(0.5),
    "another count of steps": lambda net: setattr(net.optimizer_state, "steps", 7),
    "other parameters": written,
    "flat assigned": lambda net: setattr(net, "flat", net.flat / 2),
    "state_dict": lambda net: net.load_state_dict(bp.mlp([3, 4, 3], rng=5).state_dict()),
    "a larger batch": lambda net: net.predict(np.ones((700, 3))),
    "the loss of a larger batch": lambda net: net.loss(np.ones((9, 3)), [0] * 9),
    "gradients elsewhere": lambda net: net.loss_and_grad(*data(), np.ones(len(net.flat))),
    "gradients of a larger batch": lambda net: net.gradients(*data(rows=9)),
    "fit": lambda net: net.fit(*data(rows=9), optimizer=OPTIMIZER, epochs=2, batch_size=4, rng=0),
    "weights": lambda net: net.step(*data(), OPTIMIZER, sample_weight=[1, 2, 0, 1, 1]),
    "another rate": lambda net: net.step(*data(), bp.SGD(0.3, momentum=0.9)),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_steps_counts(snapshot, change):
    net, twin = warm()
    for _ in range(2):
        CHANGES[change](net)
        CHANGES[change](twin)
        for rows in (5, 8):
            X, y = data(rows=rows)
            assert net.step(X, y, bp.SGD(0.1, momentum=0.9)) == by_hand(twin, X, y)
            assert snapshot(net) == snapshot(twin)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_goes_its_own_way(snapshot, duplicate):
    net, _ = warm()
    other, before = duplicate(net), snapshot(net)
    X, y = data()
    losses = [other.step(X, y, OPTIMIZER) for _ in range(3)]
    assert snapshot(net) == before
    assert [net.step(X, y, OPTIMIZER) for _ in range(3)] == losses
    assert snapshot(net) == snapshot(other)


def diverged(net, snapshot, step):
    """The network before the step that failed, and the error's words."""
    for _ in range(100):
        before = snapshot(net)
        try:
            step(net)
        except bp.NonFiniteError as exc:
            return before, str(exc)
    raise AssertionError("it did not diverge")


def test_a_rate_far_too_large_stops_before_the_bad_step(snapshot):
    (X, y), rate = data("squared_error"), bp.SGD(1e6)
    net, twin = warm("squared_error", optimizer=rate)
    before, words = diverged(net, snapshot, lambda net: net.step(X, y, rate))
    assert "inf" in words or "nan" in words
    assert snapshot(net) == before
    assert np.isfinite(net.flat).all()
    assert diverged(twin, snapshot, lambda net: by_hand(net, X, y, rate)) == (before, words)
    assert snapshot(twin) == before

"""Training: step, fit's loop, its history, callbacks and progress, and Ctrl-C.

The laws of weights and minibatches are in test_laws.py.
"""

import contextlib
import io
import os
import pickle
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest

import fastbp as bp
from fastbp.losses import Loss

N = 10


class Recorded(Loss):
    """Squared error that notes the targets of every call: with y a row's number, who came when."""

    seen: list = []  # noqa: RUF012  (the class's, for a loss itself does not change)

    def loss_and_delta(self, a, targets, delta):
        if delta is not None:
            self.seen.append(targets[:, 0].astype(int).tolist())
            np.subtract(a, targets, out=delta)
        return ((a - targets) ** 2).sum(axis=1, dtype=np.float64) / 2


@pytest.fixture
def seen():
    Recorded.seen = []
    yield Recorded.seen
    Recorded.seen = []


@pytest.fixture
def X():
    return np.random.default_rng(1).normal(size=(N, 3))


@pytest.fixture
def y():
    return np.arange(N) % 2


def network(loss="softmax_cross_entropy", n_out=2, **settings):
    settings = {"dtype": "float64", "rng": 0} | settings
    return bp.mlp([3, 4, n_out], activation="tanh", loss=loss, **settings)


def state_of(net):
    """All that training changes, as bytes."""
    return pickle.dumps((net.flat, {**net.buffers}, net.optimizer_state, net._rng))


# One step


def test_step_returns_the_loss_before_the_update(X, y):
    net = network(l2=0.1)
    before = net.loss(X, y)
    loss = net.step(X, y, bp.SGD(0.1))
    assert isinstance(loss, float)
    assert loss == pytest.approx(before, rel=1e-14)
    assert net.loss(X, y) < before


def test_step_follows_the_gradient(X, y):
    net = network(l2=0.1)
    theta, g = net.flat.copy(), net.gradients(X, y, sample_weight=np.arange(N)).flat
    net.step(X, y, bp.SGD(0.25), sample_weight=np.arange(N))
    np.testing.assert_allclose(net.flat, theta - 0.25 * g, rtol=1e-13)
    assert net.optimizer_state.steps == 1


def test_a_loss_that_is_not_finite_stops_before_the_update(X, y):
    net = network()
    net.step(X, y, bp.Adam())
    net.flat[-1] = np.nan
    before = state_of(net)
    with pytest.raises(bp.NonFiniteError):
        net.step(X, y, bp.Adam())
    assert state_of(net) == before


def test_a_gradient_that_is_not_finite_stops_before_the_update():
    net = bp.mlp([1, 1, 1], activation="tanh", loss="squared_error", dtype="float32", rng=0)
    net.flat[...] = [1, 0, 1e30, 0]
    before = state_of(net)
    assert np.isfinite(net.loss([[1e-3]], [1.0]))  # about 1e54, but dW of layer 1 is past float32
    with pytest.raises(bp.NonFiniteError, match="inf"):
        net.step([[1e-3]], [1.0], bp.SGD(0.1, momentum=0.9))
    assert state_of(net) == before


# History


def test_history_has_an_entry_per_epoch(X, y):
    history = network().fit(X, y, epochs=4, batch_size=3, validation_data=(X, y))
    assert isinstance(history, bp.History)
    for name in ("loss", "val_loss", "val_accuracy", "seconds"):
        entries = getattr(history, name)
        assert len(entries) == 4
        assert all(type(entry) is float for entry in entries)
    assert all(0 <= seconds < 60 for seconds in history.seconds)
    assert bp.History() == bp.History([], [], [], [])


def test_loss_is_the_mean_over_the_minibatches_each_before_its_update(X, y):
    net, by_hand = network(l2=0.01), network(l2=0.01)
    history = net.fit(X, y, optimizer=bp.SGD(0.1), epochs=2, batch_size=4, shuffle=False)
    want = []
    for _ in range(2):
        losses = [
            by_hand.step(X[i : i + 4], y[i : i + 4], bp.SGD(0.1)) * len(X[i : i + 4])
            for i in range(0, N, 4)
        ]
        want.append(sum(losses) / N)
    np.testing.assert_allclose(history.loss, want, rtol=1e-13)
    np.testing.assert_allclose(net.flat, by_hand.flat, rtol=1e-12)


def test_validation_is_that_of_loss_and_predict_after_the_epoch(X, y):
    held_out = np.random.default_rng(7).normal(size=(40, 3))
    labels, weight = np.arange(40) % 2, np.linspace(0, 2, 40)  # one weight is 0
    net, seen = network(l2=0.1), []

    def note(net, history):
        right = net.predict(held_out) == labels
        seen.append(
            (
                net.loss(held_out, labels, sample_weight=weight),
                (weight * right).sum() / weight.sum(),
            )
        )

    history = net.fit(X, y, epochs=3, validation_data=(held_out, labels, weight), callbacks=[note])
    np.testing.assert_allclose(history.val_loss, [loss for loss, _ in seen], rtol=1e-13)
    np.testing.assert_allclose(history.val_accuracy, [share for _, share in seen], rtol=1e-13)


def test_accuracy_is_left_out_where_it_has_no_meaning(X):
    history = network("squared_error", 1).fit(X, X[:, 0], epochs=2, validation_data=[X, X[:, 0]])
    assert len(history.val_loss) == 2
    assert history.val_accuracy == []
    several = (X > 0).astype(int)
    history = network("sigmoid_cross_entropy", 3).fit(
        X, several, optimizer=bp.Adam(0.1), epochs=60, validation_data=(X, several)
    )
    assert history.val_accuracy[-1] == 1.0  # all labels of every row


def test_validation_does_not_change_the_training(X, y):
    nets = [network(), network()]
    nets[0].fit(X, y, epochs=3, batch_size=4)
    nets[1].fit(X, y, epochs=3, batch_size=4, validation_data=(X[:3], y[:3]))
    assert state_of(nets[0]) == state_of(nets[1])


def test_digits_are_learnt_from_the_default_settings():
    images, digits = bp.data.digits()
    train, held_out = bp.data.split(digits)
    net = bp.mlp([64, 32, 10], rng=0)
    validation = images[held_out], digits[held_out]
    history = net.fit(images[train], digits[train], validation_data=validation)
    assert history.val_accuracy[-1] > 0.9
    assert net.optimizer_state.name == "Adam"
    assert net.optimizer_state.steps == 20 * -(-len(train) // 64)


def test_the_network_keeps_the_history_of_its_last_fit(X, y):
    net, seen = network(), []
    assert net.history is None
    net.step(X, y, bp.Adam())
    assert net.history is None
    first = net.fit(X, y, epochs=2, callbacks=[lambda net, h: seen.append(net.history is h)])
    assert seen == [True, True]
    assert net.history is first
    with pytest.raises(bp.ConfigError):
        net.fit(X, y, epochs=0)
    assert net.history is first  # that fit did not begin
    assert net.fit(X, y, epochs=1) is net.history is not first


def test_history_survives_errors_and_ctrl_c(X, y):
    def stop(net, history):
        if len(history.loss) == 3:
            signal.raise_signal(signal.SIGINT)

    net = network()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=9, validation_data=(X, y), callbacks=[stop])
    assert [len(net.history.loss), len(net.history.val_loss)] == [3, 3]
    with pytest.raises(ZeroDivisionError):
        net.fit(X, y, epochs=9, callbacks=[lambda *_: fail("mine")])
    assert len(net.history.loss) == 1
    with pytest.raises(bp.NonFiniteError, match="epoch 2"):
        net.fit(X, y, epochs=9, batch_size=N, callbacks=[lambda net, _: net.flat.fill(np.nan)])
    assert len(net.history.loss) == 1


def test_history_is_not_kept_with_the_network(X, y, tmp_path):
    net = network()
    net.fit(X, y, epochs=1)
    net.save(tmp_path / "net.npz")
    for other in (net.copy(), pickle.loads(pickle.dumps(net)), bp.load(tmp_path / "net.npz")):
        assert other.history is None
    assert net.history is not None


# Callbacks


def test_callbacks_are_called_after_each_epoch(X, y):
    net, calls = network(), []

    def first(network, history):
        calls.append(("first", network is net, len(history.loss), len(history.val_loss)))

    def second(network, history):
        calls.append(("second", network.optimizer_state.steps))

    history = net.fit(
        X, y, epochs=2, batch_size=5, callbacks=(first, second), validation_data=(X, y)
    )
    assert calls == [
        ("first", True, 1, 1), ("second", 2), ("first", True, 2, 2), ("second", 4)
    ]  # fmt: skip
    assert len(history.seconds) == 2


def test_a_true_return_value_stops_after_all_have_been_called(X, y):
    calls = []

    def stop(net, history):
        calls.append("stop")
        return len(history.loss) == 3

    net = network()
    history = net.fit(X, y, epochs=50, callbacks=[stop, lambda net, history: calls.append("last")])
    assert len(history.loss) == len(history.seconds) == 3
    assert calls == ["stop", "last"] * 3
    assert net.optimizer_state.steps == 3


@pytest.mark.parametrize("said", [1, 12, "stop", [0], np.int64(1), np.ones(3), np.array(True), {}])
def test_only_a_bool_stops(X, y, said):
    """A callback that ends in file.write(...) returns a count, and is no wish to stop."""
    history = network().fit(X, y, epochs=3, callbacks=[lambda *_: said])
    assert len(history.loss) == 3


@pytest.mark.parametrize("kind", [bool, np.bool_])
def test_numpys_bool_stops_as_pythons_does(X, y, kind):
    history = network().fit(X, y, epochs=3, callbacks=[lambda *_: kind(False), lambda *_: None])
    assert len(history.loss) == 3
    history = network().fit(X, y, epochs=3, callbacks=[lambda *_: kind(True), lambda *_: None])
    assert len(history.loss) == 1
    history = network().fit(X, y, epochs=3, callbacks=[lambda net, h: np.min(h.loss) < np.inf])
    assert len(history.loss) == 1


def fail(words):
    raise ZeroDivisionError(words)


def test_an_error_in_a_callback_comes_through_and_the_epoch_stays(X, y):
    net, other = network(), network()
    with pytest.raises(ZeroDivisionError, match="mine"):
        net.fit(X, y, epochs=5, callbacks=[lambda *_: fail("mine")])
    other.fit(X, y, epochs=1)
    np.testing.assert_array_equal(net.flat, other.flat)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_callback_may_use_the_network(X, y):
    """It grows the plan's buffers, trains, and saves between two epochs."""
    net, other = network(), network()

    def busy(net, history):
        net.predict(np.ones((600, 3)))
        net.gradients(X, y)
        net.loss(X, y)
        net.copy()

    net.fit(X, y, epochs=3, batch_size=4, callbacks=[busy])
    other.fit(X, y, epochs=3, batch_size=4)
    np.testing.assert_array_equal(net.flat, other.flat)
    net.fit(X, y, epochs=2, callbacks=[lambda net, history: net.step(X, y, bp.Adam()) < 0])
    assert net.optimizer_state.steps == 9 + 4


@pytest.mark.parametrize("callbacks", [[None], [1], [print, "stop"]])
def test_callbacks_must_be_callable(X, y, callbacks):
    net = network()
    before = state_of(net)
    with pytest.raises(bp.ConfigError, match=r"callbacks: got .*; wanted callables"):
        net.fit(X, y, callbacks=callbacks)
    assert state_of(net) == before


@pytest.mark.parametrize("callbacks", [None, print, 3])
def test_callbacks_that_are_no_sequence(X, y, callbacks):
    with pytest.raises(bp.ConfigError, match="callbacks: got"):
        network().fit(X, y, epochs=1, callbacks=callbacks)


def test_a_generator_of_callbacks_works_or_is_refused(X, y):
    calls = []
    callbacks = (callback for callback in [lambda net, history: calls.append(1)])
    with contextlib.suppress(bp.ConfigError):
        network().fit(X, y, epochs=2, callbacks=callbacks)
        assert calls == [1, 1]


# Minibatches, order and generators


@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 64])
def test_every_row_comes_once_per_epoch(seen, X, batch_size):
    net = network(Recorded(), 1)
    net.fit(X, np.arange(N), epochs=3, batch_size=batch_size, rng=0)
    size = min(batch_size, N)
    steps = -(-N // size)
    assert len(seen) == 3 * steps == net.optimizer_state.steps
    orders = []
    for epoch in range(3):
        batches = seen[epoch * steps : (epoch + 1) * steps]
        assert [len(batch) for batch in batches[:-1]] == [size] * (steps - 1)
        assert len(batches[-1]) == N - size * (steps - 1)
        orders.append([row for batch in batches for row in batch])
        assert sorted(orders[-1]) == [*range(N)]
    assert len({tuple(order) for order in orders}) == 3  # another order each time


def test_rows_and_their_targets_stay_together(X):
    """With y = X w exactly, any mix-up of rows would leave a loss."""
    t, net = X @ [1.0, -2.0, 0.5], bp.mlp([3, 1], loss="squared_error", dtype="float64", rng=0)
    net.fit(X, t, optimizer=bp.SGD(0.1), epochs=1000, batch_size=3, sample_weight=np.arange(N) + 1)
    np.testing.assert_allclose(net.params["dense1.W"], [[1.0, -2.0, 0.5]], atol=1e-6)


def test_rows_targets_and_weights_are_shuffled_alike(X, y):
    weight, order = np.linspace(0.5, 3, N), np.random.default_rng(5).permutation(N)
    nets = [network(), network()]
    nets[0].fit(X, y, epochs=1, batch_size=3, sample_weight=weight, rng=5)
    nets[1].fit(
        X[order], y[order], epochs=1, batch_size=3, sample_weight=weight[order], shuffle=False
    )
    np.testing.assert_array_equal(nets[0].flat, nets[1].flat)


def test_without_shuffling_the_order_is_the_callers(seen, X):
    net = network(Recorded(), 1)
    generator = net._rng.bit_generator.state
    net.fit(X, np.arange(N), epochs=2, batch_size=4, shuffle=False)
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 2
    assert net._rng.bit_generator.state == generator


def test_rows_of_weight_0_never_come(seen, X):
    weight = np.ones(N)
    weight[[0, 4, 9]] = 0
    X[4] = np.nan
    net = network(Recorded(), 1)
    net.fit(X, np.arange(N), epochs=1, batch_size=3, sample_weight=weight, shuffle=False)
    assert seen == [[1, 2, 3], [5, 6, 7], [8]]


def test_rng_decides_on_the_order(X, y):
    def trained(rng):
        net = network()
        net.fit(X, y, epochs=3, batch_size=2, rng=rng)
        return net.flat

    seeds = (5, np.random.SeedSequence(5), np.random.default_rng(5))
    flats = [trained(seed) for seed in seeds]
    for flat in flats[1:]:
        np.testing.assert_array_equal(flat, flats[0])
    assert not np.array_equal(trained(6), flats[0])


def test_a_generator_handed_over_goes_on_and_the_networks_own_stays(X, y):
    rng, net = np.random.default_rng(5), network()
    own, before = net._rng.bit_generator.state, rng.bit_generator.state
    net.fit(X, y, epochs=1, rng=rng)
    assert rng.bit_generator.state != before
    assert net._rng.bit_generator.state == own
    net.fit(X, y, epochs=1)
    assert net._rng.bit_generator.state != own


@pytest.mark.parametrize("between", [None, "copy", "pickle"])
def test_two_fits_are_one_long_one(X, y, between):
    """The network's own generator and the optimizer's state go on where they were."""
    net, whole = network(), network()
    history = net.fit(X, y, epochs=2, batch_size=3)
    net.loss(X, y)
    net.gradients(X, y)
    if between == "copy":
        net = net.copy()
    if between == "pickle":
        net = pickle.loads(pickle.dumps(net))
    losses = history.loss + net.fit(X, y, epochs=3, batch_size=3).loss
    assert losses == whole.fit(X, y, epochs=5, batch_size=3).loss
    np.testing.assert_array_equal(net.flat, whole.flat)
    assert net.optimizer_state.steps == whole.optimizer_state.steps == 20


def test_steps_and_fits_share_the_optimizers_state(X, y):
    net, other = network(), network()
    net.step(X, y, bp.Adam(0.01))
    net.fit(X, y, optimizer=bp.Adam(0.01), epochs=1, batch_size=N, shuffle=False)
    net.step(X, y, bp.Adam(0.01))
    for _ in range(3):
        other.step(X, y, bp.Adam(0.01))
    np.testing.assert_allclose(net.flat, other.flat, rtol=1e-14)


def test_the_data_are_not_changed(X, y):
    weight = np.ones(N)
    before = X.copy(), y.copy()
    network().fit(X, y, epochs=2, batch_size=3, sample_weight=weight, validation_data=(X, y))
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])
    assert weight.all()


# What is refused, before anything changes


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"epochs": 0}, bp.ConfigError, "epochs: got 0; wanted a whole number >= 1"),
        ({"epochs": 2.0}, bp.ConfigError, "epochs: got 2.0"),
        ({"epochs": None}, bp.ConfigError, "epochs: got None"),
        ({"batch_size": 0}, bp.ConfigError, "batch_size: got 0; wanted a whole number >= 1"),
        ({"batch_size": True}, bp.ConfigError, "batch_size: got True"),
        ({"shuffle": 1}, bp.ConfigError, "shuffle: got 1; wanted True or False"),
        ({"rng": "seed"}, bp.DtypeError, "rng: got 'seed'; wanted None, an int, a SeedSequence or"),
        ({"rng": -1}, bp.ConfigError, "rng: got -1"),
        ({"rng": np.random.RandomState(0)}, bp.DtypeError, "rng: got RandomState"),
        ({"optimizer": bp.Adam}, bp.ConfigError, "optimizer: got <class"),
        ({"progress": "yes"}, bp.ConfigError, "progress: got 'yes'; wanted 'auto', True or False"),
        ({"progress": None}, bp.ConfigError, "progress: got None"),
        ({"validation_data": 3}, bp.ConfigError, r"validation_data: .*wanted \(X, y\) or"),
        (
            {"validation_data": ([[0.0] * 3],)},
            bp.ConfigError,
            r"validation_data: .*wanted \(X, y\)",
        ),
        ({"validation_data": ([[0.0] * 2], [0])}, bp.ShapeError, r"got shape \(1, 2\); wanted"),
        ({"validation_data": ([[0.0] * 3], [2])}, bp.LabelError, "got 2 at row 0"),
        ({"validation_data": ([[0.0] * 3], [0], [0])}, bp.ConfigError, "weights that sum to 0"),
        ({"validation_data": ([[np.nan] * 3], [0])}, bp.NonFiniteError, "got nan at row 0"),
        (
            {"sample_weight": np.zeros(N)},
            bp.ConfigError,
            "sample_weight: got weights that sum to 0",
        ),
        ({"sample_weight": -np.ones(N)}, bp.ConfigError, "sample_weight: got -1.0 at row 0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_arguments_change_nothing(X, y, arguments, error, words):
    net = network()
    net.step(X, y, bp.Adam())
    before = state_of(net)
    with pytest.raises(error, match=words):
        net.fit(X, y, **{"epochs": 1, **arguments})
    assert state_of(net) == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_loss_that_becomes_nan_names_epoch_and_step_and_stops_before_that_update():
    """Rows 4 to 7 are harmless until row 9 comes, in the third batch of four."""
    X = np.ones((12, 1))
    X[9] = 1e200
    net, twin = (bp.mlp([1, 1], loss="squared_error", dtype="float64", rng=0) for _ in range(2))
    settings = {"optimizer": bp.SGD(0.1, momentum=0.9), "batch_size": 4, "shuffle": False}
    with pytest.raises(bp.NonFiniteError, match=r"^epoch 1, step 3: "):
        net.fit(X, np.zeros(12), epochs=5, **settings)
    twin.fit(X[:8], np.zeros(8), epochs=1, **settings)
    np.testing.assert_allclose(net.flat, twin.flat, rtol=1e-13)
    assert net.optimizer_state.steps == 2
    np.testing.assert_allclose(net.optimizer_state.arrays["v"], twin.optimizer_state.arrays["v"])


def test_a_rate_far_too_large_ends_in_an_error_with_finite_parameters(X):
    net = network("squared_error", 1)
    with pytest.raises(bp.NonFiniteError, match=r"^epoch \d+, step \d+: "):
        net.fit(X, X[:, 0], optimizer=bp.SGD(1e6), epochs=300, batch_size=5)
    assert np.isfinite(net.flat).all()


# Progress


@pytest.fixture
def without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)


def test_silent_when_stderr_is_no_terminal(X, y, capfd):
    network().fit(X, y, epochs=2)
    network().fit(X, y, epochs=2, progress=False)
    assert capfd.readouterr() == ("", "")


def test_a_line_of_text_without_tqdm(X, y, capfd, without_tqdm):
    network().fit(X, y, epochs=2, batch_size=4, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("\rstep 1/6 epoch 1/2 loss 0.")
    assert "\n" not in err
    *_, last, end = err.split("\r")
    assert end == ""
    assert last.strip(" ") == ""  # it leaves an empty line
    assert len(last) >= len(err.split("\r")[1].rstrip())


def test_a_line_is_rewritten_ten_times_a_second_at_most(X, y, capfd, without_tqdm):
    started = time.monotonic()
    network().fit(X, y, epochs=200, batch_size=2, progress=True)
    seconds = time.monotonic() - started
    assert capfd.readouterr().err.count("step ") <= 10 * seconds + 2


def test_tqdms_bar_where_it_is_installed(X, y, capfd):
    pytest.importorskip("tqdm")
    network().fit(X, y, epochs=2, batch_size=4, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "/6" in err
    assert "step" in err
    assert err.split("\r")[-1].strip() == ""


@pytest.mark.parametrize("tqdm", [True, False])
def test_the_bar_is_closed_after_an_error(X, y, capfd, monkeypatch, tqdm):
    if tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ZeroDivisionError):
        network().fit(X, y, epochs=3, progress=True, callbacks=[lambda *_: fail("stop")])
    assert capfd.readouterr().err.split("\r")[-1].strip() == ""


def test_progress_does_not_change_the_training(X, y, capfd, without_tqdm):
    nets = [network(), network()]
    for net, progress in zip(nets, (True, False), strict=True):
        net.fit(X, y, epochs=3, batch_size=3, progress=progress)
    assert state_of(nets[0]) == state_of(nets[1])


def test_a_process_without_stderr(X, y, monkeypatch):
    """Where file descriptor 2 is closed at start, sys.stderr is None."""
    monkeypatch.setattr(sys, "stderr", None)
    network().fit(X, y, epochs=1)


def test_stderr_is_looked_up_when_fit_is_called(X, y, monkeypatch, without_tqdm):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for shown, stream in [(True, Terminal()), (False, io.StringIO())]:
        monkeypatch.setattr(sys, "stderr", stream)
        network().fit(X, y, epochs=2)
        assert ("step 1/2 epoch 1/2" in stream.getvalue()) == shown


TERMINAL = """
import sys
if {blocked}:
    sys.modules["tqdm"] = None
import numpy as np, fastbp as bp
net = bp.mlp([3, 2], rng=0)
net.fit(np.ones((8, 3)), np.arange(8) % 2, epochs=3, batch_size=2)
print("done")
"""


@pytest.mark.parametrize("tqdm", [True, False])
def test_auto_shows_itself_on_a_pseudo_terminal(tqdm):
    pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))
    if tqdm:
        pytest.importorskip("tqdm")
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    try:
        process = subprocess.run(
            [sys.executable, "-c", TERMINAL.format(blocked=not tqdm)],
            stdout=subprocess.PIPE, stderr=terminal, timeout=60, check=True,
        )  # fmt: skip
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # Linux reports the closed end this way
            while chunk := os.read(main, 4096):
                shown += chunk
    finally:
        os.close(main)
    assert process.stdout == b"done\n"
    assert b"/12" in shown
    assert b"loss 0." in shown or tqdm  # tqdm shows the first loss after a tenth of a second
    assert shown.split(b"\r")[-1].strip() == b""


NARROW = """
import sys, time
if {blocked}:
    sys.modules["tqdm"] = None
import numpy as np, fastbp as bp
net = bp.mlp([3, 1], loss="squared_error", dtype="float64", rng=0)
X = np.eye(3)
y = net.predict(X) + 1e-7
net.fit(X, y, optimizer=bp.SGD(1e-3), epochs=300, batch_size=1,
        callbacks=[lambda *_: time.sleep(0.002)])
"""


@pytest.mark.parametrize("columns", [0, 20, 40, 80])
@pytest.mark.parametrize("tqdm", [True, False])
def test_no_number_is_cut_on_a_narrow_terminal(tqdm, columns):
    """The losses are about 5e-15; without their exponent they would look like 5."""
    pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))
    if tqdm:
        pytest.importorskip("tqdm")
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", NARROW.format(blocked=not tqdm)], stderr=terminal
    ) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # Linux reports the closed end this way
            while chunk := os.read(main, 4096):
                shown += chunk
    os.close(main)
    assert process.returncode == 0
    frames = shown.decode().split("\r")
    assert all(len(frame.strip()) <= (columns or 80) for frame in frames)
    losses = [frame.partition("loss ")[2] for frame in frames if "loss" in frame]
    assert losses
    for loss in losses:
        assert re.match(r"\d(\.\d+)?e-1\d(:| *$)", loss), loss
    assert any("epoch" in frame for frame in frames) == (columns != 20)


# Notebooks


@pytest.fixture
def kernel(monkeypatch):
    """What a Jupyter kernel looks like from inside."""
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    return shell


def test_a_notebook_gets_tqdms_bar_for_notebooks(X, y, kernel, monkeypatch, capfd):
    made = []

    class Widget:
        def __init__(self, total, **_):
            made.append((total, [], []))

        def set_description_str(self, text, refresh):
            made[-1][1].append(text)

        def update(self, steps):
            made[-1][2].append(steps)

        def close(self):
            made[-1][2].append("closed")

    auto = types.ModuleType("tqdm.auto")
    auto.tqdm = Widget
    tqdm = types.ModuleType("tqdm")
    tqdm.auto = auto
    monkeypatch.setitem(sys.modules, "tqdm", tqdm)
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    network().fit(X, y, epochs=2, batch_size=5)
    network().fit(X, y, epochs=2, batch_size=5, progress=False)
    [(total, words, steps)] = made
    assert total == 4
    assert words[-1].startswith("epoch 2/2 loss 0.")
    assert steps.pop() == "closed"
    assert sum(steps) == 4


def test_a_notebook_without_tqdm_gets_a_line(X, y, kernel, capfd, without_tqdm):
    network().fit(X, y, epochs=2, batch_size=5)
    assert capfd.readouterr().err.startswith("\rstep ")


@pytest.mark.parametrize("shell", [None, types.SimpleNamespace()])
def test_ipython_without_a_kernel_is_no_notebook(X, y, monkeypatch, capfd, shell):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    network().fit(X, y, epochs=2)
    assert capfd.readouterr().err == ""


# Ctrl-C


def test_ctrl_c_stops_between_steps(X, y):
    """The signal comes while a callback runs; the step after it is not taken."""
    net, other = network(), network()

    def interrupt(net, history):
        if len(history.loss) == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=50, batch_size=4, callbacks=[interrupt])
    other.fit(X, y, epochs=2, batch_size=4)
    np.testing.assert_array_equal(net.flat, other.flat)
    assert net.optimizer_state.steps == 6
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    net.fit(X, y, epochs=1)  # it goes on from there


def test_ctrl_c_within_a_step_waits_for_its_end(X, seen):
    class Interrupting(Recorded):
        def loss_and_delta(self, a, targets, delta):
            if len(self.seen) == 4:
                signal.raise_signal(signal.SIGINT)
            return super().loss_and_delta(a, targets, delta)

    net, other = network(Interrupting(), 1), network(Recorded(), 1)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, np.arange(N), epochs=9, batch_size=4, rng=3)
    assert net.optimizer_state.steps == 5
    batches = [*seen]
    assert len(batches) == 5
    for rows in batches:
        other._update(
            bp.batch.Batch(X[rows], np.array(rows, float)[:, None], None, None, N),
            1 / len(rows),
            bp.Adam(),
        )
    np.testing.assert_allclose(net.flat, other.flat, rtol=1e-12)


def test_ctrl_c_in_the_last_step_of_an_epoch_comes_before_the_callbacks(X, seen):
    class Interrupting(Recorded):
        def loss_and_delta(self, a, targets, delta):
            if len(self.seen) == 2:
                signal.raise_signal(signal.SIGINT)
            return super().loss_and_delta(a, targets, delta)

    net, calls = network(Interrupting(), 1), []
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, np.arange(N), epochs=2, batch_size=4, callbacks=[lambda *_: calls.append(1)])
    assert net.optimizer_state.steps == 3
    assert calls == []


def test_ctrl_c_in_the_last_epoch_is_not_lost(X, y):
    net = network()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, epochs=1, callbacks=[lambda *_: signal.raise_signal(signal.SIGINT)])
    assert net.optimizer_state.steps == 1


def test_a_handler_of_ones_own_is_kept(X, y):
    calls, before = [], signal.getsignal(signal.SIGINT)

    def handler(number, frame):
        calls.append(number)

    signal.signal(signal.SIGINT, handler)
    try:
        history = network().fit(
            X, y, epochs=3, callbacks=[lambda *_: signal.raise_signal(signal.SIGINT)]
        )
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert calls == [signal.SIGINT] * 3
    assert len(history.loss) == 3


def test_other_threads_train_without_touching_signals(X, y):
    net, other, handlers = network(), network(), []
    thread = threading.Thread(
        target=net.fit,
        args=(X, y),
        kwargs={
            "epochs": 2,
            "callbacks": [lambda *_: handlers.append(signal.getsignal(signal.SIGINT))],
        },
    )
    thread.start()
    thread.join()
    other.fit(X, y, epochs=2)
    np.testing.assert_array_equal(net.flat, other.flat)
    assert handlers == [signal.default_int_handler] * 2


INTERRUPTED = """
import sys
import numpy as np, fastbp as bp

rng = np.random.default_rng(0)
X, y = rng.normal(size=(256, 64)), rng.integers(0, 10, 256)
net, replay = (bp.mlp([64, 512, 10], dtype="float64", rng=0) for _ in range(2))
epochs = []

def ready(net, history):
    if not epochs:
        print("ready", flush=True)
    epochs.append(1)

try:
    net.fit(X, y, epochs=10**6, batch_size=64, shuffle=False, callbacks=[ready])
except KeyboardInterrupt:
    steps = net.optimizer_state.steps
    for step in range(steps):
        i = 64 * (step % 4)
        replay.step(X[i:i + 64], y[i:i + 64], bp.Adam())
    same = all(
        np.array_equal(a, b)
        for a, b in [(net.flat, replay.flat),
                     (net.optimizer_state.arrays["m"], replay.optimizer_state.arrays["m"]),
                     (net.optimizer_state.arrays["v"], replay.optimizer_state.arrays["v"])]
    )
    print("whole steps" if same and steps >= 4 else f"half a step: {steps}", flush=True)
"""


def test_ctrl_c_from_outside_leaves_whole_steps(interrupted):
    done = interrupted(INTERRUPTED, 0.05)
    assert done.stdout == "whole steps\n"
    assert done.returncode == 0


def test_errors_in_validation_data_say_so():
    net = bp.mlp([3, 2], rng=0)
    X, y = np.ones((4, 3)), [0, 1, 1, 0]
    with pytest.raises(bp.LabelError, match=r"^validation_data: y: got 2 at row 1; wanted"):
        net.fit(X, y, validation_data=(X, [0, 2, 1, 0]))
    with pytest.raises(bp.ConfigError, match=r"^validation_data: got ndarray; wanted \(X, y\)"):
        net.fit(X, y, validation_data=X)


@pytest.mark.parametrize("how", ["goes on", "stops", "raises"])
def test_a_fit_inside_a_callback_leaves_the_outer_history_in_place(how):
    net, outer, inner, seen = bp.mlp([3, 4, 2], rng=0), [], [], []
    rows, labels = np.eye(3), np.array([0, 1, 1])

    def fits(net, history):
        outer.append(history)
        inner.append(net.fit(rows, labels, epochs=1, progress=False))
        assert net.history is inner[-1]
        if how == "raises":
            raise LookupError
        return how == "stops"

    def looks(net, history):
        seen.append(net.history)

    with contextlib.suppress(LookupError):
        net.fit(rows, labels, epochs=2, callbacks=[fits, looks], progress=False)
    assert net.history is outer[0]
    assert len(net.history.loss) == (2 if how == "goes on" else 1)
    assert all(history is outer[0] for history in [*outer, *seen])
    assert len(seen) == {"goes on": 2, "stops": 1, "raises": 0}[how]
    assert [len(history.loss) for history in inner] == [1] * len(outer)

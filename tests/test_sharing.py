"""Several Python threads that train: networks of their own, or one network in turns."""

import pickle
import sys
import threading
import time

import numpy as np
import pytest

import fastbp as bp


def at_once(*functions):
    """Run them in threads of their own, which start together; raise what they raise."""
    start, errors = threading.Barrier(len(functions)), []

    def run(function):
        try:
            start.wait()
            function()
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=run, args=(f,), daemon=True) for f in functions]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


# n_in, hidden, rows: a step that keeps Python's lock, one that lets go of it, one for the pool
SIZES = [(4, 16, 8), (64, 128, 32), (64, 256, 96)]


def problem(n_in, hidden, rows):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((rows, n_in)).astype("float32"), rng.integers(0, 3, rows)
    return X, y, lambda seed=0: bp.mlp([n_in, hidden, 3], rng=seed)


@pytest.mark.parametrize("sizes", SIZES)
def test_two_threads_train_two_networks_to_the_bits_of_one_after_the_other(sizes):
    X, y, make = problem(*sizes)

    def train(net):
        for _ in range(300):
            net.step(X, y, bp.SGD(0.05, momentum=0.9))
        net.fit(X, y, optimizer=bp.SGD(0.05, momentum=0.9), epochs=20, batch_size=7, rng=0)

    nets, others = [make(0), make(1)], [make(0), make(1)]
    with bp.thread_limit(2):
        at_once(*[lambda net=net: train(net) for net in nets])
    for net, other in zip(nets, others, strict=True):
        train(other)
        assert (net.flat == other.flat).all()


@pytest.mark.parametrize("sizes", SIZES)
def test_threads_that_step_one_network_take_turns(sizes):
    """All take the same step, so that the order does not matter and the bits are known."""
    X, y, make = problem(*sizes)
    net, other, optimizer = make(), make(), bp.Adam(0.01)
    Xs = [X, X.tolist(), X, np.asfortranarray(X)]  # C and Python by turns

    def steps(x):
        for _ in range(250):
            assert np.isfinite(net.step(x, y, optimizer))

    with bp.thread_limit(2):
        at_once(*[lambda x=x: steps(x) for x in Xs])
    for _ in range(1000):
        other.step(X, y, optimizer)
    assert net.optimizer_state.steps == 1000
    assert (net.flat == other.flat).all()


@pytest.mark.parametrize("sizes", SIZES)
def test_one_network_is_asked_while_it_trains(sizes):
    X, y, make = problem(*sizes)
    net, other, optimizer = make(), make(), bp.Adam(0.01)
    going = threading.Event()

    def fit(net):
        net.fit(X, y, optimizer=optimizer, epochs=400, batch_size=len(X), shuffle=False)

    def train():
        try:
            fit(net)
        finally:
            going.set()

    def ask():
        large, turn = np.tile(X, (3, 1)), 0
        while turn < 5 or not going.is_set():
            turn += 1
            rows = large[: 1 + turn % len(large)]
            assert np.isfinite(net.predict_proba(rows)).all()
            assert np.isfinite(net.loss(X, y))
            assert np.isfinite(net.gradients(X, y).flat).all()
            assert np.isfinite(net.loss_and_grad(X, y)[1]).all()

    with bp.thread_limit(2):
        at_once(train, ask, ask)
    fit(other)
    assert net.optimizer_state.steps == 400
    assert (net.flat == other.flat).all()


@pytest.mark.parametrize("sizes", SIZES)
def test_fit_and_steps_share_one_network(sizes):
    X, y, make = problem(*sizes)
    net, other, optimizer = make(), make(), bp.SGD(0.05, momentum=0.9)

    def fit():
        net.fit(X, y, optimizer=optimizer, epochs=200, batch_size=len(X), shuffle=False)

    def steps():
        for _ in range(200):
            assert np.isfinite(net.step(X, y, optimizer))

    with bp.thread_limit(2):
        at_once(fit, steps, steps)
    for _ in range(600):
        other.step(X, y, optimizer)
    assert net.optimizer_state.steps == 600
    # fit's scale, N / (rows total), is the mean's, but for its last bit
    np.testing.assert_allclose(net.flat, other.flat, rtol=1e-4, atol=1e-5)


def test_a_thread_that_steps_in_a_loop_lets_others_have_their_turn():
    """It is back before a thread that waits is awake: the lock is handed over, not let go."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((256, 784)).astype("float32"), rng.integers(0, 10, 256)
    net, optimizer = bp.mlp([784, 512, 10], rng=0), bp.SGD(1e-3)
    net.step(X, y, optimizer)
    counts, until, waited = [0, 0, 0], time.monotonic() + 3, []

    def loop(number):
        while time.monotonic() < until:
            net.step(X, y, optimizer)
            counts[number] += 1

    def ask():
        while time.monotonic() < until:
            began = time.monotonic()
            net.predict(X[:1])
            waited.append(time.monotonic() - began)
            time.sleep(0.05)

    with bp.thread_limit(1):
        at_once(ask, *[lambda number=number: loop(number) for number in range(3)])
    assert min(counts) > max(counts) / 3, counts
    assert len(waited) > 3
    assert max(waited) < 1.5


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_what_a_gradients_derives_is_formed_once_whoever_asks(l2):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((64, 200)), rng.integers(0, 10, 64)
    weight = np.r_[0.0, np.ones(63)]
    net = bp.mlp([200, 100, 10], dtype="float64", l2=l2, rng=0)
    make = lambda: net.gradients(X, y, sample_weight=weight)  # noqa: E731
    whole = make()
    wanted = [whole.W[1].tobytes(), whole.flat.tobytes(), whole.a[1].tobytes()]
    for _ in range(60):
        g, got = make(), []

        def read(g=g, got=got):
            got.append((g.W[1], g.W[1].tobytes(), g.flat.tobytes(), g.a[1], g.a[1].tobytes()))

        at_once(read, read, read)
        for W, W_bits, flat_bits, a, a_bits in got:
            assert [W_bits, flat_bits, a_bits] == wanted
            assert W is got[0][0]
            assert a is got[0][3]


def test_a_network_is_pickled_copied_and_read_between_two_steps():
    """Parameters and momentum are of one step: with rate 1 a step takes the momentum off theta."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((96, 64)).astype("float32"), rng.integers(0, 10, 96)
    net, optimizer = bp.mlp([64, 256, 10], rng=0), bp.SGD(1e-2, momentum=0.9)
    replay = net.copy()
    of_steps, done = [None], threading.Event()
    for _ in range(400):
        replay.step(X, y, optimizer)
        state = replay.optimizer_state
        of_steps.append((replay.flat.tobytes(), state.arrays["v"].tobytes()))
    seen = set()

    def train():
        for _ in range(400):
            net.step(X, y, optimizer)
        done.set()

    def look():
        while not done.is_set():
            for twin in (net.copy(), pickle.loads(pickle.dumps(net))):
                state = twin.optimizer_state
                if state is not None:
                    got = twin.flat.tobytes(), state.arrays["v"].tobytes()
                    assert got == of_steps[state.steps]
                    seen.add(state.steps)

    with bp.thread_limit(2):
        at_once(train, look)
    assert len(seen) > 3

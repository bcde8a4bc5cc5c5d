"""Training where a process forks, is interrupted, has one CPU, or has several Python threads.

What may hang runs in a process of its own, which has a minute.
"""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import fastbp as bp

# large enough for several threads of the pool: 96 * (64 * 256 + 256 * 10) multiply-adds
LARGE = """
import os, signal, threading, time, warnings
import numpy as np, fastbp as bp
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 advises against a fork
rng = np.random.default_rng(0)
X, y = rng.standard_normal((96, 64)).astype("float32"), rng.integers(0, 10, 96)
def made(seed=0):
    return bp.mlp([64, 256, 10], rng=seed)
def trained(net, steps=3):
    for _ in range(steps):
        net.step(X, y, bp.Adam(0.01))
    return net
"""


def test_a_forked_child_trains_to_the_same_bits_a_hundred_times(python):
    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    code = """
wanted = made()
net = made()
with bp.thread_limit(3):
    for turn in range(100):
        trained(net, 1)
        assert len(os.listdir('/proc/self/task')) == 3  # helpers took part
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.alarm(20)  # ends a child that hangs
                trained(net, 2)
                net.fit(X, y, optimizer=bp.Adam(0.01), epochs=1, shuffle=False, progress=False)
                helpers = len(os.listdir('/proc/self/task')) - 1
                code = 0 if helpers == 2 and (turn % 25 or same(net, turn)) else 2
            finally:
                os._exit(code)
        status = os.waitpid(pid, 0)[1]
        assert status == 0, f"child {turn} ended with {status:#x}"
print("fine")
"""
    same = """
def same(net, turn):
    with bp.thread_limit(1):
        other = trained(made(), turn + 3)
        other.fit(X, y, optimizer=bp.Adam(0.01), epochs=1, shuffle=False, progress=False)
    return (other.flat == net.flat).all()
"""
    done = python(LARGE + same + code, OPENBLAS_NUM_THREADS="1")  # whose threads count too
    assert done.stdout == "fine\n", done.stderr


def test_one_cpu_trains_to_the_same_bits(python):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("the system has no sched_setaffinity")
    pin = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    show = "print(trained(made(), 20).flat.tobytes().hex())"
    one = python(pin + LARGE + "from fastbp.kernels.threads import num_threads\n"
                 "assert num_threads() == 1\n" + show, check=True)  # fmt: skip
    many = python(LARGE + "bp.thread_limit(4).__enter__()\n" + show, check=True)
    pinned = python(pin + LARGE + "bp.thread_limit(4).__enter__()\n" + show, check=True)
    assert one.stdout == many.stdout == pinned.stdout


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


INTERRUPTED = """
import numpy as np, fastbp as bp
rng = np.random.default_rng(0)
X, y = rng.standard_normal((200_000, 8)).astype("float32"), rng.integers(0, 3, 200_000)
net, replay = (bp.mlp([8, 16, 3], rng=0) for _ in range(2))
print("ready", flush=True)
try:
    net.fit(X, y, optimizer=bp.SGD(0.01), epochs=10**6, batch_size=8, shuffle=False)
except KeyboardInterrupt:
    pass
for step in range(net.optimizer_state.steps):
    i = 8 * (step % 25_000)
    replay.step(X[i:i + 8], y[i:i + 8], bp.SGD(0.01))
print(net.optimizer_state.steps, np.array_equal(net.flat, replay.flat), flush=True)
"""


def test_ctrl_c_in_a_long_epoch_of_small_steps_comes_between_two():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    steps, same = out.split()
    assert int(steps) > 0
    assert same == "True"

"""Training where the process forks, has one CPU, or is interrupted.

What may hang runs in a process of its own, which has a minute.
"""

import os

import pytest

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


# A layer in which a step stands still until it may leave.
WAITS = """
import threading
import numpy as np, fastbp as bp
entered, leave = threading.Event(), threading.Event()
class Waits(bp.ReLU):
    def forward(self, params, x, y, ctx):
        entered.set()
        leave.wait()
        np.maximum(x, 0, out=y)
"""


def test_a_child_forked_while_another_thread_is_in_a_step(python):
    """It does not wait for a thread that it does not have, nor forget what its own one holds."""
    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    code = """
net = bp.Network(64, [bp.Dense(8), Waits(), bp.Dense(10)], rng=0)
other = threading.Thread(target=lambda: net.step(X, y, bp.SGD(0.1)))
other.start()
entered.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(20)  # ends a child that hangs
    leave.set()
    net.step(X, y, bp.SGD(0.1))
    with net._lock:
        grandchild = os.fork()
        net.step(X, y, bp.SGD(0.1))
    if grandchild:
        assert os.waitpid(grandchild, 0)[1] == 0
    os._exit(0)
status = os.waitpid(pid, 0)[1]
leave.set()
other.join()
assert status == 0, f"the child ended with {status:#x}"
print("fine")
"""
    done = python(LARGE + WAITS + code)
    assert done.stdout == "fine\n", done.stderr


def test_new_threads_of_a_child_do_not_take_the_place_of_its_parents(python):
    """The system gives a child's first thread the identity that the parent's other thread had."""
    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    code = """
net = bp.Network(64, [bp.Dense(256), Waits(), bp.Dense(10)], rng=0)
other = threading.Thread(target=lambda: net.step(X, y, bp.SGD(0.1)))
other.start()
entered.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(20)  # ends a child that hangs
    inside, most = 0, 0
    class Counts(bp.ReLU):
        def forward(self, params, x, y, ctx):
            global inside, most
            inside += 1
            most = max(most, inside)
            time.sleep(0.001)
            np.maximum(x, 0, out=y)
            inside -= 1
    leave.set()
    Waits.forward = Counts.forward
    def steps():
        for _ in range(20):
            net.step(X, y, bp.SGD(0.1))
    threads = [threading.Thread(target=steps) for _ in range(3)]
    for thread in threads:
        thread.start()
    steps()
    for thread in threads:
        thread.join()
    os._exit(0 if (most, net._lock.depth, net.optimizer_state.steps) == (1, 0, 80) else 3)
status = os.waitpid(pid, 0)[1]
leave.set()
other.join()
assert status == 0, f"the child ended with {status:#x}"
print("fine")
"""
    done = python(LARGE + WAITS + code)
    assert done.stdout == "fine\n", done.stderr


def test_one_cpu_trains_to_the_same_bits(python):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("the system has no sched_setaffinity")
    pin = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    show = "print(trained(made(), 20).flat.tobytes().hex())"
    one = python(pin + LARGE + "from fastbp.threads.pool import num_threads\n"
                 "assert num_threads() == 1\n" + show, check=True)  # fmt: skip
    many = python(LARGE + "bp.thread_limit(4).__enter__()\n" + show, check=True)
    pinned = python(pin + LARGE + "bp.thread_limit(4).__enter__()\n" + show, check=True)
    assert one.stdout == many.stdout == pinned.stdout


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


def test_ctrl_c_in_a_long_epoch_of_small_steps_comes_between_two(interrupted):
    steps, same = interrupted(INTERRUPTED, 0.2).stdout.split()
    assert int(steps) > 0
    assert same == "True"


def test_ctrl_c_while_waiting_for_another_threads_step(interrupted):
    """What waited has changed nothing, and the network goes on afterwards."""
    code = """
net = bp.Network(4, [bp.Dense(8), Waits(), bp.Dense(3)], rng=0)
X, y = np.eye(4, dtype="float32"), [0, 1, 2, 0]
other = threading.Thread(target=lambda: net.step(X, y, bp.SGD(0.1)))
other.start()
entered.wait()
print("ready", flush=True)
try:
    net.step(X, y, bp.SGD(0.1))
except KeyboardInterrupt:
    leave.set()
    other.join()
    net.step(X, y, bp.SGD(0.1))
    print(net.optimizer_state.steps)
"""
    assert interrupted(WAITS + code, 0.2).stdout.split() == ["2"]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("optimizer", ["bp.Adam(0.01)", "bp.SGD(0.1, momentum=0.9)", "Own(0.1)"])
@pytest.mark.parametrize("rows", ["X", "X.tolist()"])
def test_ctrl_c_in_a_step_comes_before_all_of_it_or_after(python, rows, optimizer, first):
    """Weights, the optimizer's state and its count are those of whole steps, each time."""
    code = f"""
class Own(bp.optimizers.Optimizer):
    def __init__(self, lr):
        self.lr = lr
    @property
    def slots(self):
        return ("seen",)
    def update(self, theta, grad, state):
        state.arrays["seen"] += grad
        theta -= self.lr * state.arrays["seen"]
X, y = X[:8], y[:8]
x, optimizer = {rows}, {optimizer}
net = made()
if not {first}:
    net.step(x, y, optimizer)
took = 1.0
for _ in range(5):  # the shortest: this machine may have been busy
    after = net.copy()
    began = time.perf_counter()
    after.step(x, y, optimizer)
    took = min(took, time.perf_counter() - began)
def all_of(net):
    state = net.optimizer_state
    arrays = {{}} if state is None else {{n: a.tobytes() for n, a in state.arrays.items()}}
    return net.flat.tobytes(), state and state.steps, arrays
whole = all_of(net), all_of(after)
signal.signal(signal.SIGALRM, signal.default_int_handler)
seen = [0, 0]
for turn in range(150):
    one = net.copy()
    try:
        signal.setitimer(signal.ITIMER_REAL, took * (0.02 + (turn % 50) / 40), 2)
        one.step(x, y, optimizer)
        while True:  # it came too late for the step
            pass
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert all_of(one) in whole, turn
    seen[whole.index(all_of(one))] += 1
print("fine", min(seen) > 0)
"""
    done = python(LARGE + code)
    assert done.stdout.split() == ["fine", "True"], done.stdout + done.stderr


def test_ctrl_c_leaves_no_lock_and_no_limit_behind(python):
    """Wherever it comes, and though its traceback is kept, as it is in a notebook."""
    code = """
from fastbp.threads.pool import num_threads
X, y = X[:4], y[:4]
net, kept, usual = made(), [], num_threads()
def limited():
    with bp.thread_limit(1):
        pass
signal.signal(signal.SIGALRM, signal.default_int_handler)
rng = np.random.default_rng(0)
for call in (lambda: net.predict(X), lambda: net.loss_and_grad(X, y), limited):
    for turn in range(400):
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(2e-5, 4e-4), 2)
            while True:
                call()
        except KeyboardInterrupt as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            kept = error
        assert net._lock.depth == 0, turn
        assert num_threads() == usual, turn
print("fine")
"""
    done = python(LARGE + code)
    assert done.stdout == "fine\n", done.stderr


@pytest.mark.parametrize("child", ["returns", "predicts and raises"])
def test_a_fork_in_a_signal_handler_while_its_thread_waits_for_the_network(python, child):
    """The child has no queue to wait in, and its network is free for it and its new threads."""
    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    code = f"""
class Out(BaseException):  # no failure of a part, in which the handler may run
    pass
net, stop, pids, parent = made(), False, [], os.getpid()
big = np.tile(X, (40, 1))
def work():
    while not stop:
        net.loss_and_grad(big, np.tile(y, 40))
def fork(*_):
    if os.getpid() == parent and len(pids) < 6:
        pid = os.fork()
        if pid:
            pids.append(pid)
            return
        signal.alarm(20)  # ends a child that hangs
        if {child == "predicts and raises"}:
            net.predict(X[:1])
            raise Out
workers = [threading.Thread(target=work) for _ in range(2)]
for worker in workers:
    worker.start()
signal.signal(signal.SIGUSR1, fork)
def send():  # the next when the one before has been answered: handlers would nest
    for number in range(6):
        time.sleep(0.02)
        os.kill(parent, signal.SIGUSR1)
        while len(pids) == number:
            time.sleep(0.01)
sender = threading.Thread(target=send)
try:
    sender.start()
    while os.getpid() == parent and len(pids) < 6:
        net.predict(X[:1])
except Out:
    pass
if os.getpid() != parent:
    other = threading.Thread(target=lambda: net.step(X, y, bp.SGD(0.1)))
    other.start()
    net.predict(X[:1])
    other.join()
    os._exit(0 if net._lock.depth == 0 else 3)
stop = True
for thread in (*workers, sender):
    thread.join()
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * len(pids)
print("fine")
"""
    done = python(LARGE + code)
    assert done.stdout == "fine\n", done.stderr


@pytest.mark.parametrize("child", ["returns", "raises"])
def test_a_fork_in_a_signal_handler_when_the_lock_has_just_been_handed_over(python, child):
    """The thread that waits is given it between the signal and its handler, which forks."""
    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    code = f"""
import sys
class Out(BaseException):
    pass
net, started, parent, pids = made(), threading.Event(), os.getpid(), []
def fork(*_):
    pid = os.fork()
    if pid:
        pids.append(pid)
    else:
        signal.alarm(20)
        if {child == "raises"}:
            raise Out
def work():
    with net._lock:
        started.set()
        time.sleep(0.2)  # the main thread waits by now
        os.kill(parent, signal.SIGUSR1)
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:  # its wait has been interrupted; Python's lock is here
            pass
signal.signal(signal.SIGUSR1, fork)
sys.setswitchinterval(10)
worker = threading.Thread(target=work)
worker.start()
started.wait()
try:
    net.predict(X[:1])
except Out:
    pass
if os.getpid() != parent:
    os._exit(3 if net._lock.depth else 0)
worker.join()
assert len(pids) == 1
assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 0
assert net._lock.depth == 0
print("fine")
"""
    done = python(LARGE + code)
    assert done.stdout == "fine\n", done.stderr

"""The pool: every part once, whatever happens around it: forks, signals, one CPU, no more threads.

What may hang runs in a process of its own, which has a minute.
"""

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import fastbp as bp
from fastbp.threads.pool import run_parts, shares, warm_helpers

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "fastbp" / "threads" / "src"


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("parts", [1, 2, 3, 64, 1000])
def test_every_part_runs_once_a_round(threads, parts):
    seen = run_parts(threads, parts, rounds=50)
    np.testing.assert_array_equal(seen[:, 0], 50)
    assert seen[:, 1].max() < min(threads, parts)
    assert seen[:, 1].min() >= 0


def test_helpers_take_part():
    for _ in range(200):  # until one was quick enough; the caller waits for none of them
        if run_parts(2, 64, work=20000)[:, 1].any():
            return
    pytest.fail("no part ran on a helper")


def test_one_thread_is_the_caller():
    assert not run_parts(1, 64, work=1000)[:, 1].any()


@pytest.mark.parametrize("threads", [2, 5])
def test_a_job_inside_a_task_runs_on_one_thread(threads):
    seen = run_parts(threads, 16, inner=100, rounds=100)
    np.testing.assert_array_equal(seen[:, 0], 100 * 100)  # the inner count is not atomic


def test_shares():
    np.testing.assert_array_equal(shares(1), [0, 1])
    upto = shares(40)
    assert upto.shape == (41,)
    assert (np.diff(upto) > 0).all()
    assert (upto[0], upto[-1]) == (0, 1)


def test_two_threads_call_at_once():
    bad = []

    def work(threads):
        for parts in range(1, 300):
            if (run_parts(threads, parts, work=50, rounds=20)[:, 0] != 20).any():
                bad.append(parts)

    callers = [threading.Thread(target=work, args=(threads,)) for threads in (2, 3, 4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
        assert not caller.is_alive()
    assert not bad


def test_helpers_fall_asleep():
    run_parts(2, 4)
    for _ in range(100):
        time.sleep(0.01)
        if warm_helpers() == 0:
            return
    pytest.fail("helpers are still awake after a second without work")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"threads": 0}, "threads"), ({"threads": 1025}, "threads"), ({"parts": 0}, "parts"),
        ({"work": -1}, "work"), ({"inner": 1.5}, "inner"), ({"rounds": -1}, "rounds"),
    ],
)  # fmt: skip
def test_bad_arguments(arguments, named):
    with pytest.raises(bp.ConfigError, match=f"^{named}: got "):
        run_parts(**({"threads": 2, "parts": 2} | arguments))


# In processes of their own


def test_no_thread_before_the_first_job(python):
    code = """
import fastbp as bp, os
from fastbp.threads.pool import run_parts, warm_helpers
def count():
    return len(os.listdir("/proc/self/task"))
before = count()
run_parts(1, 8)
run_parts(8, 1)
assert count() == before and warm_helpers() == 0
run_parts(3, 8)
assert count() == before + 2, (count(), before)
print("fine")  # and the process ends, although helpers spin
"""
    if not Path("/proc/self/task").exists():
        pytest.skip("the system has no /proc/self/task")
    done = python(code)
    assert (done.stdout, done.returncode) == ("fine\n", 0), done.stderr


def test_a_process_ends_while_another_thread_is_in_the_pool(python):
    code = """
import threading, time
from fastbp.threads.pool import run_parts
threading.Thread(target=run_parts, args=(3, 64), kwargs=dict(rounds=10**9), daemon=True).start()
time.sleep(0.1)
print("end", flush=True)
"""
    done = python(code)
    assert (done.stdout, done.returncode) == ("end\n", 0), done.stderr


FORKS = """
import os, signal, threading, warnings
from fastbp.threads.pool import run_parts, warm_helpers
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 advises against just this

def fork():
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(20)  # ends a child that hangs
            assert warm_helpers() == 0
            code = int((run_parts(3, 16, work=100, rounds=50)[:, 0] != 50).any())
            if len(os.listdir("/proc/self/task")) != 3:
                code = 2
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if status:
        print(f"the child ended with {status:#x}", flush=True)
        os._exit(1)
"""


def test_train_fork_train_a_hundred_times(python):
    code = FORKS + "for _ in range(100):\n    run_parts(3, 16, work=100)\n    fork()\nprint('fine')"
    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    done = python(code)
    assert done.stdout == "fine\n", done.stderr


def test_a_fork_while_another_thread_is_in_the_pool(python):
    code = (
        FORKS
        + """
going = True
def work():
    while going:
        run_parts(3, 16, work=100, rounds=20)
other = threading.Thread(target=work)
other.start()
for _ in range(50):
    fork()
going = False
other.join()
print("fine")
"""
    )
    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    done = python(code)
    assert done.stdout == "fine\n", done.stderr


def test_one_cpu(python):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("the system has no sched_setaffinity")
    code = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from fastbp.threads.pool import num_threads, run_parts
assert num_threads() == 1
assert (run_parts(4, 100, work=100, rounds=1000)[:, 0] == 1000).all()
print("fine")
"""
    done = python(code)
    assert done.stdout == "fine\n", done.stderr


def test_ctrl_c_reaches_the_main_thread_while_helpers_are_awake(python):
    code = """
import os, signal, threading
from fastbp.threads.pool import run_parts
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
caught = 0
for _ in range(20):
    try:
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
        while True:
            run_parts(3, 8, work=100)
    except KeyboardInterrupt:
        caught += 1
print(caught)
for line in (line for task in os.listdir("/proc/self/task")
             for line in open(f"/proc/self/task/{task}/status")):
    if line.startswith("Name:"):
        name = line.split()[1]
    if line.startswith("SigBlk:") and name == "fastbp":
        print(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)
"""
    if not Path("/proc/self/task").exists():
        pytest.skip("the system has no /proc/self/task")
    done = python(code)
    assert done.stdout.split() == ["20", "1", "1"], done.stderr


def test_when_the_system_gives_no_thread(python):
    code = """
import resource
from fastbp.threads.pool import run_parts
run_parts(1, 8)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000, resource.RLIM_INFINITY))
seen = run_parts(4, 100, rounds=10)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
assert (seen[:, 0] == 10).all() and not seen[:, 1].any()
print("alone")
assert (run_parts(4, 100, rounds=10)[:, 0] == 10).all()
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("the system has no /proc/self/statm")
    done = python(code)
    assert (done.stdout.strip(), done.returncode) == ("alone", 0), done.stderr


def test_sleeping_helpers_cost_nothing(python):
    """A second of sleep after a job costs less CPU than a tenth of it: nobody spins on."""
    code = """
import time
from fastbp.threads.pool import run_parts, warm_helpers
run_parts(3, 64, work=1000)
while warm_helpers():
    time.sleep(0.001)
before = time.process_time()
time.sleep(1)
assert time.process_time() - before < 0.1
print("fine")
"""
    done = python(code)
    assert done.stdout == "fine\n", done.stderr


# From C, under sanitisers


def built(folder, *flags):
    """The driver beside this file, compiled; skips where it cannot be."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    if not SOURCES.is_dir():
        pytest.skip("no C sources: this is an installed package")
    program = folder / "pool_stress"
    files = [
        HERE / "pool_stress.c",
        *(SOURCES / f"{name}.c" for name in ("pool", "speeds", "workspace")),
    ]
    command = [compiler, "-std=gnu11", "-O1", "-g", "-pthread", *flags, f"-I{SOURCES}", *files]
    done = subprocess.run(
        [*command, "-o", program, "-lm"], capture_output=True, text=True, check=False
    )
    if done.returncode and flags:
        pytest.skip(f"no {flags[0]} here: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize("sanitiser", [None, "thread", "address,undefined"])
def test_from_c(tmp_path, sanitiser):
    program = built(tmp_path, *([f"-fsanitize={sanitiser}"] if sanitiser else []))
    done = subprocess.run(
        [program, "20000"], capture_output=True, text=True, timeout=60, check=False
    )
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("the thread sanitiser does not run on this system")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_floating_point_modes_of_the_caller_reach_the_helpers(tmp_path):
    program = built(tmp_path)
    done = subprocess.run(
        [program, "modes"], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode == 77:
        pytest.skip("the processor's floating-point mode is unknown to fastbp")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("what", ["own", "slow"], ids=["its_own_parts", "less_where_it_is_slower"])
def test_a_thread_gets(tmp_path, what):
    done = subprocess.run(
        [built(tmp_path), what], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr

"""How often a step asks the C library for memory, counted by functions put before the library's.

The counted steps run in a Python process of their own, with count_malloc.c preloaded. Python takes
its small objects, such as the loss that comes back, from memory it already has: they do not count.
"""

import atexit
import functools
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import fastbp as bp

from .common import assert_network, problem

SOURCE = Path(__file__).with_name("count_malloc.c")
OPTIMIZERS = {
    "SGD": "bp.SGD(1e-3)",
    "momentum": "bp.SGD(1e-3, momentum=0.9)",
    "Adam": "bp.Adam(1e-3)",
}
# In front: the network, its data, and the two functions of the preloaded library.
START = """
import ctypes, itertools, json, sys
import numpy as np
import fastbp as bp
job = json.loads(sys.argv[1])
counter = ctypes.CDLL(None)
start, stop = counter.start_counting, counter.stop_counting
stop.restype = ctypes.c_long
rng = np.random.default_rng(0)
net = bp.mlp(job["sizes"], dtype="float32", rng=0)
X = rng.standard_normal((job["rows"], job["sizes"][0]), dtype="f4")
y = rng.integers(0, job["sizes"][-1], job["rows"])
optimizer = eval(job["optimizer"])
"""
STEP = """
def run(times):
    for _ in itertools.repeat(None, times):
        net.step(X, y, optimizer)
with bp.thread_limit(job["threads"]):
    run(100)
    start()
    run(job["times"])
    print(stop())
"""
# The third epoch, between the callbacks that the second and the third end with. No look at Ctrl-C
# comes between: when it comes depends on the time.
FIT = """
import fastbp.training.loop
fastbp.training.loop.BETWEEN_LOOKS = 1e9
def count(net, history):
    if len(history.loss) == 2:
        start()
    elif len(history.loss) == 3:
        print(stop())
with bp.thread_limit(job["threads"]):
    net.fit(X, y, optimizer=optimizer, epochs=3, batch_size=job["batch_size"], rng=0,
            callbacks=[count], progress=False)
"""
NOTHING = "start(); print(stop())"
ONE = "start(); memory = bytearray(100_000); print(stop())"


class MallocCalls:
    """Calls of malloc and its like, and of mmap, of a step after the first hundred; float32."""

    version = "1"
    params = (("4-16-3/1", "64-64-10/32", "784-256-128-10/64"), tuple(OPTIMIZERS), (1, 2))
    param_names = ("net/batch", "optimizer", "threads")
    unit = "calls per step"

    def setup(self, net, optimizer, threads):
        assert_counter()
        if not hasattr(bp, "thread_limit"):
            raise NotImplementedError("this fastbp has no thread_limit")
        network, X, y = problem(net, "float32")
        assert_network(network, X, y)
        sizes, rows = net.split("/")
        self.job = {
            "sizes": [int(n) for n in sizes.split("-")],
            "rows": int(rows),
            "optimizer": OPTIMIZERS[optimizer],
            "threads": threads,
        }

    def track_malloc_calls_per_step(self, *_):
        return counted(STEP, self.job | {"times": 1000}) / 1000

    def track_malloc_calls_per_step_of_fit(self, *_):
        """What 90 more steps in an epoch add to its calls, for each of them."""
        rows = self.job["rows"]
        few, many = (
            counted(FIT, self.job | {"rows": rows * steps, "batch_size": rows})
            for steps in (10, 100)
        )
        return (many - few) / 90


def counted(code, job):
    """The calls that `code` prints, in a process with the counter before the C library."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONMALLOC", "PYTHONDEVMODE")}
    done = subprocess.run(
        [sys.executable, "-c", START + code, json.dumps(job)],
        env=kept | {"LD_PRELOAD": str(library())}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the process that counts failed: {done.stderr}")
    return int(done.stdout)


@functools.cache
def assert_counter():
    """Raise unless nothing counts as nothing and a large object as one call."""
    job = {"sizes": [4, 3], "rows": 1, "optimizer": "None"}
    counts = counted(NOTHING, job), counted(ONE, job)
    if counts != (0, 1):
        raise AssertionError(f"counter: nothing and one object count as {counts}")


@functools.cache
def library():
    """Where count_malloc.c stands compiled."""
    if platform.libc_ver()[0] != "glibc":
        raise NotImplementedError("calls are counted on Linux with glibc alone")
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        raise NotImplementedError(f"there is no C compiler: {compiler[0]}")
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    target = Path(folder) / "count_malloc.so"
    flags = ["-std=gnu11", "-O2", "-fPIC", "-shared"]
    subprocess.run([*compiler, *flags, str(SOURCE), "-o", str(target)], check=True)
    return target

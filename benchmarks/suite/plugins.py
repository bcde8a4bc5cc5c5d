"""What the way through a plugin costs, beside the built-in parts and beside doing without."""

import ast
import ctypes
import functools
import os
import shlex
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np

import fastbp as bp
from fastbp import reference

from .common import assert_equal, normal, ratio
from .imports import CODE

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "fastbp" / "kernels" / "src"
INCLUDE = [f"-I{folder}" for folder in (SOURCES, ROOT / "fastbp" / "threads" / "src")]
# fastbp tells its own library which instruction set is in use; this one takes the best.
BEST = """
#include "isa.h"
__attribute__((constructor)) static void take_the_best(void) { isa_use(isa_best()); }
"""
SGD = bp.SGD(1e-3)
DISTRIBUTIONS = 200


class BuiltinSourcesAsPlugin:
    """A training step with the built-in parts' sources in a library of their own.

    The same C files with the same flags as the built-in ones; what is left is the way there.
    """

    version = "1"
    params = (("64-64-10/32", "784-256-128-10/64"), ("relu", "tanh"), ("float32", "float64"))
    param_names = ("net/batch", "activation", "dtype")
    unit = "times built-in"

    def setup(self, net, activation, dtype):
        sizes, batch = net.split("/")
        sizes, batch = [int(n) for n in sizes.split("-")], int(batch)
        self.X = normal(batch, sizes[0], dtype=dtype)
        self.y = np.random.default_rng(1).integers(0, sizes[-1], batch)
        plugin, loss = plugin_parts(activation)
        self.builtin = bp.mlp(sizes, activation=activation, dtype=dtype, rng=0)
        self.plugin = bp.mlp(sizes, activation=plugin, loss=loss, dtype=dtype, rng=0)
        got = bp.Network(sizes[0], [plugin], loss="squared_error", dtype=dtype).forward(self.X)
        want = getattr(reference, f"{activation}_forward")(self.X.astype("f8"))
        assert_equal("h", got, want)
        for net in (self.builtin, self.plugin):
            net.step(self.X, self.y, SGD)
        if self.plugin.flat.tobytes() != self.builtin.flat.tobytes():
            raise AssertionError("step: the plugin's parameters are not those of the built-in")

    def track_step_over_builtin(self, *_):
        return ratio(
            lambda: self.plugin.step(self.X, self.y, SGD),
            lambda: self.builtin.step(self.X, self.y, SGD),
            seconds=1.0,
        )


class PythonLayer:
    """What a call of a layer written in Python costs beyond what it does itself.

    Ten such layers in a network, less the network without them, less direct calls of their
    functions on arrays of that size.
    """

    version = "1"
    params = ((1, 32),)
    param_names = ("batch",)
    unit = "microseconds"
    layers = 10

    def setup(self, batch):
        self.X, self.y = normal(batch, 8, dtype="float32"), np.zeros(batch, np.int64)
        dense = bp.Dense(8)
        self.bare = bp.Network(8, [dense], rng=0)
        self.layer = PythonReLU()
        self.net = bp.Network(8, [dense, *[self.layer] * self.layers], rng=0)
        a, h = self.bare.forward(self.X), np.empty_like(self.X)
        want = reference.relu_forward(a.astype("f8"))
        assert_equal("h", self.net.forward(self.X), want)
        self.out = np.empty_like(a)
        self.own_forward = functools.partial(self.layer.forward, {}, a, h, None)
        self.own_backward = functools.partial(
            self.layer.backward, {}, a, h, np.ones_like(a), np.empty_like(a), {}, None
        )

    def track_forward(self, *_):
        return self._extra(lambda net: net.forward(self.X, out=self.out), self.own_forward)

    def track_forward_and_backward(self, *_):
        own = self.own_forward, self.own_backward
        return self._extra(lambda net: net.step(self.X, self.y, SGD), *own)

    def _extra(self, call, *own):
        def extra():
            more = seconds(lambda: call(self.net)) - seconds(lambda: call(self.bare))
            return more / self.layers - sum(map(seconds, own))

        return 1e6 * statistics.median(extra() for _ in range(51))


class Available:
    """`plugins.available` with 200 distributions installed, beyond one look at what is there."""

    version = "1"
    unit = "milliseconds"

    def track_available_over_entry_points(self):
        with tempfile.TemporaryDirectory() as folder:
            distributions(folder)
            return float(fresh(AVAILABLE, PYTHONPATH=folder))


class ImportBesidePlugins:
    """`import fastbp` with 200 distributions installed, beside the import without them."""

    version = "1"
    unit = "times the import without them"

    def track_import(self):
        code = CODE.format("fastbp")
        with tempfile.TemporaryDirectory() as full, tempfile.TemporaryDirectory() as empty:
            distributions(full)
            return statistics.median(
                float(fresh(code, PYTHONPATH=full)) / float(fresh(code, PYTHONPATH=empty))
                for _ in range(15)
            )


class PythonReLU(bp.layers.Elementwise):
    def f(self, x, y):
        np.maximum(x, 0, out=y)

    def df(self, x, y, out):
        np.greater(y, 0, out=out)


def plugin_parts(activation):
    """(layer, loss) whose capsules hand out tables of the plugin's library."""
    library = compiled("relu", "tanh", "softmax_cross_entropy")
    new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    new = new(("PyCapsule_New", ctypes.pythonapi))

    def capsule(symbol, name):
        return new(ctypes.addressof(ctypes.c_char.in_dll(library, symbol)), name, None)

    class Activation(bp.plugins.get("layer", activation)):
        def __fastbp_elementwise__(self):
            return capsule(f"fastbp_{activation}", b"fastbp.elementwise_v1")

    class SoftmaxCrossEntropy(bp.SoftmaxCrossEntropy):
        def __fastbp_loss__(self):
            return capsule("fastbp_softmax_cross_entropy", b"fastbp.loss_v1")

    return Activation(), SoftmaxCrossEntropy()


@functools.cache
def compiled(*names):
    """A shared library of these built-in sources, made as setup.py makes extensions."""
    config = sysconfig.get_config_vars()
    flags = shlex.split(f"{config['CFLAGS']} {config['CCSHARED']}") + setup_flags()
    sources = [str(SOURCES / f"{name}.c") for name in (*names, "isa")]
    include = f"-I{bp.get_include()}", *INCLUDE
    with tempfile.TemporaryDirectory() as folder:
        library, best = Path(folder) / "plugin.so", Path(folder) / "best.c"
        best.write_text(BEST, encoding="utf-8")
        command = [*shlex.split(config["CC"]), "-shared", *flags, *include, *sources, str(best)]
        subprocess.run([*command, "-lm", "-o", str(library)], check=True)
        return ctypes.CDLL(str(library))


def setup_flags():
    """COMPILE_ARGS of setup.py, without FASTBP_DEBUG."""
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "COMPILE_ARGS":
            return eval(compile(ast.Expression(node.value), "setup.py", "eval"), {"DEBUG": False})
    raise AssertionError("setup.py has no COMPILE_ARGS")


def distributions(folder):
    """As many installed packages with a layer and a loss each; their modules do not exist."""
    for i in range(DISTRIBUTIONS):
        info = Path(folder) / f"acme_{i}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{i}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            f"[fastbp.layers]\npart{i} = acme_{i}:Layer\n[fastbp.losses]\npart{i} = acme_{i}:Loss\n"
        )


AVAILABLE = f"""
import importlib, statistics, time
from importlib.metadata import entry_points
import fastbp as bp

def timed(function):
    bp.plugins.refresh()  # the file system's answers are not kept either
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result

def extra():
    ours, names = timed(lambda: bp.plugins.available("layer"))
    theirs, points = timed(lambda: entry_points(group="fastbp.layers"))
    assert len([name for name in names if name.startswith("part")]) == {DISTRIBUTIONS}
    return ours - theirs

print(1e3 * statistics.median(extra() for _ in range(21)))
"""


def fresh(code, **environment):
    """What a fresh interpreter prints that sees installed packages only (-P)."""
    command = [sys.executable, "-P", "-c", code]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def seconds(function, calls=200):
    """Time of one call."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls

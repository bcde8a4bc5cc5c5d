"""What several test files share: an error measure, and bridges from networks to the reference."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastbp as bp


def relative_error(got, want):
    """max|got - want| / max|want| of two arrays; where all of `want` is 0, max|got|."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, f"got shape {got.shape}, wanted {want.shape}"
    if want.size == 0:
        return 0.0
    error = np.abs(got.astype(np.longdouble) - want)
    scale = np.abs(want).max()
    return float(error.max() / (scale if scale > 0 else 1))


def layers_of(net, dtype=np.longdouble):
    """A network's layers in the reference's form [(W, b, g), ...], views where dtype allows."""
    layers, k = [], 0
    for layer in net.layers:
        if isinstance(layer, bp.Dense):
            k += 1
            b = net.params[f"dense{k}.b"].astype(dtype, copy=False) if layer.bias else None
            layers.append((net.params[f"dense{k}.W"].astype(dtype, copy=False), b, None))
        else:
            W, b, g = layers[-1]
            assert g is None, "the reference has one activation after each dense layer"
            layers[-1] = (W, b, type(layer).__name__.lower())
    return layers


def quantities(g):
    """Every gradient of the lecture by name, from Gradients and from the reference alike."""
    named = {"loss": np.asarray(g.loss), "y_hat": g.y_hat, "x": g.x}
    for symbol in "ahWb":
        named |= {f"{symbol}[{k}]": array for k, array in getattr(g, symbol).items()}
    return named


def python(code, *, check=False, seconds=60, **variables):
    """Run code in a new process that has a minute and no variable that limits threads but these."""
    env = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")} | variables
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=env, capture_output=True, text=True, timeout=seconds, check=check,
    )  # fmt: skip


PROGRAMS = Path(__file__).parent / "programs"


def program(name, *arguments, check=False, **variables):
    """Run tests/programs/name.py as `python` runs code; it has three minutes."""
    argv = [name, *arguments]
    path = str(PROGRAMS / f"{name}.py")
    code = f"import runpy, sys; sys.argv = {argv!r}; runpy.run_path({path!r}, run_name='__main__')"
    return python(code, check=check, seconds=180, **variables)


def interrupted(code, seconds):
    """Run code in a new process that gets Ctrl-C so many seconds after it has printed "ready"."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out)


@pytest.fixture(scope="session")
def torch():
    """PyTorch, an oracle where it is installed; where FASTBP_NEEDS_ORACLES is set, it has to be."""
    if os.environ.get("FASTBP_NEEDS_ORACLES"):
        return importlib.import_module("torch")
    return pytest.importorskip("torch", reason="PyTorch is not installed (the extra test-peers)")


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c():
    """Ctrl-C as Python has it, for this process and its children.

    A shell that starts the tests in the background, or under `trap '' INT`, has it ignored.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", name="interrupted")
def _interrupted():
    return interrupted


@pytest.fixture(scope="session", name="python")
def _python():
    return python


@pytest.fixture(scope="session", name="program")
def _program():
    return program


@pytest.fixture(scope="session", name="relative_error")
def _relative_error():
    return relative_error


@pytest.fixture(scope="session", name="layers_of")
def _layers_of():
    return layers_of


@pytest.fixture(scope="session", name="quantities")
def _quantities():
    return quantities


@pytest.fixture
def mazur():
    """Matt Mazur's "A Step by Step Backpropagation Example": 2-2-2, sigmoid after both layers."""
    layers = [bp.Dense(2), bp.Sigmoid(), bp.Dense(2), bp.Sigmoid()]
    net = bp.Network(2, layers, loss="squared_error", dtype="float64")
    net.params["dense1.W"] = [[0.15, 0.20], [0.25, 0.30]]
    net.params["dense1.b"] = [0.35, 0.35]
    net.params["dense2.W"] = [[0.40, 0.45], [0.50, 0.55]]
    net.params["dense2.b"] = [0.60, 0.60]
    return net, np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])

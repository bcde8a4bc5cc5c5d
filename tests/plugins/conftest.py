"""Temporary distributions as real ones: modules and a .dist-info folder on sys.path.

Tests write a part's source as text, `install` it under a distribution's name and version, and ask
for it by name, as a user would.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import fastbp as bp
from fastbp import plugins
from fastbp.registry import entries, loading

# What a test's module may use without importing it.
HEAD = """
import numpy as np
import fastbp as bp
from fastbp.layers import Elementwise, Layer, LayerSpec
from fastbp.losses import Loss
"""

# Parts that work: the least that a plugin's author writes.
LEAKY = """
class Leaky(Elementwise):
    def __init__(self, slope=0.25, name=None):
        self.slope, self.name = slope, name

    def f(self, x, y):
        np.multiply(x, np.where(x > 0, 1, self.slope), out=y)

    def df(self, x, y, out):
        out[...] = np.where(x > 0, 1, self.slope)
"""
HUBER = """
class Huber(Loss):
    def __init__(self, width=1.0):
        self.width = width

    def loss_and_delta(self, a, targets, delta):
        gap = a - targets
        slope = np.clip(gap, -self.width, self.width)
        if delta is not None:
            delta[...] = slope
        return np.sum(slope * (gap - slope / 2), axis=1, dtype=np.float64)
"""

# A layer with a parameter and a buffer, and a loss, which run ORDERS[function]() when it is due.
FAILING = """
ORDERS = {}


def obey(function, **names):
    action, countdown = ORDERS.get(function, (None, 0))
    if action is not None:
        ORDERS[function] = action, countdown - 1
        if countdown == 0:
            return action(**names)


class Scale(Layer):
    def build(self, n_in, dtype):
        given = obey("build")
        return LayerSpec(n_in, {"gamma": (n_in,)}, {"seen": (1,)}) if given is None else given

    def init(self, params, rng, gain=1.0):
        params["gamma"][...] = 1
        obey("init", params=params)

    def forward(self, params, x, y, ctx):
        np.multiply(x, params["gamma"], out=y)
        if ctx.training:
            ctx.buffers["seen"] += len(x)
        obey("forward", params=params, x=x, y=y, ctx=ctx)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            np.multiply(dy, params["gamma"], out=dx)
        np.einsum("nj,nj->j", dy, x, out=grads["gamma"])
        obey("backward", grads=grads, dy=dy, dx=dx)


class Squares(Loss):
    def loss_and_delta(self, a, targets, delta):
        gap = a - targets
        if delta is not None:
            delta[...] = gap
        losses = np.sum(gap * gap, axis=1, dtype=np.float64) / 2
        given = obey("loss_and_delta", a=a, losses=losses)
        return losses if given is None else given

    def target_width(self, n_out):
        obey("target_width")
        return n_out

    def check_targets(self, y, n_out, dtype, rows=None):
        y = super().check_targets(y, n_out, dtype, rows)
        if "check_targets" in ORDERS:
            return obey("check_targets", y=y)
        return y

    def y_hat(self, a, out):
        obey("y_hat")
        out[...] = a

    def y_hat_gradient(self, a, targets, out):
        obey("y_hat_gradient")
        out[...] = a - targets

    def decide(self, y_hat):
        obey("decide")
        return y_hat

    def correct(self, y_hat, targets):
        obey("correct")
        return None
"""


class Site:
    """A folder of installed packages."""

    def __init__(self, path):
        self.path = path

    def install(self, name, version="1.0", source=None, *, refresh=True, **entries):
        """Write a distribution; `entries` are layers={name: value} and losses={name: value}.

        `source` becomes the module of the distribution's name, with underscores.
        """
        stem = re.sub("[-.]", "_", name)
        if source is not None:
            self.write(f"{stem}.py", HEAD + textwrap.dedent(source))
        info = self.path / f"{stem}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = []
        for group, table in entries.items():
            lines += [f"[fastbp.{group}]", *(f"{key} = {value}" for key, value in table.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        if refresh:
            plugins.refresh()
        return info

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def leaky(self, version="1.0", name="acme-leaky"):
        stem = name.replace("-", "_")
        return self.install(name, version, LEAKY, layers={"leaky": f"{stem}:Leaky"})

    def huber(self, version="1.0", name="acme-huber"):
        stem = name.replace("-", "_")
        return self.install(name, version, HUBER, losses={"huber": f"{stem}:Huber"})

    def forget_modules(self):
        """As a fresh process would: no module of these packages has been imported."""
        for name, module in list(sys.modules.items()):
            if str(self.path) in (getattr(module, "__file__", None) or ""):
                del sys.modules[name]

    def run(self, code, **environment):
        """The output of a fresh interpreter that has these packages; its warnings are errors."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
            cwd=self.path,
            env={**os.environ, "PYTHONPATH": str(self.path), **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A Site on sys.path; what was imported and loaded from it goes with it."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.setattr(sys, "path", [str(path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # sources change within a second
    monkeypatch.delenv("FASTBP_DISABLE_PLUGINS", raising=False)
    plugins.refresh()
    site = Site(path)
    yield site
    site.forget_modules()
    # each test's distributions look the same to the next one's
    loading.loaded.clear()
    entries.warned.clear()
    monkeypatch.undo()
    plugins.refresh()


def bits(net):
    """All that training changes, for exact comparison."""
    state = net.optimizer_state
    return (
        net.flat.tobytes(),
        {name: array.tobytes() for name, array in net.buffers.items()},
        net._rng.bit_generator.state,
        state and (state.steps, {name: a.tobytes() for name, a in state.arrays.items()}),
    )


@pytest.fixture(name="bits")
def _bits():
    return bits


@pytest.fixture
def data():
    """(X, y) for 3 inputs and 2 classes."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((12, 3)).astype(np.float32), rng.integers(0, 2, 12)


@pytest.fixture
def plugin_error():
    """plugin_error(function, *words): it raises PluginError with all these words; returns it."""

    def check(function, *words):
        with pytest.raises(bp.PluginError) as caught:
            function()
        assert isinstance(caught.value, ImportError)
        for word in words:
            assert word in str(caught.value), f"{word!r} is not in {caught.value}"
        return caught.value

    return check


@pytest.fixture
def fails_in_epoch(bits, data):
    """fails_in_epoch(net, calls, order, error, *words): `fit` fails after `calls` good steps.

    `order()` makes the part fail from then on, and the error of class `error` has all words. The
    parameters, buffers, optimizer state and generator are as they were after the last good step,
    and when the part is well again, training goes on from there.
    """
    X, y = data[0], np.stack([data[1], 1 - data[1]], axis=1).astype(float)
    adam = bp.Adam(0.01)

    def check(net, calls, order, error, *words):
        twin = net.copy()
        for start in range(0, 4 * calls, 4):
            if start % 12 == 0:
                rows = twin._rng.permutation(12)
            batch = rows[start % 12 : start % 12 + 4]
            twin.step(X[batch], y[batch], adam)
        if calls % 3 == 0:
            twin._rng.permutation(12)
        undo = order(calls)
        with pytest.raises(error) as caught:
            net.fit(X, y, optimizer=adam, epochs=2, batch_size=4, progress=False)
        for word in words:
            assert word in str(caught.value), f"{word!r} is not in {caught.value}"
        assert bits(net) == bits(twin)
        undo()
        assert net.step(X, y, adam) == twin.step(X, y, adam)
        assert bits(net) == bits(twin)
        return caught.value

    return check


@pytest.fixture
def order(site):
    """order(function, action, calls): what that function does from now on; () to undo it."""
    site.install(
        "acme-py",
        "4.0",
        FAILING,
        layers={"scale": "acme_py:Scale"},
        losses={"squares": "acme_py:Squares"},
    )
    orders = __import__("acme_py").ORDERS

    def order(function=None, action=None, calls=0):
        orders.clear()
        if function is not None:
            orders[function] = action, calls

    return order

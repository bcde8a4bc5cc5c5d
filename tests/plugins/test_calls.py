"""Python functions that fail while a network runs: who, why, and everything as before the step."""

import asyncio
import sys

import numpy as np
import pytest

import fastbp as bp
from fastbp import registry

LAYER = "layer 'scale' = acme_py:Scale of acme-py 4.0"
LOSS = "loss 'squares' = acme_py:Squares of acme-py 4.0"
ENTRY = {"forward": LAYER, "backward": LAYER, "loss_and_delta": LOSS, "build": LAYER, "init": LAYER}


def make(dtype="float32"):
    layers = [bp.Dense(4), bp.Tanh(), "scale", bp.Dense(2)]
    return bp.Network(3, layers, loss="squares", dtype=dtype, rng=0)


@pytest.fixture(params=["float32", "float64"])
def net(request, order):
    return make(request.param)


def fail(error):
    def action(**names):
        raise error

    return action


class Odd(Exception):
    pass


FAILURES = {
    "ValueError": ValueError("no luck"),
    "KeyError": KeyError("gamma"),
    "an error of fastbp's own": bp.ShapeError("a: got shape (3,)"),  # from a kernel it called
    "another exception": Odd("no luck"),
    "SystemExit": SystemExit(3),
    "StopIteration": StopIteration("no luck"),
}


@pytest.mark.parametrize("exc", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("function", ["forward", "loss_and_delta", "backward"])
@pytest.mark.parametrize("calls", [0, 3, 4])
def test_an_exception_in_the_middle_of_training(net, order, fails_in_epoch, function, exc, calls):
    def give(calls):
        order(function, fail(exc), calls)
        return order

    words = f"{function} failed ({type(exc).__name__}: {exc})"
    error = fails_in_epoch(net, calls, give, bp.PluginCallError, ENTRY[function], words)
    assert error.__cause__ is exc


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("function", ["forward", "loss_and_delta", "backward"])
def test_what_is_nobodys_fault_passes(net, order, fails_in_epoch, function, error):
    def give(calls):
        order(function, fail(error()), calls)
        return order

    fails_in_epoch(net, 4, give, error)


WRONG = {  # what a loss may return instead of float64 (rows,)
    "float32": lambda a, losses: losses.astype(np.float32),
    "a column": lambda a, losses: losses[:, None],
    "one number": lambda a, losses: losses.sum(),
    "too few": lambda a, losses: losses[:-1],
    "a list": lambda a, losses: losses.tolist(),
    "text": lambda a, losses: "losses",
    "complex": lambda a, losses: losses + 1j,
}


@pytest.mark.parametrize("action", WRONG.values(), ids=WRONG)
def test_a_loss_of_a_wrong_shape_or_dtype(net, order, fails_in_epoch, action):
    def give(calls):
        order("loss_and_delta", action, calls)
        return order

    words = "loss_and_delta failed (TypeError: it returned ", "a float64 array of shape (4,)"
    fails_in_epoch(net, 4, give, bp.PluginCallError, LOSS, *words)


def into(name, value):
    """Write `value` into one of the host's arrays."""

    def action(**names):
        target = names[name]
        if isinstance(target, dict):
            target = target["gamma"]
        target[...] = value(target) if callable(value) else value

    return action


@pytest.mark.parametrize(("function", "name"), [("forward", "y"), ("backward", "dx")])
def test_an_output_of_a_wrong_shape(net, order, fails_in_epoch, function, name):
    def give(calls):
        order(function, into(name, lambda y: np.ones((len(y) + 1, 7))), calls)
        return order

    fails_in_epoch(net, 4, give, bp.PluginCallError, LAYER, f"{function} failed (ValueError: could")


NANS = {
    "y": ("forward", into("y", np.nan)),
    "one of y": ("forward", lambda y, **names: y.__setitem__((-1, 0), np.nan)),
    "y, infinite": ("forward", into("y", np.inf)),
    "losses": ("loss_and_delta", into("losses", np.nan)),
    "dx": ("backward", into("dx", np.nan)),
    "dx, infinite": ("backward", into("dx", -np.inf)),
    "grads": ("backward", into("grads", np.nan)),
}


@pytest.mark.parametrize(("function", "action"), NANS.values(), ids=NANS)
def test_nan_in_the_middle_of_training(net, order, fails_in_epoch, function, action):
    def give(calls):
        order(function, action, calls)
        return order

    fails_in_epoch(net, 4, give, bp.NonFiniteError, "epoch 2, step 2: ", ENTRY[function])


@pytest.mark.parametrize("name", ["params", "x"])
def test_what_is_not_the_parts_cannot_be_written(net, order, fails_in_epoch, name):
    """Parameters and inputs are read-only during a call."""

    def give(calls):
        order("forward", into(name, 7), calls)
        return order

    fails_in_epoch(net, 4, give, bp.PluginCallError, LAYER, "read-only")


def test_a_failure_leaves_other_networks_alone(net, order, data, site):
    site.leaky()
    other = bp.mlp([3, 4, 2], activation="leaky", rng=0)
    want = other.copy().fit(*data, epochs=3).loss
    order("backward", fail(Odd()))
    with pytest.raises(bp.PluginCallError):
        net.step(np.ones((3, 3)), np.ones((3, 2)), bp.SGD(0.1))
    assert other.fit(*data, epochs=3).loss == want


class Stopped(bp.SquaredError):
    """A loss during whose look at the targets something happens."""

    happens = None

    def check_targets(self, y, n_out, dtype, rows=None):
        if self.happens is not None:
            raise self.happens
        return super().check_targets(y, n_out, dtype, rows)


@pytest.mark.parametrize("exc", [KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
def test_what_is_no_failure_passes_as_it_is(monkeypatch, exc):
    net = bp.mlp([2, 1], loss=Stopped(), rng=0)
    monkeypatch.setattr(Stopped, "happens", exc)
    with pytest.raises(type(exc)) as raised:
        net.loss(np.ones((1, 2)), [1.0])
    assert raised.value is exc
    assert exc.__cause__ is exc.__context__ is None


@pytest.mark.parametrize("exc", [SystemExit(3), SystemExit(), StopIteration(), ValueError("no")])
def test_a_call_that_fails_or_exits_is_told_of(monkeypatch, exc):
    net = bp.mlp([2, 1], loss=Stopped(), rng=0)
    monkeypatch.setattr(Stopped, "happens", exc)
    with pytest.raises(bp.PluginCallError, match=r"Stopped: check_targets failed \(") as raised:
        net.loss(np.ones((1, 2)), [1.0])
    assert raised.value.__cause__ is exc
    assert f"({type(exc).__name__}: {exc})" in str(raised.value)


def test_a_call_that_ctrl_c_cuts_off_between_two_lines_says_nothing_more(monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    entered = registry.blamed(bp.ReLU(), "init")
    entered.__enter__()
    del entered  # and nobody came to leave it
    assert not said

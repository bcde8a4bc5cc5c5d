"""What all tests of bad input share: a trained network, every way to call it, and one check.

The check, `refuses`, asks of each error that it is of the right class and built-in base, that its
message names the argument, what came and what was wanted, and that nothing has changed.
"""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest

import fastbp as bp

BASES = {
    bp.CheckpointError: OSError,
    bp.ConfigError: ValueError,
    bp.DtypeError: TypeError,
    bp.LabelError: ValueError,
    bp.NonFiniteError: ValueError,
    bp.OptimizerError: ValueError,
    bp.ShapeError: ValueError,
    bp.UnknownNameError: LookupError,
}

# Every public method that takes arrays, as call(net, X, y, sample_weight). Those that take no y or
# no weights leave them out, which is why tests name the ones that a bad argument reaches.
CALLS = {
    "forward": lambda net, X, y, w=None: net.forward(X),
    "predict": lambda net, X, y, w=None: net.predict(X),
    "predict_proba": lambda net, X, y, w=None: net.predict_proba(X),
    "loss": lambda net, X, y, w=None: net.loss(X, y, sample_weight=w),
    "gradients": lambda net, X, y, w=None: net.gradients(X, y, sample_weight=w),
    "vjp": lambda net, X, y, w=None: net.vjp(X, np.ones((5, net.n_out))),
    "loss_and_grad": lambda net, X, y, w=None: net.loss_and_grad(X, y, sample_weight=w),
    "step": lambda net, X, y, w=None: net.step(X, y, MOMENTUM, sample_weight=w),
    "fit": lambda net, X, y, w=None: net.fit(X, y, sample_weight=w, **FIT),
    "validation": lambda net, X, y, w=None: net.fit(
        np.ones((5, net.n_in)), fitting_y(net, 5), validation_data=(X, y, w), **FIT
    ),
}
MOMENTUM = bp.SGD(0.1, momentum=0.9)
FIT = {"optimizer": MOMENTUM, "epochs": 2, "batch_size": 2}


def fitting_y(net, batch):
    """Targets that suit the network's loss."""
    classes = isinstance(net.loss_function, bp.SoftmaxCrossEntropy)
    return np.zeros(batch, np.int64) if classes else np.zeros((batch, net.n_out))


@pytest.fixture
def make():
    """make(n_out=3, loss=..., dtype=...) -> a network with three inputs that was trained a bit."""

    def make(n_out=3, loss="softmax_cross_entropy", dtype="float32", l2=0.0):
        net = bp.mlp([3, 4, n_out], loss=loss, dtype=dtype, rng=0, l2=l2)
        net.step(np.eye(3), fitting_y(net, 3), MOMENTUM)
        return net

    return make


@pytest.fixture
def net(make):
    """A float32 network of three inputs and three classes."""
    return make()


@pytest.fixture
def X():
    """Five examples that fit it; float64, and exact in float32."""
    return np.random.default_rng(0).integers(-8, 8, (5, 3)) / 4


@pytest.fixture
def y():
    return np.array([2, 0, 1, 1, 0])


@pytest.fixture(params=CALLS)
def call(request):
    """One way to call a network; parametrize with indirect=True for some of them."""
    return CALLS[request.param]


def snapshot(net, folder):
    """All that a failure must leave alone, as bytes."""
    state = net.optimizer_state
    return {
        "parameters": net.flat.tobytes(),
        "buffers": {name: array.tobytes() for name, array in net.buffers.items()},
        "generator": (net._seed, copy.deepcopy(net._rng.bit_generator.state)),
        "optimizer": None
        if state is None
        else (
            state.name,
            dict(state.constants),
            state.steps,
            {name: array.tobytes() for name, array in state.arrays.items()},
        ),
        "files": {
            path.name: (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
            for path in sorted(folder.iterdir())
        },
    }


@pytest.fixture(name="snapshot")
def _snapshot(tmp_path):
    """snapshot(net): parameters, buffers, optimizer, generator, and the files in tmp_path."""
    return lambda net: snapshot(net, tmp_path)


def assert_message(error, message):
    """`message` with "..." for anything; must be the whole text, but for whose data it is."""
    pattern = ".*".join(map(re.escape, message.split("...")))
    texts = str(error), str(error).removeprefix("validation_data: ")
    matches = [re.fullmatch(pattern, text, re.DOTALL) for text in texts]
    assert any(matches), f"{error}\nis not\n{message}"


@pytest.fixture(name="assert_message")
def _assert_message():
    return assert_message


@pytest.fixture
def refuses(snapshot):
    """refuses(net, error, message, function): see the head of this file."""

    def refuses(net, error, message, function):
        before = None if net is None else snapshot(net)
        with pytest.raises(bp.FastbpError) as caught:
            function()
        assert type(caught.value) is error, repr(caught.value)
        assert isinstance(caught.value, BASES[error])
        assert_message(caught.value, message)
        if net is not None:
            assert snapshot(net) == before
        return caught.value

    return refuses


def bits(result):
    """A result of any method as something that compares exactly."""
    if isinstance(result, bp.Gradients):
        return bits([result.flat, result.values.x, result.a[1], result.scale])
    if isinstance(result, bp.History):
        return bits([result.loss, result.val_loss, result.val_accuracy])
    if isinstance(result, list | tuple):
        return [bits(item) for item in result]
    if isinstance(result, np.ndarray):
        assert type(result) is np.ndarray
        return result.dtype, result.shape, result.tobytes()
    return np.float64(result).tobytes()


def outcome(net, call, *arguments):
    """What a call returns, and the network after it."""
    net = net.copy()
    return bits(call(net, *arguments)), net.flat.tobytes()


@pytest.fixture(name="bits")
def _bits():
    return bits


@pytest.fixture(name="outcome")
def _outcome():
    return outcome

"""Files, pickles and copies keep a network to the last bit, and training goes on from them.

What happens to bad files and when saving fails is in bad_input/.
"""

from __future__ import annotations

import copy
import io
import json
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

import fastbp as bp

LOSSES = bp.plugins.available("loss")
DTYPES = ["float32", "float64"]
OPTIMIZERS = {
    "untrained": None,
    "SGD": bp.SGD(0.1),
    "momentum": bp.SGD(0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": bp.SGD(0.1, momentum=0.9, nesterov=True),
    "Adam": bp.Adam(0.01, beta1=0.8),
}


def through_file(net):
    path = pathlib.Path("kept network.npz")  # in a folder of the test's own
    net.save(path)
    return bp.load(path)


WAYS = {
    "file": through_file,
    "copy": bp.Network.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda net, protocol=protocol: pickle.loads(
            pickle.dumps(net, protocol)
        )
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.fixture(params=WAYS)
def keep(request, tmp_path, monkeypatch):
    """A way to keep a network: keep(net) -> another one with the same bits."""
    monkeypatch.chdir(tmp_path)
    return WAYS[request.param]


def data(loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((21, 3))
    return X, rng.integers(0, 2, 21) if loss.startswith("softmax") else rng.random((21, 2))


def make(loss="softmax_cross_entropy", dtype="float32", optimizer=None, epochs=2):
    net = bp.Network(
        3,
        [bp.Dense(5, name="first"), bp.Tanh(), bp.Dense(4, bias=False), "relu", bp.Dense(2)],
        loss=loss,
        dtype=dtype,
        rng=0,
        l2=0.01,
    )
    if optimizer is not None:
        net.fit(*data(loss), optimizer=optimizer, epochs=epochs, batch_size=8)
    return net


def bits(net):
    """All that makes up a network, for exact comparison."""
    state = net.optimizer_state
    return {
        "structure": (
            repr(net),
            net.layers,
            net.loss_function,
            net.dtype,
            net.l2,
            list(net.params),
        ),
        "flat": net.flat.tobytes(),
        "params": {name: array.tobytes() for name, array in net.params.items()},
        "buffers": {name: array.tobytes() for name, array in net.buffers.items()},
        "generators": (net._seed, net._rng.bit_generator.state),
        "optimizer": state
        and (
            (state.name, state.constants, state.steps),
            {name: (array.dtype, array.tobytes()) for name, array in state.arrays.items()},
        ),
    }


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_bits(keep, loss, dtype, optimizer):
    net, (X, y) = make(loss, dtype, optimizer), data(loss)
    before = bits(net)
    kept = keep(net)
    assert bits(kept) == bits(net) == before
    assert kept.forward(X).tobytes() == net.forward(X).tobytes()
    assert kept.loss(X, y) == net.loss(X, y)
    assert kept.gradients(X, y).flat.tobytes() == net.gradients(X, y).flat.tobytes()


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS.values())[1:], ids=list(OPTIMIZERS)[1:])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_training_goes_on_as_if_not_interrupted(keep, loss, dtype, optimizer):
    without, interrupted = make(loss, dtype), make(loss, dtype)
    arguments = {"optimizer": optimizer, "batch_size": 8}
    want = without.fit(*data(loss), epochs=4, **arguments).loss
    got = interrupted.fit(*data(loss), epochs=1, **arguments).loss
    for epochs in (2, 1):
        interrupted = keep(interrupted)
        got += interrupted.fit(*data(loss), epochs=epochs, **arguments).loss
    assert got == want
    assert bits(interrupted) == bits(without)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_nothing_is_shared_with_the_original(keep, optimizer):
    net = make(optimizer=optimizer)
    kept = keep(net)
    before = bits(net)
    kept.flat[:] = 7
    if optimizer is not None:
        for array in kept.optimizer_state.arrays.values():
            array[:] = 7
        kept.optimizer_state.steps = 7
        kept.optimizer_state.constants["momentum"] = 7
    kept._rng.random()
    assert bits(net) == before
    X = data("softmax")[0]
    assert not np.shares_memory(kept.flat, net.flat)
    assert kept.forward(X).tobytes() != net.forward(X).tobytes()


def test_parameters_stay_views_of_flat(keep):
    net = keep(make(optimizer=bp.Adam()))
    before = net.forward(np.ones((1, 3)))
    for name, array in net.params.items():
        assert np.shares_memory(array, net.flat), name
        assert array.flags.writeable
    net.params["dense1.W"][0, 0] = 42
    assert 42 in net.flat
    net.flat[:] = 0
    assert not any(array.any() for array in net.params.values())
    assert net.forward(np.ones((1, 3))).tobytes() != before.tobytes()
    net.step(*data("softmax"), bp.Adam())  # and training writes into the same memory
    assert net.params["dense2.b"].any()
    assert net.flat[-2:].tobytes() == net.params["dense2.b"].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_odd_numbers_keep_their_bits(keep, dtype):
    net = make(dtype=dtype)
    integer = np.uint32 if dtype == "float32" else np.uint64
    odd = net.flat.view(integer)
    odd[:8] = [0, 1, 2**22, *(np.iinfo(integer).max - i for i in range(5))]  # denormals, NaNs
    net.flat[8:12] = [-0.0, np.inf, -np.inf, np.finfo(dtype).tiny]
    assert keep(net).flat.tobytes() == net.flat.tobytes()


def test_a_pass_before_does_not_matter(keep):
    net, fresh = make(optimizer=bp.Adam()), make(optimizer=bp.Adam())
    X, y = np.ones((3000, 3)), np.zeros(3000, int)
    net.predict(X)
    net.gradients(X, y)
    net.loss_and_grad(X, y)
    assert bits(keep(net)) == bits(fresh)
    assert len(pickle.dumps(net)) == len(pickle.dumps(fresh))  # no buffers of the passes


class Shifted(bp.Layer):
    """Has a buffer, which training changes."""

    def __init__(self, by=0.0):
        self.by = by

    def build(self, n_in, dtype):
        return bp.layers.LayerSpec(n_out=n_in, buffers={"mean": (n_in,)})

    def forward(self, params, x, y, ctx):
        if ctx.training:
            ctx.buffers["mean"][...] = x.mean(axis=0)
        y[...] = x - ctx.buffers["mean"] + self.by

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            dx[...] = dy


@pytest.mark.parametrize("way", [way for way in WAYS if way != "file"])
def test_buffers(way):
    net = bp.Network(3, [Shifted(0.5), bp.Dense(2)], rng=0)
    net.step(*data("softmax"), bp.SGD(0.1))
    kept = WAYS[way](net)
    assert net.buffers["shifted1.mean"].any()
    assert bits(kept) == bits(net)
    kept.step(np.ones((2, 3)), [0, 1], bp.SGD(0.1))
    assert kept.buffers["shifted1.mean"].tolist() == [1, 1, 1]
    assert bits(kept) != bits(net)


# Files


class Somewhere(os.PathLike):
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


NAMES = [
    "net.npz",
    "net",
    "net.model",
    "net.npz.bak",
    ".hidden",
    "two words",
    "äöü λ.npz",
    "n" * 250,
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:12])
@pytest.mark.parametrize("kind", [str, pathlib.Path, Somewhere])
def test_exactly_this_path(tmp_path, name, kind):
    net = make()
    net.save(kind(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert bits(bp.load(kind(tmp_path / name))) == bits(net)


def test_a_path_from_the_present_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    make().save("sub/../net.npz")
    assert sorted(os.listdir()) == ["net.npz", "sub"]
    assert bits(bp.load("net.npz")) == bits(make())


def test_saving_again_overwrites(tmp_path):
    path, small = tmp_path / "net.npz", bp.mlp([2, 2], rng=0)
    for net in (small, make(optimizer=bp.Adam()), small):
        net.save(path)
        assert bits(bp.load(path)) == bits(net)
    assert [path.name for path in tmp_path.iterdir()] == ["net.npz"]


def test_the_same_network_gives_the_same_file(tmp_path):
    net = make(optimizer=bp.SGD(0.1, momentum=0.5))
    for path in (tmp_path / "first", tmp_path / "second"):
        net.save(path)
        net = bp.load(path)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002], ids=oct)
def test_a_new_file_has_the_mode_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        make().save(tmp_path / "net.npz")
    finally:
        assert os.umask(before) == mask
    assert (tmp_path / "net.npz").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o200, 0o666], ids=oct)
def test_an_old_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "net.npz"
    make().save(path)
    path.chmod(mode)
    make(optimizer=bp.Adam()).save(path)
    assert path.stat().st_mode & 0o777 == mode


def test_a_symbolic_link_stays_one(tmp_path):
    link, path = tmp_path / "latest.npz", tmp_path / "run 1.npz"
    link.symlink_to(path.name)
    for net in (make(), make(optimizer=bp.Adam())):  # to no file yet, and to one
        net.save(link)
        assert link.is_symlink()
        assert bits(bp.load(path)) == bits(bp.load(link)) == bits(net)


def test_a_file_is_arrays_and_json(tmp_path):
    net = make(optimizer=bp.Adam())
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    assert sorted(arrays) == ["flat", "header", "optimizer:m", "optimizer:v"]
    assert arrays["flat"].tobytes() == net.flat.tobytes()
    assert arrays["optimizer:v"].tobytes() == net.optimizer_state.arrays["v"].tobytes()
    header = json.loads(arrays["header"].tobytes())
    assert (header["format"], header["n_in"], header["dtype"]) == (1, 3, "float32")
    assert header["layers"][0]["name"] == "dense"
    assert header["layers"][0]["config"] == bp.Dense(5, name="first").config()
    assert header["optimizer"]["steps"] == net.optimizer_state.steps == 6


def test_a_file_packed_anew_by_other_tools_loads(tmp_path):
    net = make(optimizer=bp.Adam())
    net.save(tmp_path / "net.npz")
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(tmp_path / "net.npz") as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in reversed(old.namelist()):
            new.writestr(name, old.read(name))
    (tmp_path / "packed.npz").write_bytes(packed.getvalue())
    assert bits(bp.load(tmp_path / "packed.npz")) == bits(net)


# state_dict


def test_state_dict_is_copies_in_the_order_of_flat():
    net = make(optimizer=bp.Adam())
    state, before = net.state_dict(), net.flat.tobytes()
    assert list(state) == ["first.W", "first.b", "dense1.W", "dense2.W", "dense2.b"]
    assert np.concatenate([array.ravel() for array in state.values()]).tobytes() == before
    for array in state.values():
        array += 1
    assert net.flat.tobytes() == before


@pytest.mark.parametrize("dtype", DTYPES)
def test_load_state_dict(dtype):
    source, net = make(dtype=dtype, optimizer=bp.Adam()), make(dtype=dtype)
    net.step(*data("softmax"), bp.SGD(0.1, momentum=0.9))
    momentum, state = net.optimizer_state.arrays["v"].tobytes(), source.state_dict()
    net.load_state_dict(dict(reversed(state.items())))
    assert net.flat.tobytes() == source.flat.tobytes()
    for array in (*state.values(), net.flat):
        array += 1  # the network keeps none of them
    assert net.params["first.W"].tobytes() == net.flat[:15].tobytes()
    assert net.optimizer_state.arrays["v"].tobytes() == momentum
    assert not np.shares_memory(net.params["first.W"], state["first.W"])


def test_load_state_dict_rounds_to_the_networks_dtype():
    source, net = make(dtype="float64", optimizer=bp.Adam()), make()
    net.load_state_dict(source.state_dict())
    assert net.flat.dtype == np.float32
    assert net.flat.tobytes() == source.flat.astype(np.float32).tobytes()


def test_load_state_dict_takes_any_mapping():
    source, net = make(optimizer=bp.Adam()), make()
    net.load_state_dict(source.params)
    assert net.flat.tobytes() == source.flat.tobytes()
    net.load_state_dict(net.params)
    assert net.flat.tobytes() == source.flat.tobytes()


def test_state_dict_holds_buffers():
    net = bp.Network(3, [Shifted(), bp.Dense(2)], rng=0)
    net.step(*data("softmax"), bp.SGD(0.1))
    fresh = bp.Network(3, [Shifted(), bp.Dense(2)], rng=1)
    fresh.load_state_dict(net.state_dict())
    assert net.buffers["shifted1.mean"].any()
    assert fresh.forward(np.ones((1, 3))).tobytes() == net.forward(np.ones((1, 3))).tobytes()


def without_memory(*args, **kwargs):
    raise MemoryError


def test_want_of_memory_passes_as_it_is(tmp_path, monkeypatch):
    net, path = bp.mlp([2, 3, 2], rng=0), tmp_path / "net.npz"
    net.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(bp.ReLU, "config", without_memory)
    with pytest.raises(MemoryError):
        net.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    monkeypatch.setattr(bp.ReLU, "__init__", without_memory)
    with pytest.raises(MemoryError):
        bp.load(path)

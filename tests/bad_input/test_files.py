"""Files that are no networks, or damaged ones, or forged ones."""

from __future__ import annotations

import io
import json
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

import fastbp as bp


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.npz"


@pytest.fixture
def saved(net, path):
    """A saved network, which was trained a bit."""
    net.save(path)
    return path


def refused(refuses, path, message="..."):
    """bp.load raises CheckpointError and leaves the file as it is."""
    before = path.read_bytes()
    message = f"{path}: is no intact fastbp network ({message})"
    error = refuses(None, bp.CheckpointError, message, lambda: bp.load(path))
    assert error.filename == str(path)
    assert path.read_bytes() == before


def test_truncated_at_any_length(refuses, saved):
    whole = saved.read_bytes()
    for length in [*range(0, len(whole), 13), *range(len(whole) - 30, len(whole))]:
        saved.write_bytes(whole[:length])
        refused(refuses, saved)


@pytest.mark.parametrize(("first", "mask"), [(0, 0xFF), (1, 0x01), (2, 0x80)], ids=str)
def test_any_byte_flipped(snapshot, saved, first, mask):
    """A flip is found, or it hit a byte that means nothing and the bits are the same."""
    whole, want, found = saved.read_bytes(), snapshot(bp.load(saved)), 0
    places = range(first, len(whole), 3)
    for place in places:
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
        try:
            got = snapshot(bp.load(saved))
        except bp.CheckpointError:
            found += 1
        else:
            assert {**got, "files": 0} == {**want, "files": 0}, place
    assert found > 0.8 * len(places)  # the rest: dates, attributes and the like of the zip format


def test_bytes_lost_or_put_in(refuses, saved):
    whole = saved.read_bytes()
    for place in range(10, len(whole) - 100, 97):
        saved.write_bytes(whole[:place] + whole[place + 7 :])
        refused(refuses, saved)
        saved.write_bytes(whole[:place] + b"\0" * 4096 + whole[place:])
        refused(refuses, saved)


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


NO_ZIP = "BadZipFile: File is not a zip file"
FOREIGN = {
    "empty": (b"", NO_ZIP),
    "text": (b"not a network\n" * 100, NO_ZIP),
    "pickle": (pickle.dumps({"flat": 1}), NO_ZIP),
    "a single array": (npy(np.ones(31)), NO_ZIP),
    "start of a zip": (b"PK\x03\x04 torn", NO_ZIP),
    "an empty npz": (npz(), "KeyError: ...header.npy..."),
    "another library's npz": (npz(weights=np.ones(3)), "KeyError: ...header.npy..."),
    "a header of text": (npz(header=np.array("{}")), "..."),
    "a header of words": (npz(header=np.frombuffer(b"no JSON", np.uint8)), "JSONDecodeError: ..."),
    "a header of a list": (npz(header=np.frombuffer(b"[1]", np.uint8)), "...format list; wanted 1"),
    "a header of brackets": (
        npz(header=np.frombuffer(b"[" * 100_000, np.uint8)),
        "ValueError: its header is nested 100000 deep; wanted at most 100",
    ),
    "an empty header": (npz(header=np.frombuffer(b"{}", np.uint8)), "...format None; wanted 1"),
}


@pytest.mark.parametrize(("content", "message"), FOREIGN.values(), ids=FOREIGN)
def test_foreign_files(refuses, path, content, message):
    path.write_bytes(content)
    refused(refuses, path, message)


def forge(path, header=(), drop=(), members=()):
    """Write the file anew: other fields in its header, some left out, other members.

    A member may be an array or the bytes of one.
    """
    with zipfile.ZipFile(path) as file:
        old = {name: file.read(name) for name in file.namelist()}
    with io.BytesIO(old["header.npy"]) as file:
        fields = json.loads(np.load(file).tobytes())
    fields |= dict(header)
    for name in drop:
        if old.pop(f"{name}.npy", None) is None:
            del fields[name]
    old["header.npy"] = npy(np.frombuffer(json.dumps(fields).encode(), np.uint8))
    for name, member in dict(members).items():
        old[f"{name}.npy"] = member if isinstance(member, bytes) else npy(member)
    with zipfile.ZipFile(path, "w") as file:
        for name, member in old.items():
            file.writestr(name, member)


def layer(name, **config):
    return {"name": name, "contract": 1, "config": config}


def claiming(count):
    """An array file that says it holds `count` numbers."""
    whole = npy(np.ones(31, np.float32))
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count},), }}"
    return whole[:10] + header.ljust(117).encode() + b"\n" + whole[128:]


DENSE = [layer("dense", n_out=4), layer("relu"), layer("dense", n_out=3)]
MOMENTUM = {"name": "SGD", "constants": {}, "steps": 1, "arrays": ["v"]}
FLAT = "flat: got {}; wanted {}"
FORGED = {
    "format 2": ({"header": {"format": 2}}, "ValueError: it is of format 2; wanted 1"),
    "format true": ({"header": {"format": True}}, "ValueError: it is of format True; wanted 1"),
    "huge n_in": ({"header": {"n_in": 10**12}}, FLAT.format("shape (31,)", "(4000000000019,)")),
    "n_in of 400 digits": (
        {"header": {"n_in": 10**400}},
        "ValueError: ...401 digits; wanted at most 40",
    ),
    "n_in of zero": ({"header": {"n_in": 0}}, "n_in: got 0; wanted a whole number >= 1"),
    "n_in of text": ({"header": {"n_in": "3"}}, "n_in: got '3'; wanted a whole number >= 1"),
    "huge n_out": (
        {"header": {"layers": [layer("dense", n_out=10**15)]}},
        FLAT.format("shape (31,)", "(4000000000000000,)"),
    ),
    "another n_out": (
        {"header": {"layers": [layer("dense", n_out=5)]}},
        FLAT.format("shape (31,)", "(20,)"),
    ),
    "n_out of zero": (
        {"header": {"layers": [layer("dense", n_out=0)]}},
        "n_out: got 0; wanted ...",
    ),
    "no n_out": ({"header": {"layers": [layer("dense")]}}, "TypeError: ...n_out..."),
    "unknown argument": (
        {"header": {"layers": [layer("relu", slope=1)]}},
        "TypeError: ...slope...",
    ),
    "no layers": ({"header": {"layers": []}}, "layers: got an empty list; wanted ..."),
    "layers of numbers": ({"header": {"layers": [3]}}, "TypeError: ..."),
    "dtype int8": (
        {"header": {"dtype": "int8"}},
        "dtype: got 'int8'; wanted 'float32' or 'float64'",
    ),
    "other dtype": ({"header": {"dtype": "float64"}}, FLAT.format("dtype float32", "float64")),
    "l2 of nan": ({"header": {"l2": float("nan")}}, "l2: got nan; wanted a finite number >= 0"),
    "no generator": ({"header": {"rng": {}}}, "..."),
    "another generator": ({"header": {"rng": {"bit_generator": "MT19937"}}}, "ValueError: ..."),
    "steps below zero": (
        {"header": {"optimizer": {**MOMENTUM, "steps": -1}}},
        "steps: got -1; wanted a whole number >= 0",
    ),
    "unknown slot": (
        {"header": {"optimizer": {**MOMENTUM, "arrays": ["w"]}}},
        "KeyError: ...optimizer:w.npy...",
    ),
    "no flat": ({"drop": ["flat"]}, "KeyError: ...flat.npy..."),
    "no slot": ({"drop": ["optimizer:v"]}, "KeyError: ...optimizer:v.npy..."),
    "no loss": ({"drop": ["loss"]}, "KeyError: 'loss'"),
    "flat too short": (
        {"members": {"flat": np.ones(30, "f4")}},
        FLAT.format("shape (30,)", "(31,)"),
    ),
    "flat too long": (
        {"members": {"flat": np.ones(32, "f4")}},
        FLAT.format("shape (32,)", "(31,)"),
    ),
    "flat of two axes": (
        {"members": {"flat": np.ones((31, 1), "f4")}},
        FLAT.format("shape (31, 1)", "(31,)"),
    ),
    "flat of float64": (
        {"members": {"flat": np.ones(31)}},
        FLAT.format("dtype float64", "float32"),
    ),
    "flat of text": (
        {"members": {"flat": np.array(["a"] * 31)}},
        FLAT.format("dtype <U1", "float32"),
    ),
    "flat of no array": ({"members": {"flat": b"no array at all"}}, "ValueError: ..."),
    "slot too short": (
        {"members": {"optimizer:v": np.ones(30, "f4")}},
        "...got shape (30,); wanted (31,)",
    ),
    "buffer too many": (
        {"members": {"buffer:x": np.ones(3, "f4")}},
        "ValueError: it has buffer:x.npy too, which its header says nothing of",
    ),
    "flat longer than it says": (
        {"members": {"flat": npy(np.ones(31, "f4")) + b"more"}},
        "flat: got 128 bytes; wanted those of float32 in (31,)",
    ),
}


@pytest.mark.parametrize(("changes", "message"), FORGED.values(), ids=FORGED)
def test_forged_files(refuses, saved, changes, message):
    forge(saved, **changes)
    tracemalloc.start()
    try:
        refused(refuses, saved, message)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1e6, "something of the size that the file claims was made"


@pytest.mark.parametrize("count", [32, 10**9, 10**12, 10**30])
def test_an_array_that_says_it_is_longer_than_the_file(refuses, saved, count):
    forge(saved, members={"flat": claiming(count)})
    refused(refuses, saved)


def test_forge_itself_leaves_a_good_file(saved, snapshot):
    want = snapshot(bp.load(saved))
    forge(saved)
    got = snapshot(bp.load(saved))
    assert {**got, "files": 0} == {**want, "files": 0}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"layers": [layer("conv2d")]}, "layer: got 'conv2d'; wanted one of dense, ..."),
        ({"loss": layer("hinge")}, "loss: got 'hinge'; wanted one of sigmoid_cross_entropy, ..."),
    ],
    ids=["layer", "loss"],
)
def test_parts_that_are_not_known_here(refuses, saved, header, message):
    forge(saved, header)
    refuses(None, bp.UnknownNameError, message, lambda: bp.load(saved))


class Touch:
    """Its unpickling makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["flat", "header", "optimizer:v"])
def test_nothing_is_unpickled(refuses, saved, tmp_path, name):
    trap = tmp_path / "trap"
    forge(saved, members={name: np.array([Touch(trap)], object)})
    refused(refuses, saved, "...: got dtype object; wanted ...")
    assert not trap.exists()


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        bp.load(tmp_path / "missing.npz")


def test_a_folder(refuses, tmp_path):
    message = f"{tmp_path}: could not be read (Is a directory)"
    refuses(None, bp.CheckpointError, message, lambda: bp.load(tmp_path))


@pytest.mark.parametrize("path", [None, 5, b"net.npz", ["net.npz"]], ids=repr)
def test_no_path(net, refuses, path):
    message = f"path: got {path!r}; wanted a str or a path-like object"
    refuses(net, bp.DtypeError, message, lambda: bp.load(path))
    refuses(net, bp.DtypeError, message, lambda: net.save(path))

"""Files made to cost memory or time: they are refused before any of it is spent.

A file's own words on its sizes are written here as a forger would, byte by byte.
"""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

import fastbp as bp

MEMORY = 50e6  # bytes beyond the network's own arrays
SECONDS = 10  # of processor time; a second is promised, and this machine may be a slow one


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.npz"


@pytest.fixture
def refused(refuses, path):
    """refused(message, parts=None): the file at `path` is, at no cost."""

    def refused(message="...", parts=None):
        tracemalloc.start()
        start = time.process_time()
        try:
            message = f"{path}: is no intact fastbp network ({message})"
            refuses(None, bp.CheckpointError, message, lambda: bp.load(path, parts=parts))
            assert tracemalloc.get_traced_memory()[1] < MEMORY
        finally:
            tracemalloc.stop()
        assert time.process_time() - start < SECONDS

    return refused


def npy(array, shape=None):
    """An array as a member, which may claim another shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file,
        {
            "descr": array.dtype.str,
            "fortran_order": False,
            "shape": array.shape if shape is None else shape,
        },
    )
    return file.getvalue() + array.tobytes()


def fields(path):
    """The header of a file as a dict."""
    with np.load(path) as file:
        return json.loads(file["header"].tobytes())


def member(text):
    return npy(np.frombuffer(text, np.uint8))


@pytest.fixture
def contents(net, path):
    """contents(header fields..., member=bytes...) -> the members of a good file but for these."""
    net.save(path)
    with zipfile.ZipFile(path) as file:
        old = {name.removesuffix(".npy"): file.read(name) for name in file.namelist()}
    header = fields(path)

    def contents(members=(), **changes):
        text = json.dumps(header | changes).encode()
        return old | {"header": member(text)} | dict(members)

    return contents


class Zip:
    """A zip file whose records say what they are told to."""

    def __init__(self):
        self.body, self.directory = io.BytesIO(), io.BytesIO()

    def add(self, name, content=b"", *, method=0, flags=0, size=None, packed=None, offset=None):
        """Add a member; `size`, `packed` and `offset` overrule what is true of it."""
        name, crc = f"{name}.npy".encode(), zlib.crc32(content)
        size = len(content) if size is None else size
        if method == zipfile.ZIP_DEFLATED:
            deflate = zlib.compressobj(wbits=-15)
            content = deflate.compress(content) + deflate.flush()
        packed = len(content) if packed is None else packed
        at = self.body.tell() if offset is None else offset
        extra = struct.pack("<HHQQ", 1, 16, size, packed)
        small = 0xFFFFFFFF  # the sizes stand in the extra field
        common = struct.pack("<5H3L2H", 45, flags, method, 0, 33, crc, small, small, len(name), 20)
        self.body.write(b"PK\3\4" + common + name + extra + content)
        self.directory.write(b"PK\1\2" + struct.pack("<H", 45) + common)
        self.directory.write(struct.pack("<3H2L", 0, 0, 0, 0, at) + name + extra)
        return self

    def bytes(self, directory=None, count=1):
        """The whole file; `directory` overrules the length of the list of members."""
        listed = self.directory.getvalue()
        size, start = len(listed) if directory is None else directory, self.body.tell()
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + len(listed), 1)
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
        return self.body.getvalue() + listed + end64 + locator + end


def packed(members, method=0):
    file = Zip()
    for name, content in members.items():
        file.add(name, content, method=method)
    return file.bytes()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_forger_can_make_a_good_file(contents, path, net, method):
    path.write_bytes(packed(contents(), method))
    assert bp.load(path).flat.tobytes() == net.flat.tobytes()


# Sizes


BOMB = bytes(200_000_000)


def test_a_bomb_for_an_array(contents, path, refused):
    flat = npy(np.frombuffer(BOMB, np.float32))
    path.write_bytes(packed(contents({"flat": flat}), zipfile.ZIP_DEFLATED))
    refused("flat: got shape (50000000,); wanted (31,)")


def test_a_bomb_behind_an_array(contents, path, refused):
    flat = contents()["flat"] + BOMB
    path.write_bytes(packed(contents({"flat": flat}), zipfile.ZIP_DEFLATED))
    refused("flat: got 200000124 bytes; wanted those of float32 in (31,)")


def test_a_bomb_for_a_header(contents, path, refused):
    header = member(BOMB.replace(b"\0", b" "))
    path.write_bytes(packed(contents({"header": header}), zipfile.ZIP_DEFLATED))
    refused("ValueError: its header has 200000000 bytes; wanted at most ...")


def test_a_bomb_in_an_arrays_own_header(contents, path, refused):
    flat = b"\x93NUMPY\2\0" + struct.pack("<L", len(BOMB)) + BOMB
    path.write_bytes(packed(contents({"flat": flat}), zipfile.ZIP_DEFLATED))
    refused("ValueError: flat is no array of numbers")


def test_an_arrays_own_header_that_takes_ages_to_match(contents, path, refused):
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"1" * 900 + b"\n"
    flat = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text
    path.write_bytes(packed(contents({"flat": flat})))
    refused("ValueError: flat is no array of numbers")


@pytest.mark.parametrize("claimed", ["member", "member and list"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_network_as_large_as_its_array_claims(contents, path, refused, method, claimed):
    members = contents(n_in=10**12)
    flat = npy(np.ones(31, np.float32), (4 * 10**12 + 19,))
    file = Zip().add("header", members["header"])
    size = None if claimed == "member" else 128 + 4 * (4 * 10**12 + 19)
    path.write_bytes(file.add("flat", flat, method=method, size=size).bytes())
    refused(
        "flat: got 124 bytes; wanted those of float32 in (4000000000019,)"
        if size is None
        else f"ValueError: flat.npy says it has {size} bytes, of ... in the file"
    )


def test_members_longer_than_the_file(contents, path, refused):
    members = contents(n_in=10**12)
    flat = npy(np.ones(31, np.float32), (4 * 10**12 + 19,))
    size = 128 + 4 * (4 * 10**12 + 19)
    file = Zip().add("header", members["header"]).add("flat", flat, size=size, packed=size)
    path.write_bytes(file.bytes())
    refused("ValueError: it is shorter than its members")


def test_members_over_each_other(contents, path, refused):
    file, members = Zip(), contents()
    file.add("header", members["header"]).add("flat", members["flat"])
    file.add("optimizer:v", members["optimizer:v"], offset=len(members["header"]))
    path.write_bytes(file.bytes())
    refused("ValueError: ... overlaps another member")


def test_two_members_of_one_name(contents, path, refused):
    file, members = Zip(), contents()
    for name, content in [*members.items(), ("flat", members["flat"])]:
        file.add(name, content)
    path.write_bytes(file.bytes())
    refused("ValueError: it has two members of one name")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 9, 99])
def test_other_ways_to_compress(contents, path, refused, method):
    path.write_bytes(packed(contents(), method))
    refused("ValueError: header.npy is compressed in a way that arrays are not")


def test_encrypted_members(contents, path, refused):
    file = Zip()
    for name, content in contents().items():
        file.add(name, content, flags=1)
    path.write_bytes(file.bytes())
    refused("RuntimeError: ...encrypted...")


def test_a_million_members(path, refused):
    file = Zip().add("header")
    file.directory.write(file.directory.getvalue() * (10**6 - 1))
    path.write_bytes(file.bytes(count=10**6))
    refused("ValueError: its list of members says it takes ... bytes")


def test_as_many_members_as_may_be(path, refused):
    file = Zip()
    for number in range(2**21 // 90):
        file.add(f"buffer:{number}")
    path.write_bytes(file.bytes())
    refused()


@pytest.mark.parametrize("directory", [2**22, 2**40, 2**63])
def test_a_list_of_members_longer_than_the_file(contents, path, refused, directory):
    file = Zip().add("header", contents()["header"])
    path.write_bytes(file.bytes(directory=directory))
    refused()


# What the header claims


def layer(name, /, **config):
    return {"name": name, "contract": 1, "config": config}


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


OPTIMIZER = {"name": "SGD", "constants": {}, "steps": 1}
CLAIMS = {
    "a million arrays": {"optimizer": {**OPTIMIZER, "arrays": ["v"] * 10**6}},
    "as many arrays as may be": {
        "optimizer": {**OPTIMIZER, "arrays": [f"v{number}" for number in range(190_000)]}
    },
    "a million layers": {"layers": [layer("relu")] * 10**6},
    "10,001 layers": {"layers": [layer("relu")] * 10_001},
    "a deep list": {"layers": [layer("relu", name=nested(97))]},
    "a deeper list": {"layers": nested(900)},
    "a huge width": {"n_in": 2**40},
    "a huge layer": {"layers": [layer("dense", n_out=2**40)]},
    "huge layers": {"layers": [layer("dense", n_out=2**40)] * 10_000},
    "a dtype of many": {"dtype": "f4," * 10**6},
    "a dtype of dtypes": {"dtype": ["f4"] * 10**5},
    "a long name": {"layers": [layer("r" * 10**6)]},
    "a long distribution": {"loss": {**layer("mse"), "distribution": "d" * 10**6, "version": "1"}},
    "a long version": {"loss": {**layer("mse"), "distribution": "d", "version": "1" * 10**6}},
    "a long message": {"l2": "x" * 10**6},
    "a long format": {"format": "x" * 10**6},
}


@pytest.mark.parametrize("changes", CLAIMS.values(), ids=CLAIMS)
def test_claims_of_the_header(contents, path, refused, changes):
    path.write_bytes(packed(contents(**changes)))
    refused()
    with pytest.raises(bp.CheckpointError) as caught:
        bp.load(path)
    assert len(str(caught.value)) < 1500


TEXTS = {
    "brackets": b"[" * 10**6,
    "lists": b"[" + b"[]," * 10**6 + b"1]",
    "mappings": b"[" + b'{"a":{}},' * 10**5 + b"1]",
    "brackets after a string": b'["' + b"]" * 10**5 + b'",' + b"[" * 10**5,
    "brackets after a quote in a string": rb'["\"' + b"]" * 10**5 + b'",' + b"[" * 10**5,
    "brackets after a backslash in a string": rb'["\\",' + b"[" * 10**5 + b'"]"',
    "a number of a million digits": b"1" * 10**6,
    "of ten million": b"1" * 10**7,
    "a string in UTF-16": ("[" * 10**5).encode("utf-16"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_texts_of_the_header(contents, path, refused, text):
    path.write_bytes(packed(contents({"header": member(text)})))
    refused()


def test_brackets_in_strings_do_not_count(contents, path):
    name = "[{" * 1000 + '"\\'
    layers = [layer("dense", n_out=4, name=name), layer("relu"), layer("dense", n_out=3)]
    path.write_bytes(packed(contents(layers=layers)))
    assert next(iter(bp.load(path).params)) == f"{name}.W"


@pytest.mark.parametrize("n_in", [2**49, 2**62, 10**30])
def test_a_width_that_no_parameter_has(contents, path, refused, n_in):
    members = contents(n_in=n_in, layers=[layer("relu")], optimizer=None)
    del members["optimizer:v"]
    path.write_bytes(packed({**members, "flat": npy(np.empty(0, np.float32))}))
    refused(f"layers: got a width of {n_in}; wanted <= {2**48}")


class Kept(bp.layers.Elementwise):
    """Keeps a number for each of its inputs."""

    def build(self, n_in, dtype):
        return bp.layers.LayerSpec(n_out=n_in, buffers={"mean": (n_in,)})


def test_buffers_of_a_huge_width(contents, path, refused):
    layers = [{**layer("kept"), "distribution": None, "version": None}]
    members = contents(n_in=10**9, layers=layers, optimizer=None)
    del members["optimizer:v"]
    members |= {"flat": npy(np.empty(0, np.float32))}
    members |= {"buffer:kept1.mean": npy(np.ones(3, np.float32))}
    path.write_bytes(packed(members))
    refused("buffer:kept1.mean: got shape (3,); wanted (1000000000,)", {"kept": Kept})


def test_as_many_layers_as_may_be(tmp_path, path):
    net = bp.Network(2, [bp.Tanh(), bp.Dense(2)] * 5000, rng=0)
    net.save(path)
    assert bp.load(path).flat.tobytes() == net.flat.tobytes()


def test_more_is_not_saved(path, refuses):
    net = bp.Network(2, [bp.Tanh()] * 10_001)
    message = "save: got 10001 layers; wanted at most 10000, which a file keeps"
    refuses(net, bp.ConfigError, message, lambda: net.save(path))
    net = bp.Network(2, [bp.Dense(2, name="n" * 5_000_000)])
    message = "save: got a network that no file keeps (its header has ... bytes; wanted ...)"
    refuses(net, bp.ConfigError, message, lambda: net.save(path))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a\0b"], "it has a name with a null character or of more than 65535 bytes"),
        (["n" * 65_600], "it has a name with a null character or of more than 65535 bytes"),
        (
            [f"{i}" + "n" * 400 for i in range(6000)],
            "the names of its ... arrays take more than ...",
        ),
        (["\ud800"], "'utf-8' codec can't encode ..."),
    ],
    ids=["null", "long", "many", "surrogate"],
)
def test_names_that_no_list_of_members_holds(path, refuses, names, message):
    net = bp.Network(2, [Kept(name) for name in names])
    message = f"save: got a network that no file keeps ({message})"
    refuses(net, bp.ConfigError, message, lambda: net.save(path))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_memory_of_a_good_file(path, method):
    net = bp.Network(1000, [bp.Dense(1000), Kept(), bp.Dense(1000)], rng=0)
    net.save(path)
    with zipfile.ZipFile(path) as file:
        members = {name.removesuffix(".npy"): file.read(name) for name in file.namelist()}
    path.write_bytes(packed(members, method))
    del members
    tracemalloc.start()
    try:
        same = bp.load(path, parts={"kept": Kept})
        assert tracemalloc.get_traced_memory()[1] < 2 * net.flat.nbytes + 3e6
    finally:
        tracemalloc.stop()
    assert same.flat.tobytes() == net.flat.tobytes()


# Numbers of the training


ADAM = {"name": "Adam", "constants": {}, "steps": 1, "arrays": ["m", "v"]}
STATE = {"state": 1, "inc": 1}
RNG = {"bit_generator": "PCG64", "state": STATE, "has_uint32": 0, "uinteger": 0}
NUMBERS = {
    "seed of 65 bits": ({"seed": 2**64}, "ValueError: seed: got 18446744073709551616; wanted ..."),
    "seed below 0": ({"seed": -1}, "seed: got -1; wanted a whole number >= 0"),
    "seed of half": ({"seed": 0.5}, "seed: got 0.5; wanted ..."),
    "no room for steps": (
        {"optimizer": {**OPTIMIZER, "steps": 2**62, "arrays": ["v"]}},
        "ValueError: steps: got 4611686018427387904; wanted ...",
    ),
    "more steps than int64": (
        {"optimizer": {**OPTIMIZER, "steps": 2**63, "arrays": ["v"]}},
        "ValueError: steps: got 9223372036854775808; wanted ...",
    ),
    "an optimizer of no name": ({"optimizer": {**ADAM, "name": 5}}, "...optimizer: got 5 with..."),
    "constants of a list": ({"optimizer": {**ADAM, "constants": []}}, "...constants []..."),
    "arrays of numbers": ({"optimizer": {**ADAM, "arrays": [1]}}, "...arrays [1]..."),
    "arrays of text": ({"optimizer": {**ADAM, "arrays": "v"}}, "...arrays 'v'..."),
    "a text for an optimizer": ({"optimizer": "Adam"}, "TypeError: ..."),
    "a state of 129 bits": ({"rng": {**RNG, "state": {**STATE, "state": 2**128}}}, "..."),
    "a state below 0": ({"rng": {**RNG, "state": {**STATE, "state": -1}}}, "..."),
    "an even increment": ({"rng": {**RNG, "state": {**STATE, "inc": 2}}}, "ValueError: rng: ..."),
    "an increment of text": ({"rng": {**RNG, "state": {**STATE, "inc": "1"}}}, "..."),
    "half a number too many": ({"rng": {**RNG, "has_uint32": 7}}, "ValueError: rng: ..."),
    "a number of 33 bits": ({"rng": {**RNG, "uinteger": 2**32}}, "..."),
    "a state that is a list": ({"rng": {**RNG, "state": [1, 1]}}, "..."),
    "more than a state": ({"rng": {**RNG, "more": 1}}, "ValueError: rng: ..."),
    "no state": ({"rng": None}, "..."),
}


@pytest.mark.parametrize(("changes", "message"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_of_the_training(contents, path, refused, changes, message):
    path.write_bytes(packed(contents(**changes)))
    refused(message)


def test_the_largest_numbers(contents, path, X, y):
    optimizer = fields(path)["optimizer"] | {"steps": 2**62 - 2}
    path.write_bytes(packed(contents(seed=2**64 - 1, optimizer=optimizer)))
    net = bp.load(path)
    net.step(X, y, bp.SGD(0.1, momentum=0.9))
    assert net.optimizer_state.steps == 2**62 - 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e-30])
@pytest.mark.parametrize("slot", ["m", "v"])
def test_numbers_that_no_optimizer_has(contents, path, net, refused, slot, value):
    net.reset_optimizer()
    net.step(np.eye(3), [0, 1, 2], bp.Adam())
    arrays = {name: array.copy() for name, array in net.optimizer_state.arrays.items()}
    arrays[slot][7] = value
    members = {f"optimizer:{name}": npy(array) for name, array in arrays.items()}
    path.write_bytes(packed(contents(members, optimizer=ADAM)))
    if (slot, value) == ("m", -1e-30):
        assert bp.load(path).optimizer_state.arrays["m"][7] == np.float32(value)
    else:
        refused(f"...optimizer:{slot}: got ...; wanted ...")


# What is no regular file


@pytest.fixture(params=["fifo", "socket", "/dev/zero", "/dev/null"])
def special(request, tmp_path, monkeypatch):
    if request.param.startswith("/"):
        yield request.param
        return
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    if request.param == "fifo":
        os.mkfifo("fifo")
        yield "fifo"
        return
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        yield "socket"


def test_what_is_no_regular_file(refuses, special):
    message = f"{special}: could not be read (...)"
    refuses(None, bp.CheckpointError, message, lambda: bp.load(special))

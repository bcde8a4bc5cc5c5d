"""Forged and damaged files: ``bp.load`` refuses them within a second, or loads what they hold.

    python tests/fuzz/load.py --seconds 60 --seed 0
    python tests/fuzz/load.py --seed 0 --case 123    # the file of one failure again

Each case takes a good file and changes some of its parts: fields of the JSON header, headers of
arrays, members, the zip format's own records, or any bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import signal
import struct
import sys
import tempfile
import time
import traceback
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np

import fastbp as bp

REFUSALS = bp.CheckpointError, bp.UnknownNameError, bp.PluginError, bp.PluginCallError
# where an earlier change of a case has spoilt what the next one is about
SPOILT = StopIteration, LookupError, TypeError, ValueError, RecursionError, AttributeError
MEMORY = 50e6  # bytes beyond twice the arrays
SECONDS = 1.0  # of processor time for one file
HANG = 60  # seconds of any time
ZEROS = 100_000_000  # bytes of a bomb


class Kept(bp.Layer):
    """Has buffers and arguments of any kind."""

    def __init__(self, given=None):
        self.given = given

    def build(self, n_in, dtype):
        return bp.layers.LayerSpec(n_in, buffers={"mean": (n_in,), "count": ()})

    def forward(self, params, x, y, ctx):
        y[...] = x - ctx.buffers["mean"]

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            dx[...] = dy


PARTS = {"kept": Kept}


def networks():
    X, y = np.random.default_rng(0).standard_normal((8, 3)), np.arange(8) % 2
    for dtype, loss, optimizer in [
        ("float32", "softmax_cross_entropy", None),
        ("float64", "softmax_cross_entropy", bp.Adam(0.01)),
        ("float32", "squared_error", bp.SGD(0.1, momentum=0.9)),
    ]:
        layers = [bp.Dense(4, name="first"), bp.ReLU(), Kept([1, {"a": None}]), bp.Dense(2)]
        net = bp.Network(3, layers, loss=loss, dtype=dtype, rng=0, l2=0.01)
        if optimizer is not None:
            net.step(X, np.eye(2)[y] if loss == "squared_error" else y, optimizer)
        yield net


# A file as records, each field of which may be changed before they are written


class Member:
    def __init__(self, name, content, method):
        self.name, self.content, self.method = name, content, method
        self.crc = self.size = self.packed = self.offset = None  # None: what is true
        self.flags, self.local, self.bomb = 0, {}, False

    def compressed(self):
        if self.method != zipfile.ZIP_DEFLATED:
            return self.content + bytes(ZEROS // 100 if self.bomb else 0)
        deflate = zlib.compressobj(1, wbits=-15)
        data = deflate.compress(self.content)
        return data + (bomb() if self.bomb else deflate.flush())

    def record(self, packed):
        size = len(self.content) + (ZEROS if self.bomb else 0)
        values = {
            "flags": self.flags,
            "method": self.method,
            "crc": zlib.crc32(self.content) if self.crc is None else self.crc,
            "packed": packed if self.packed is None else self.packed,
            "size": size if self.size is None else self.size,
            "name": self.name.encode(),
        }
        return values


@functools.cache
def bomb():
    """Bytes that inflate to a thousand times as many."""
    deflate = zlib.compressobj(9, wbits=-15)
    return b"".join([*(deflate.compress(bytes(10**6)) for _ in range(100)), deflate.flush()])


def common(values):
    """The fields that a member has beside its content and in the list of members alike."""
    extra = struct.pack("<HHQQ", 1, 16, values["size"] % 2**64, values["packed"] % 2**64)
    fixed = struct.pack(
        "<5H3L2H", 45, values["flags"] % 2**16, values["method"] % 2**16, 0, 33,
        values["crc"] % 2**32, 2**32 - 1, 2**32 - 1, len(values["name"]), len(extra),
    )  # fmt: skip
    return fixed, values["name"] + extra


def write(members, end):
    body, listed = io.BytesIO(), io.BytesIO()
    for member in members:
        content = member.compressed()
        values = member.record(len(content))
        offset = body.tell() if member.offset is None else member.offset
        fixed, rest = common(values | member.local)
        body.write(b"PK\3\4" + fixed + rest + content)
        fixed, rest = common(values)
        listed.write(b"PK\1\2" + struct.pack("<H", 45) + fixed)
        listed.write(struct.pack("<3H2L", 0, 0, 0, 0, offset % 2**32) + rest)
    size, start = listed.tell(), body.tell()
    known = {"count": len(members), "size": size, "start": start, "at": start + size}
    said = {key: value % 2**64 for key, value in (known | end).items()}
    end64 = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, said["count"], said["count"], said["size"],
        said["start"],
    )  # fmt: skip
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, said["at"], 1)
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    return body.getvalue() + listed.getvalue() + end64 + locator + last


# Changes


def number(rng):
    """A whole number of the kind that breaks things."""
    exponent = int(
        rng.choice([0, 1, 3, 7, 8, 15, 16, 20, 31, 32, 40, 48, 62, 63, 64, 127, 128, 1000])
    )
    return int(rng.choice([-1, 1])) * (2**exponent + int(rng.integers(-1, 2)))


def many(rng):
    """Mostly a few; one of a hundred times enough to cost something."""
    return int(10 ** rng.uniform(0, 2.5 if rng.random() < 0.99 else 5.7))


def value(rng, old):
    """Another JSON value."""
    wide = [
        lambda: number(rng),
        lambda: 10 ** int(rng.integers(30, 6000)),
        lambda: float(rng.choice([0.0, -0.5, 1e-300, 1e300, np.nan, np.inf])),
        lambda: rng.choice([None, True, False]),
        lambda: "x" * many(rng),
        lambda: str(rng.choice(["float64", "SGD", "Adam", "relu", "dense", "kept", "v", "fastbp"])),
        lambda: [],
        lambda: {},
        lambda: [old] * many(rng),
        lambda: {str(i): old for i in range(many(rng))},
        lambda: nest(old, many(rng)),
    ]
    new = wide[rng.integers(len(wide))]()
    return bool(new) if isinstance(new, np.bool_) else new


def nest(old, depth):
    """JSON text of deep lists, which Python's own writer would not write."""
    return Text("[" * depth + json.dumps(old, default=str) + "]" * depth)


class Text(str):
    """Stands for itself in the header, without quotes."""


def change_header(rng, members, end):
    member = next(member for member in members if member.name == "header.npy")
    fields = json.loads(member.content[member.content.index(b"\n") + 1 :])
    texts = []
    for _ in range(rng.integers(1, 3)):
        places = list(walk(fields))
        owner, key = places[rng.integers(len(places))]
        what = rng.integers(4)
        if what == 0 and isinstance(owner, dict):
            del owner[key]
        elif what == 1 and isinstance(owner, list):
            owner.insert(key, owner[key])
        elif what == 2:
            other, there = places[rng.integers(len(places))]
            owner[key] = json.loads(json.dumps(other.get(there) if isinstance(other, dict) else 0))
        else:
            new = value(rng, owner[key])
            if isinstance(new, Text):
                texts.append(new)
                new = f"@{len(texts) - 1}@"
            owner[key] = new
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    text = json.dumps(fields)
    sys.set_int_max_str_digits(limit)
    for i, new in enumerate(texts):
        text = text.replace(f'"@{i}@"', new)
    member.content = npy(np.frombuffer(text.encode(), np.uint8))


def walk(tree):
    """Every place in a JSON value, as its owner and the key there."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from walk(tree[key])


def change_array_header(rng, members, end):
    member = members[rng.integers(len(members))]
    head, _, rest = member.content.partition(b"\n")
    what = rng.integers(5)
    if what == 0:
        shapes = [f"({number(rng)},)", "()", "(0,)", "(2, 3)", "(1" * 400, "-" * 900 + "1", "31"]
        head = head[:10] + str(
            {"descr": "<f4", "fortran_order": False, "shape": 0}
        ).encode().replace(b"0}", shapes[rng.integers(len(shapes))].encode() + b", }")
        head = head[:8] + struct.pack("<H", len(head) - 9) + head[10:]
    elif what == 1:
        kinds = [b"<f4", b"<f8", b">f4", b"|O", b"|u1", b"<U9999999", b"|S0", b"<M8"]
        old, new = rng.choice(kinds[:2]), kinds[rng.integers(len(kinds))]
        head = head.replace(old, new)
    elif what == 2:
        place = int(rng.integers(len(head) or 1))
        head = head[:place] + bytes([rng.integers(256)]) + head[place + 1 :]
    elif what == 3:
        head = head[:6] + bytes([rng.integers(5), 0]) + struct.pack("<L", abs(number(rng)) % 2**32)
    else:
        head = head.replace(b"False", b"True ")
    member.content = head + b"\n" + rest


def change_numbers(rng, members, end):
    """Other numbers in an array."""
    member = members[rng.integers(len(members))]
    odd = struct.pack("<f", rng.choice([np.nan, np.inf, -1.0, 1e-40, 3e38]))
    if len(member.content) > 140:
        place = 128 + 4 * int(rng.integers((len(member.content) - 128) // 4))
        member.content = member.content[:place] + odd + member.content[place + 4 :]


def change_members(rng, members, end):
    one, other = (members[rng.integers(len(members))] for _ in range(2))
    what = rng.integers(7)
    if what == 0:
        one.content, other.content = other.content, one.content
    elif what == 1:
        members.remove(one)
    elif what == 2:
        members.insert(0, Member(one.name, other.content, other.method))
    elif what == 3:
        one.name = str(rng.choice(["", "flat.npy", "flat", "x.npy", "../flat.npy", "buffer:.npy"]))
    elif what == 4:
        members += [Member(f"buffer:{i}.npy", b"", 0) for i in range(many(rng) // 10)]
    elif what == 5:
        one.content = one.content[: rng.integers(len(one.content) + 1)]
    else:
        one.method, one.bomb = zipfile.ZIP_DEFLATED, True


def change_records(rng, members, end):
    member = members[rng.integers(len(members))]
    field = str(rng.choice(["crc", "size", "packed", "offset", "method", "flags", "local"]))
    if field == "local":
        key = str(rng.choice(["crc", "size", "packed", "method", "flags"]))
        member.local[key] = abs(number(rng))
    else:
        setattr(
            member,
            field,
            int(rng.choice([0, 1, 8, 12, 14])) if field == "method" else abs(number(rng)),
        )


def change_end(rng, members, end):
    end[str(rng.choice(["count", "size", "start", "at"]))] = abs(number(rng))


def change_nothing(rng, members, end):
    for member in members:
        member.method = int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))


CHANGES = [
    change_header, change_header, change_header, change_array_header, change_numbers,
    change_members, change_records, change_end, change_nothing,
]  # fmt: skip


def damage(rng, content):
    """Other bytes anywhere."""
    place, size = int(rng.integers(len(content))), int(10 ** rng.uniform(0, 3))
    what = rng.integers(5)
    if what == 0:
        return content[:place]
    if what == 1:
        return content[:place] + content[place + size :]
    if what == 2:
        return content[:place] + rng.bytes(size) + content[place:]
    if what == 3:
        return content[:place] + content[max(0, place - size) :]
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def forged(rng, good):
    """A file made from a good one, and whether its parts were changed or some bytes alone."""
    with zipfile.ZipFile(io.BytesIO(good)) as file:
        members = [Member(name, file.read(name), 0) for name in file.namelist()]
    if rng.random() < 0.2:
        return damage(rng, good), False
    end = {}
    for _ in range(rng.integers(1, 4)):
        try:
            if members:
                CHANGES[rng.integers(len(CHANGES))](rng, members, end)
        except SPOILT:
            continue
    content = write(members, end)
    return (damage(rng, content) if rng.random() < 0.1 else content), True


# What must hold


def bits(net):
    state = net.optimizer_state
    return {
        "structure": (repr(net), net.layers, net.dtype, net.l2, list(net.params)),
        "flat": net.flat.tobytes(),
        "buffers": {name: array.tobytes() for name, array in net.buffers.items()},
        "generators": (net._seed, net._rng.bit_generator.state),
        "optimizer": state
        and {
            "numbers": (state.name, str(state.constants), state.steps),
            "arrays": {name: array.tobytes() for name, array in state.arrays.items()},
        },
    }


def holds(net, path):
    """The network is what NumPy and json read in the file, is kept once more, and takes a step."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays.pop("header").tobytes())
    state, want = net.optimizer_state, {"flat": net.flat}
    want |= {f"buffer:{name}": array for name, array in net.buffers.items()}
    if state is not None:
        want |= {f"optimizer:{name}": array for name, array in state.arrays.items()}
        assert header["optimizer"]["steps"] == state.steps
    assert {k: a.tobytes() for k, a in want.items()} == {k: a.tobytes() for k, a in arrays.items()}
    assert (header["n_in"], header["seed"], header["l2"]) == (net.n_in, net._seed, net.l2)
    assert header["rng"] == net._rng.bit_generator.state
    net.save(path)
    assert bits(bp.load(path, parts=PARTS)) == bits(net)
    if max(net._layout.widths) > 1000 or net.optimizer_state is None:
        return
    optimizer = bp.Adam(0.01) if net.optimizer_state.name == "Adam" else bp.SGD(0.1, momentum=0.9)
    classes = isinstance(net.loss_function, bp.SoftmaxCrossEntropy)
    with contextlib.suppress(bp.FastbpError):  # such as OptimizerError
        net.step(np.ones((2, net.n_in)), [0, 0] if classes else np.ones((2, net.n_out)), optimizer)


def attempt(path, good, content, changed):
    """Load the file; "loaded" or the name of the error. Whatever else it does is an error here."""
    path.write_bytes(content)
    tracemalloc.reset_peak()
    before, start = tracemalloc.get_traced_memory()[0], time.process_time()
    signal.alarm(HANG)
    try:
        net, outcome, message = bp.load(path, parts=PARTS), "loaded", ""
    except REFUSALS as exc:
        net, outcome, message = None, type(exc).__name__, str(exc)
    finally:
        signal.alarm(0)
    seconds = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1] - before
    arrays = [] if net is None else [net.flat, *net.buffers.values()]
    assert peak < MEMORY + 2 * sum(array.nbytes for array in arrays), f"{peak / 1e6:.0f} MB"
    assert len(message) < 10_000, "a message as long as the file"
    assert seconds < SECONDS, f"{seconds:.2f} s"
    if net is not None and changed:
        holds(net, path)
    elif net is not None:
        path.write_bytes(good)
        assert bits(net) == bits(bp.load(path, parts=PARTS)), "loaded with other bits"
    return outcome


def hang(*_):
    raise TimeoutError(f"still at it after {HANG} seconds")


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--case", type=int, help="this one alone")
    options = options.parse_args()
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, hang)
    end, outcomes, case = time.monotonic() + options.seconds, {}, options.case or 0
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # no disk to wait for
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        path, goods = Path(folder, "net.npz"), []
        for net in networks():
            net.save(path)
            goods.append(path.read_bytes())
        tracemalloc.start()
        while True:
            rng = np.random.default_rng([options.seed, case])
            good = goods[rng.integers(len(goods))]
            content, changed = forged(rng, good)
            try:
                outcome = attempt(path, good, content, changed)
            except BaseException:
                traceback.print_exc()
                kept = Path(tempfile.gettempdir(), f"fastbp-load-{options.seed}-{case}.npz")
                kept.write_bytes(content)
                print(f"{kept}: python {sys.argv[0]} --seed {options.seed} --case {case}")
                return 1
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            case += 1
            if options.case is not None or time.monotonic() > end:
                break
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(f"{sum(outcomes.values())} files, seed {options.seed}: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

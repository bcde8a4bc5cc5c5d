"""Capsules and tables that do not fit are refused when a network is built, never called."""

import ctypes

import numpy as np
import pytest

import fastbp as bp

# A table of one's own: its head as fields, its functions as a list of pointers.
TABLES = """
def changed(name, kind, **fields):
    # the table `name` of the library, copied and changed: {field: value} or {"slot3": None}
    size = {"layer": 56, "elementwise": 64, "loss": 56}[kind]
    words = (ctypes.c_uint64 * 64).from_buffer(
        bytearray(ctypes.string_at(table(name), size) + bytes(64 * 8 - size)))
    head = (ctypes.c_uint32 * 4).from_buffer(words)
    for field, value in fields.items():
        if field.startswith("slot"):
            words[2 + int(field[4:])] = value
        else:
            head[["struct_size", "minor", "flags", "least_minor"].index(field)] = value
    KEPT.append(words)
    return capsule(ctypes.addressof(words), NAMES[kind])


KEPT = []
"""
PARTS = {  # kind: (name, method, function slots in order)
    "elementwise": ("half", "__fastbp_elementwise__", ["f", "f", "df", "df", "backward"]),
    "layer": ("scale", "__fastbp_layer__", ["forward", "forward", "backward", "backward"]),
    "loss": ("squares", "__fastbp_loss__", ["loss_and_delta", "loss_and_delta"]),
}
SIZES = {"layer": 56, "elementwise": 64, "loss": 56}
ENTRY = {
    "elementwise": "layer 'half' = acme_c:Half of acme-c 3.0",
    "layer": "layer 'scale' = acme_c:Scale of acme-c 3.0",
    "loss": "loss 'squares' = acme_c:Squares of acme-c 3.0",
}


@pytest.fixture(params=PARTS)
def kind(request):
    return request.param


@pytest.fixture
def build(kind, install_c, monkeypatch):
    """build(body, dtype): a network with the part whose capsule method returns `body`, an
    expression in the plugin's module."""
    module = install_c(TABLES)
    name, method, _ = PARTS[kind]
    cls = {"half": module.Half, "scale": module.Scale, "squares": module.Squares}[name]
    kept = getattr(cls, method)

    def build(body, dtype="float32"):
        names = {**vars(module), "kept": lambda: kept(None)}
        monkeypatch.setattr(cls, method, lambda self: eval(body, names), raising=True)
        if kind == "loss":
            return bp.Network(3, [bp.Dense(2)], loss=name, dtype=dtype, rng=0)
        return bp.Network(3, [bp.Dense(2), name], loss="squared_error", dtype=dtype, rng=0)

    return build


def step(net):
    return net.step(np.eye(3), np.ones((3, 2)), bp.SGD(0.1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_good_table(kind, build, dtype):
    net = build("kept()", dtype)
    X, y = np.eye(3), np.ones((3, 2))
    losses = [net.step(X, y, bp.SGD(0.1)) for _ in range(50)]
    assert losses[-1] < losses[0] / 10
    assert net.loss(X, y) < losses[0] / 10


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("None", "gave None; wanted a PyCapsule"),
        ("table", "wanted a PyCapsule"),
        ("new(table({name!r}), b'fastbp.{kind}_v2', None)", "named 'fastbp.{kind}_v2'"),
        ("new(table({name!r}), b'other', None)", "named 'other'; this fastbp knows"),
        ("new(table({name!r}), None, None)", "named None; this fastbp knows"),
        ("changed({name!r}, {kind!r}, struct_size={less})", "a table of {less} bytes; version 1.0"),
        ("changed({name!r}, {kind!r}, struct_size=0)", "a table of 0 bytes; version 1.0 has"),
    ],
    ids=["None", "function", "major 2", "other name", "no name", "smaller", "size 0"],
)
def test_what_is_no_table_of_this_version(kind, build, plugin_error, body, words):
    fields = {"name": PARTS[kind][0], "kind": kind, "less": SIZES[kind] - 8}
    method = f"{PARTS[kind][1]}() gave"
    plugin_error(lambda: build(body.format(**fields)), ENTRY[kind], method, words.format(**fields))


def test_a_method_that_fails(kind, build, plugin_error):
    error = plugin_error(lambda: build("1 / 0"), ENTRY[kind], PARTS[kind][1], "ZeroDivisionError")
    assert isinstance(error.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("size", [100, 10_000, 2**32 - 8])
def test_a_larger_table_loads_and_its_tail_is_ignored(kind, build, size):
    want = build("kept()")
    losses = [step(want) for _ in range(3)]
    head = f"struct_size={size}, minor=99"
    got = build(f"changed({PARTS[kind][0]!r}, {kind!r}, {head})")
    assert [step(got) for _ in range(3)] == losses
    assert got.flat.tobytes() == want.flat.tobytes()


FLAGS = {"layer": 0b00011, "elementwise": 0b01111, "loss": 0b10011}  # that plugin.h gives each


@pytest.mark.parametrize("bit", range(32))
def test_a_flag_that_this_version_has_not_for_such_a_table(kind, build, plugin_error, bit):
    body = f"changed({PARTS[kind][0]!r}, {kind!r}, minor=7, flags={1 << bit})"
    if (kind, bit) == ("loss", 4):  # known, but the class says otherwise
        words = ["rows_independent is True; wanted FASTBP_WHOLE_BATCH"]
    elif FLAGS[kind] >> bit & 1:
        assert np.isfinite(step(build(body)))
        return
    else:
        words = ["version 1.7 of the contract", f"flags {1 << bit:#x}", "this fastbp knows 1.0"]
    plugin_error(lambda: build(body), ENTRY[kind], PARTS[kind][1], *words)


@pytest.mark.parametrize("least", [1, 2, 2**32 - 1])
def test_a_table_that_needs_a_later_host(kind, build, plugin_error, least):
    body = f"changed({PARTS[kind][0]!r}, {kind!r}, minor=9, least_minor={least})"
    words = "of version 1.9 of the contract", f"needs 1.{least} or later", "this fastbp knows 1.0"
    plugin_error(lambda: build(body), ENTRY[kind], PARTS[kind][1], *words)


def test_a_missing_function(kind, build, plugin_error):
    name, _, slots = PARTS[kind]
    for function in dict.fromkeys(slots):
        first = slots.index(function)
        none = f"changed({name!r}, {kind!r}, slot{first}=0, slot{first + 1}=0)"
        if function == "backward" and kind == "elementwise":
            build(none)  # optional: the host multiplies what df gives
            continue
        for dtype in ("float32", "float64"):
            words = f"its table has no function {function!r}"
            plugin_error(lambda body=none, d=dtype: build(body, d), ENTRY[kind], words)
        for type_, (have, lack) in enumerate([("float64", "float32"), ("float32", "float64")]):
            body = f"changed({name!r}, {kind!r}, slot{first + type_}=0)"
            with pytest.raises(bp.DtypeError) as caught:
                build(body, lack)
            assert str(caught.value) == f"{ENTRY[kind]}: computes in {have} only; wanted {lack}"
            assert np.isfinite(step(build(body, have)))


def test_nothing_else_is_disturbed(kind, build, plugin_error, bits):
    net = build("kept()")
    step(net)
    before = bits(net)
    plugin_error(lambda: build("None"))
    assert bits(net) == before
    assert np.isfinite(step(net))


def test_sizes_of_version_1_0():
    """What the tests above take for the size of each table, by plugin.h's fields."""
    pointer = ctypes.sizeof(ctypes.c_void_p)
    assert {"layer": 16 + 5 * pointer, "elementwise": 16 + 6 * pointer,
            "loss": 16 + 5 * pointer} == SIZES  # fmt: skip

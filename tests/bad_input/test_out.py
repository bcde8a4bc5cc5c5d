"""forward(out=): what it can be filled into, and what it cannot."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as bp

ROWS = 5


def misaligned():
    memory = np.frombuffer(bytearray(ROWS * 3 * 4 + 1), np.uint8)
    return memory[1:].view(np.float32).reshape(ROWS, 3)


def read_only():
    out = np.zeros((ROWS, 3), np.float32)
    out.flags.writeable = False
    return out


COPY = "wanted C-contiguous and aligned (numpy.require(out, requirements='CA') copies it)"
SHAPE = "out: got shape {}; wanted (5, 3)"
KIND = "out: got dtype {}; wanted float32"
BAD = {
    "too few rows": (np.zeros((4, 3), "f4"), bp.ShapeError, SHAPE.format("(4, 3)")),
    "too many rows": (np.zeros((6, 3), "f4"), bp.ShapeError, SHAPE.format("(6, 3)")),
    "one row to broadcast": (np.zeros((1, 3), "f4"), bp.ShapeError, SHAPE.format("(1, 3)")),
    "width": (np.zeros((5, 2), "f4"), bp.ShapeError, SHAPE.format("(5, 2)")),
    "transposed": (np.zeros((3, 5), "f4"), bp.ShapeError, SHAPE.format("(3, 5)")),
    "flat": (np.zeros(15, "f4"), bp.ShapeError, SHAPE.format("(15,)")),
    "three axes": (np.zeros((1, 5, 3), "f4"), bp.ShapeError, SHAPE.format("(1, 5, 3)")),
    "float64": (np.zeros((5, 3)), bp.DtypeError, KIND.format("float64")),
    "int32": (np.zeros((5, 3), "i4"), bp.DtypeError, KIND.format("int32")),
    "object": (np.zeros((5, 3), object), bp.DtypeError, KIND.format("object")),
    "byte-swapped": (np.zeros((5, 3), ">f4"), bp.DtypeError, KIND.format(">f4")),
    "list": ([[0.0] * 3] * 5, bp.DtypeError, "out: got list; wanted a NumPy array"),
    "masked": (
        np.ma.masked_all((5, 3), "f4"),
        bp.DtypeError,
        "out: got MaskedArray; wanted a NumPy array",
    ),
    "Fortran-ordered": (
        np.zeros((5, 3), "f4", order="F"),
        bp.ShapeError,
        f"out: got a non-contiguous array with strides (4, 20); {COPY}",
    ),
    "every other row": (
        np.zeros((10, 3), "f4")[::2],
        bp.ShapeError,
        f"out: got a non-contiguous array with strides (24, 4); {COPY}",
    ),
    "backwards": (
        np.zeros((5, 3), "f4")[::-1],
        bp.ShapeError,
        f"out: got a non-contiguous array with strides (-12, 4); {COPY}",
    ),
    "broadcast": (
        np.lib.stride_tricks.as_strided(np.zeros(3, "f4"), (5, 3), (0, 4)),
        bp.ShapeError,
        f"out: got a non-contiguous array with strides (0, 4); {COPY}",
    ),
    "misaligned": (
        misaligned(),
        bp.ShapeError,
        f"out: got a misaligned array with strides (12, 4); {COPY}",
    ),
    "read-only": (
        read_only(),
        bp.ConfigError,
        "out: got a read-only array; wanted one that can be written to",
    ),
}


@pytest.mark.parametrize(("out", "error", "message"), BAD.values(), ids=BAD)
def test_bad_out_is_not_written_to(net, X, refuses, out, error, message):
    before = np.array(out, copy=True)
    refuses(net, error, message, lambda: net.forward(X, out=out))
    assert np.array(out).tobytes() == before.tobytes()


def test_out_is_filled_and_returned(net, X):
    out = np.full((ROWS, 3), np.nan, np.float32)
    assert net.forward(X, out=out) is out
    assert out.tobytes() == net.forward(X).tobytes()


def test_out_may_be_part_of_something_larger(net, X):
    larger = np.full((7, 3), 7, np.float32)
    net.forward(X, out=larger[1:6])
    assert larger[1:6].tobytes() == net.forward(X).tobytes()
    assert (larger[[0, 6]] == 7).all()


OVERLAP = "out: shares memory with {}; wanted an array with memory of its own"


@pytest.mark.parametrize("rows", [slice(0, 5), slice(1, 6), slice(4, 9)], ids=str)
def test_out_may_not_overlap_x(net, refuses, rows):
    memory = np.ones((9, 3), np.float32)
    X, out = memory[:5], memory[rows]
    refuses(net, bp.ConfigError, OVERLAP.format("X"), lambda: net.forward(X, out=out))
    assert (memory == 1).all()


@pytest.mark.parametrize("start", [0, 5, 16])
def test_out_may_not_overlap_the_parameters(net, X, refuses, start):
    out = net.flat[start : start + 15].reshape(ROWS, 3)
    refuses(net, bp.ConfigError, OVERLAP.format("parameters"), lambda: net.forward(X, out=out))


def test_out_beside_x_in_one_block_of_memory_is_no_overlap(net, X):
    memory = np.ones((10, 3), np.float32)
    memory[:5] = X
    net.forward(memory[:5], out=memory[5:])
    assert memory[5:].tobytes() == net.forward(X).tobytes()
    assert (memory[:5] == X).all()


def test_bad_x_leaves_out_alone(net, X, refuses):
    out = np.full((ROWS, 3), 7, np.float32)
    message = "X: got shape (5, 2); wanted (batch, 3)"
    refuses(net, bp.ShapeError, message, lambda: net.forward(X[:, :2], out=out))
    assert (out == 7).all()

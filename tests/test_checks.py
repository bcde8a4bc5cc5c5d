"""checks.py function by function: what passes untouched, what is converted, what is refused.

bad_input/ has the same errors as users meet them.
"""

from __future__ import annotations

import inspect
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fastbp import checks
from fastbp.errors import ConfigError, DtypeError, LabelError, NonFiniteError, ShapeError

F32, F64 = checks.FLOATS
few = settings(max_examples=25, deadline=None)


def raises(error, message, function, *arguments, **keywords):
    """The function raises exactly this error with exactly this message."""
    with pytest.raises(error) as caught:
        function(*arguments, **keywords)
    assert type(caught.value) is error
    assert str(caught.value) == message


def misaligned(shape, dtype=F32):
    size = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer(bytearray(size + 1), np.uint8)[1:].view(dtype).reshape(shape)


def test_every_function_has_a_test_here():
    public = [
        name
        for name, function in inspect.getmembers(checks, inspect.isfunction)
        if function.__module__.startswith(checks.__name__) and not name.startswith("_")
    ]
    text = inspect.getsource(inspect.getmodule(raises))
    assert [name for name in public if f"checks.{name}" not in text] == []


@pytest.mark.parametrize(
    ("shape", "names", "words"),
    [
        ((3,), (), "(3,)"),
        ((None, 3), (), "(*, 3)"),
        ((None, 3), ("batch",), "(batch, 3)"),
        ((), (), "()"),
    ],
)
def test_describe_shape(shape, names, words):
    assert checks.describe_shape(shape, names) == words


# operand and no_overlap: a kernel's arguments, as they are


@pytest.mark.parametrize("dtype", checks.FLOATS, ids=str)
@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (1, 1), (2, 0), (5,), ()], ids=str)
def test_operand_takes_what_kernels_can_use(dtype, shape):
    array = np.zeros(shape, dtype)
    assert checks.operand("x", array, shape) is array.dtype
    assert checks.operand("x", array, (None,) * len(shape), dtype, out=True) is array.dtype
    array.flags.writeable = False
    assert checks.operand("x", array, shape, dtype) is array.dtype


def test_operand_takes_other_dtypes_by_name():
    labels = np.zeros(3, np.int64)
    assert checks.operand("l", labels, (3,), np.dtype(np.int64)) == np.int64
    raises(
        DtypeError,
        "l: got dtype int64; wanted float32 or float64",
        checks.operand,
        "l",
        labels,
        (3,),
    )


COPY = "wanted C-contiguous and aligned (numpy.require(x, requirements='CA') copies it)"
OPERANDS = {
    "a list": ([[1.0]], DtypeError, "x: got list; wanted a NumPy array"),
    "masked": (np.ma.zeros((2, 3)), DtypeError, "x: got MaskedArray; wanted a NumPy array"),
    "byte-swapped": (
        np.zeros((2, 3), ">f4"),
        DtypeError,
        "x: got dtype >f4; wanted float32 or float64",
    ),
    "half": (np.zeros((2, 3), "f2"), DtypeError, "x: got dtype float16; wanted float32 or float64"),
    "transposed shape": (np.zeros((3, 2)), ShapeError, "x: got shape (3, 2); wanted (*, 3)"),
    "one axis": (np.zeros(3), ShapeError, "x: got shape (3,); wanted (*, 3)"),
    "Fortran-ordered": (
        np.zeros((2, 3), order="F"),
        ShapeError,
        f"x: got a non-contiguous array with strides (8, 16); {COPY}",
    ),
    "misaligned": (
        misaligned((2, 3)),
        ShapeError,
        f"x: got a misaligned array with strides (12, 4); {COPY}",
    ),
}


@pytest.mark.parametrize("out", [False, True])
@pytest.mark.parametrize(("array", "error", "message"), OPERANDS.values(), ids=OPERANDS)
def test_operand_refuses_the_rest(array, error, message, out):
    raises(error, message, checks.operand, "x", array, (None, 3), out=out)


def test_operand_wants_outputs_that_can_be_written_to():
    array = np.zeros(3)
    array.flags.writeable = False
    message = "x: got a read-only array; wanted one that can be written to"
    raises(ConfigError, message, checks.operand, "x", array, (3,), out=True)


@few
@given(st.integers(0, 8), st.integers(0, 8), st.integers(1, 4), st.integers(1, 4))
def test_no_overlap_is_about_bounds(first, second, size, other):
    memory = np.zeros(16)
    out, x = memory[first : first + size], memory[second : second + other]
    if first + size <= second or second + other <= first:
        checks.no_overlap("out", out, x=x, b=None)
    else:
        message = "out: shares memory with x; wanted an array with memory of its own"
        raises(ConfigError, message, checks.no_overlap, "out", out, b=None, x=x)


# Numbers and flags


@pytest.mark.parametrize("value", [1, 7, np.int8(7), np.uint64(7)])
def test_integer(value):
    assert checks.integer("n", value, low=1) == value
    assert type(checks.integer("n", value, low=1)) is int


@pytest.mark.parametrize("value", [0, -1, 1.0, True, np.True_, "1", None, np.float64(1), [1]])
def test_no_integer(value):
    message = f"n: got {value!r}; wanted a whole number >= 1"
    raises(ConfigError, message, checks.integer, "n", value, low=1)


def test_boolean():
    assert checks.boolean("flag", True) is True
    assert checks.boolean("flag", np.False_) is False
    for value in (0, 1, None, "True", np.ones(1, bool)):
        message = f"flag: got {value!r}; wanted True or False"
        raises(ConfigError, message, checks.boolean, "flag", value)


@few
@given(st.one_of(st.floats(), st.integers(), st.fractions()), st.booleans())
def test_number_takes_exactly_its_range(value, open_low):
    kept = float(value)
    inside = (kept > 0 if open_low else kept >= 0) and kept < 1
    if inside:
        number = checks.number("p", value, high=1.0, open_low=open_low)
        assert type(number) is float
        assert number == kept
    else:
        message = f"p: got {value!r}; wanted a finite number {'>' if open_low else '>='} 0 and < 1"
        raises(ConfigError, message, checks.number, "p", value, high=1.0, open_low=open_low)


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), Fraction(1, 10**400), math.inf, math.nan, True, "1", None, 1j]
)
def test_number_judges_what_it_keeps(value):
    message = f"lr: got {value!r}; wanted a finite number > 0"
    raises(ConfigError, message, checks.number, "lr", value, open_low=True)


def test_float_dtype():
    for name in ("float32", np.float32, "f4", "single", F32):
        assert checks.float_dtype("dtype", name) == F32
    for name in ("float64", float, "f8"):
        assert checks.float_dtype("dtype", name) == F64
    for name in (None, "float16", ">f4", int, complex, "no dtype", 3):
        message = f"dtype: got {name!r}; wanted float32 or float64"
        raises(DtypeError, message, checks.float_dtype, "dtype", name)


# Arrays that users hand over


def test_viewed_takes_any_dtype():
    array = np.ones(2)
    assert checks.viewed("y", array) is array
    assert checks.viewed("y", ["a", "b"]).tolist() == ["a", "b"]
    raises(DtypeError, "y: got object; wanted a dense array", checks.viewed, "y", object())


def test_as_real_views_what_it_can():
    array = np.ones((2, 3))
    assert checks.as_real("X", array) is array
    assert np.shares_memory(checks.as_real("X", memoryview(array)), array)
    assert np.shares_memory(checks.as_real("X", np.ma.array(array)), array)
    assert type(checks.as_real("X", np.ma.array(array))) is np.ndarray
    assert checks.as_real("X", [[1, 2], [3, 4]]).dtype.kind == "i"


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", ">i4", "f2", ">f8", "g"])
def test_as_real_keeps_real_dtypes(dtype):
    assert checks.as_real("X", np.ones(2, dtype)).dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["F", "O", "U1", "S1", "M8[s]", "m8[s]", "V2"])
def test_as_real_refuses_other_dtypes(dtype):
    array = np.zeros(2, dtype)
    message = f"X: got dtype {array.dtype}; wanted real numbers"
    raises(DtypeError, message, checks.as_real, "X", array)


def test_cast_keeps_what_will_do_and_copies_when_asked():
    array = np.ones((2, 3), F32)
    assert checks.cast("X", array, F32) is array
    assert not np.shares_memory(checks.cast("X", array, F32, copy=True), array)
    renamed = array.astype(np.dtype(F32, metadata={"unit": "m"}))  # NumPy gives a view of it
    assert not np.shares_memory(checks.cast("X", renamed, F32, copy=True), renamed)
    for strange in (array.astype(F64), array.astype(">f4"), np.asfortranarray(array)):
        result = checks.cast("X", strange, F32)
        assert result.flags.carray
        assert result.dtype == F32
        assert not np.shares_memory(result, strange)


@few
@given(arrays.arrays(np.float64, (3, 2), elements=st.floats(width=64)))
def test_cast_refuses_exactly_what_overflows(array):
    with np.errstate(all="ignore"):
        want = array.astype(F32)
    over = np.isinf(want) & np.isfinite(array)
    if not over.any():
        assert checks.cast("X", array, F32).tobytes() == want.tobytes()
        return
    row, column = np.argwhere(over)[0]
    message = (
        f"X: got {array[row, column]!s} at row {row + 10}, column {column}, which overflows "
        "float32; wanted numbers up to 3.4e+38"
    )
    raises(NonFiniteError, message, checks.cast, "X", array, F32, np.arange(10, 13))


def test_rows_of_and_matrix():
    array = np.ones((2, 3), np.int32)
    assert checks.rows_of("X", array, 3) is array
    assert checks.matrix("X", array, 3, F32).dtype == F32
    floats = array.astype(F32)
    assert checks.matrix("X", floats, 3, F32) is floats
    assert not np.shares_memory(checks.matrix("X", floats, 3, F32, copy=True), floats)
    message = "X: got shape (2, 3); wanted (batch, 4)"
    raises(ShapeError, message, checks.matrix, "X", array, 4, F32)
    message = "X: got shape (3,); wanted (batch, 3); one example is X[None, :]"
    raises(ShapeError, message, checks.rows_of, "X", array[0], 3)


def test_not_empty():
    checks.not_empty("X", np.ones((1, 0)))
    message = "X: got shape (0, 3), an empty batch; wanted one row or more"
    raises(ShapeError, message, checks.not_empty, "X", np.ones((0, 3)))


@few
@given(
    arrays.arrays(
        st.sampled_from(checks.FLOATS),
        st.sampled_from([(0, 2), (1, 1), (3, 2), (40, 5)]),
        elements=st.sampled_from([0.0, 1.0, -3e38, 3e38, np.inf, -np.inf, np.nan]),
    )
)
def test_finite_finds_exactly_the_first(array):
    bad = np.argwhere(~np.isfinite(array))
    if len(bad) == 0:
        checks.finite("X", array)
        return
    row, column = bad[0]
    message = f"X: got {array[row, column]} at row {row}, column {column}; wanted finite numbers"
    raises(NonFiniteError, message, checks.finite, "X", array)
    rows = np.arange(len(array)) * 2
    message = message.replace(f"row {row}", f"row {2 * row}")
    raises(NonFiniteError, message, checks.finite, "X", array, rows)


def test_sample_weight():
    assert checks.sample_weight(None, 3) is None
    weights = checks.sample_weight([0, True, 2], 3)
    assert weights.dtype == F64
    assert weights.tolist() == [0, 1, 2]
    assert checks.sample_weight([], 0).shape == (0,)
    bad = [1, np.nan, -1]
    message = "sample_weight: got nan at row 1; wanted finite numbers"
    raises(NonFiniteError, message, checks.sample_weight, bad, 3)
    message = "sample_weight: got -1.0 at row 2; wanted numbers >= 0"
    raises(ConfigError, message, checks.sample_weight, bad, 3, strict=False)
    assert np.isnan(checks.sample_weight([1, np.nan], 2, strict=False)[1])


# Targets


def test_targets_have_a_row_for_each_example():
    labels = np.array([1, 0])
    assert checks.targets(labels, 2) is labels
    assert checks.targets([[0.5, 0.5]], 1).shape == (1, 2)
    message = "y: got shape (2,); wanted 3 rows, as many as X"
    raises(ShapeError, message, checks.targets, labels, 3)
    message = (
        "y: got text ('no'); wanted classes 0, 1, ... "
        "(numpy.unique(y, return_inverse=True) numbers them)"
    )
    raises(LabelError, message, checks.targets, ["no", "yes"], 2)


@few
@given(st.lists(st.integers(-2, 4), min_size=1, max_size=5), st.sampled_from(["i1", "i8", "f4"]))
def test_class_targets_are_in_range(labels, dtype):
    y = np.array(labels, dtype)
    outside = [n for n, label in enumerate(labels) if not 0 <= label < 3]
    if not outside:
        result = checks.class_targets(y, 3, F32)
        assert result.dtype == np.int64
        assert result.tolist() == labels
        assert not np.shares_memory(result, y)
    else:
        message = f"y: got {y[outside[0]]} at row {outside[0]}; wanted classes 0..2"
        raises(LabelError, message, checks.class_targets, y, 3, F32)


@pytest.mark.parametrize("row", [[0.5, 0.5], [1, 0], [0.50004, 0.5], [0, 0.99991]], ids=str)
def test_class_targets_may_be_probabilities(row):
    assert checks.class_targets(np.array([row]), 2, F64).tolist() == [row]


@pytest.mark.parametrize("row", [[0.5, 0.4], [1, 1], [1.5, -0.5], [0.5, 0.5002], [0, 0]], ids=str)
def test_class_targets_may_be_nothing_else(row):
    y = np.array([[0.5, 0.5], row, row])
    with pytest.raises(LabelError, match=r"y: got \[.*\] at row 1, which sums to .*; wanted prob"):
        checks.class_targets(y, 2, F64)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_left_to_who_minds(value):
    y = np.array([[value, 0.5]])
    for function in (checks.class_targets, checks.binary_targets, checks.value_targets):
        assert function(y, 2, F64) is y
    with pytest.raises(LabelError):
        checks.class_targets(np.array([value]), 2, F64)  # but it is no class


def test_value_targets_are_not_broadcast():
    y = np.ones(4)
    assert checks.value_targets(y, 1, F64).shape == (4, 1)
    message = "y: got shape (4, 1); wanted (4, 2)"
    raises(ShapeError, message, checks.value_targets, y[:, None], 2, F64)
    message = "y: got shape (4, 2); wanted (4, 1) or (4,)"
    raises(ShapeError, message, checks.value_targets, np.ones((4, 2)), 1, F64)


def test_binary_targets_lie_between_zero_and_one():
    y = np.array([[0, 1], [0.5, 0], [1, -0.25]])
    assert checks.binary_targets(y[:2], 2, F64).tolist() == y[:2].tolist()
    message = "y: got -0.25 at row 7, column 1; wanted labels in [0, 1]"
    raises(LabelError, message, checks.binary_targets, y, 2, F64, np.array([5, 6, 7]))


def test_choice():
    assert checks.choice("mode", "b", ("a", "b")) == "b"
    for bad in ("c", None, 1, np.array(["a", "b"])):
        with pytest.raises(ConfigError, match=r"^mode: got .*; wanted 'a' or 'b'$"):
            checks.choice("mode", bad, ("a", "b"))


@pytest.mark.parametrize("value", [0, -3, 1025, 2.0, "4", None, True, np.bool_(True)])
def test_a_number_of_threads_is_refused(value):
    wanted = "a whole number >= 1 and <= 1024"
    raises(ConfigError, f"n: got {value!r}; wanted {wanted}", checks.threads, value, name="n")


def test_a_number_of_threads_is_taken():
    assert [checks.threads(n) for n in (1, np.int8(3), 1024)] == [1, 3, 1024]


def test_path():
    assert checks.path("path", "a/b.npz") == "a/b.npz"
    assert checks.path("path", Path("a") / "b.npz") == "a/b.npz"
    for bad in (None, 3, b"a.npz", ["a.npz"]):
        message = f"path: got {bad!r}; wanted a str or a path-like object"
        raises(DtypeError, message, checks.path, "path", bad)

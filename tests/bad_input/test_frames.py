"""pandas' frames and series: numbers work exactly, everything else is refused by its column."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as bp

pd = pytest.importorskip("pandas")

NUMBERS = {"a": [1.0, 2, 3, 4, 5], "b": [0, 1, 0, 1, 0], "c": [0.5, 0, 0.25, 1, 2]}
PLAIN = pd.DataFrame(NUMBERS)


def frame(**columns):
    return pd.DataFrame({**NUMBERS, **columns})


GOOD = {
    "plain": PLAIN,
    "mixed kinds": frame(b=[False, True, False, True, False]),
    "small kinds": PLAIN.astype({"a": "float32", "b": "int8", "c": "float16"}),
    "nullable": PLAIN.astype({"a": "Float64", "b": "Int64", "c": "Float32"}),
    "nullable and plain": PLAIN.astype({"b": "boolean"}),
    "sparse": frame(b=pd.arrays.SparseArray([0, 1, 0, 1, 0])),
    "odd index": PLAIN.set_index(pd.Index(["v", "w", "x", "y", "z"])),
    "one name twice": PLAIN.set_axis(["a", "a", "c"], axis=1),
}


@pytest.mark.parametrize("X", GOOD.values(), ids=GOOD)
def test_numbers_work_exactly(make, y, call, outcome, X):
    clean = np.column_stack(list(NUMBERS.values()))
    assert outcome(make(), call, X, y) == outcome(make(), call, clean, y)


COLUMN = "X: got column {} of dtype {}; wanted real numbers"
BAD = {
    "text": (frame(b=list("pqrst")), COLUMN.format("'b'", "...")),
    "text in a column named by a number": (
        frame(b=list("pqrst")).set_axis([1, 2, 3], axis=1),
        COLUMN.format("2", "..."),
    ),
    "text, and one name twice": (
        frame(b=list("pqrst")).set_axis(["a", "a", "c"], axis=1),
        COLUMN.format("'a'", "..."),
    ),
    "numbers as objects": (
        frame(c=np.array([1, 2, 3, 4, 5], object)),
        COLUMN.format("'c'", "object"),
    ),
    "category": (frame(a=pd.Categorical(list("pqpqp"))), COLUMN.format("'a'", "category")),
    "dates": (frame(a=pd.date_range("2020-01-01", periods=5)), COLUMN.format("'a'", "datetime...")),
    "complex": (frame(c=[1j, 2, 3, 4, 5]), COLUMN.format("'c'", "complex128")),
    "periods": (
        frame(c=pd.period_range("2020", periods=5, freq="Y")),
        COLUMN.format("'c'", "period..."),
    ),
}


@pytest.mark.parametrize(("X", "message"), BAD.values(), ids=BAD)
def test_other_columns_are_named(net, y, call, refuses, X, message):
    refuses(net, bp.DtypeError, message, lambda: call(net, X, y))


def test_a_frame_of_wrong_width(net, y, call, refuses):
    message = "X: got shape (5, 2); wanted (batch, 3)"
    refuses(net, bp.ShapeError, message, lambda: call(net, PLAIN[["a", "b"]], y))


def test_nullable_labels_and_weights_work_exactly(net, X, y):
    weights = np.array([1.0, 0.5, 0, 3, 1])
    want = net.loss(X, y, sample_weight=weights)
    labels, weights = pd.Series(y, dtype="Int64"), pd.Series(weights, dtype="Float64")
    assert net.loss(X, labels, sample_weight=weights) == want
    assert net.loss(X, pd.Categorical([2, 0, 1, 1, 0])) == net.loss(X, y)


@pytest.mark.parametrize("call", ["gradients", "step", "fit"], indirect=True)
def test_a_missing_number_is_nan(net, y, call, refuses):
    X = frame(b=pd.array([0, 1, None, 1, 0], dtype="Int64"))
    assert np.isnan(net.forward(X)).any(axis=1).tolist() == [False, False, True, False, False]
    message = "X: got nan at row 2, column 1; wanted finite numbers"
    refuses(net, bp.NonFiniteError, message, lambda: call(net, X, y))


LABELS = {
    "missing": (
        pd.Series([0, 1, None, 1, 0], dtype="Int64"),
        bp.LabelError,
        "y: got nan at row 2; wanted whole numbers 0..2",
    ),
    "text": (
        pd.Series(list("pqpqp")),
        bp.LabelError,
        "y: got text ('p'); wanted classes 0, 1, ... (numpy.unique(y, return_inverse=True) ...",
    ),
    "category of text": (
        pd.Series(list("pqpqp"), dtype="category"),
        bp.LabelError,
        "y: got text ('p'); wanted classes ...",
    ),
    "frame of one column": (
        pd.DataFrame({"y": [0, 1, 0, 1, 0]}),
        bp.ShapeError,
        "y: got shape (5, 1); wanted (5,): pass y.ravel(), or numpy.ravel(y) where y is no array",
    ),
    "frame with text": (
        pd.DataFrame({"p": [0.5] * 5, "q": list("abcde"), "r": [0.5] * 5}),
        bp.DtypeError,
        "y: got column 'q' of dtype ...; wanted real numbers",
    ),
}


@pytest.mark.parametrize("call", ["loss", "gradients", "step", "fit"], indirect=True)
@pytest.mark.parametrize(("y", "error", "message"), LABELS.values(), ids=LABELS)
def test_bad_labels(net, X, call, refuses, y, error, message):
    refuses(net, error, message, lambda: call(net, X, y))

"""Targets that are none, through every method that takes them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import fastbp as bp
from fastbp.testing import gradcheck

CALLS = ["loss", "gradients", "loss_and_grad", "step", "fit", "validation"]
GIVEN = np.array([2, 0, 1, 1, 0])
COLUMN = "y: got shape (5, 1); wanted (5,): pass y.ravel(), or numpy.ravel(y) where y is no array"


class Unwilling:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call detach() first")


def rows(*first, batch=5):
    """Probability rows, good ones but for the one at row 1."""
    p = np.full((batch, len(first)), 1 / len(first))
    p[1] = first
    return p


CLASS = "y: got {} at row {}; wanted classes 0..2"
WHOLE = "y: got {} at row {}; wanted whole numbers 0..2"
TEXT = (
    "y: got text ('a'); wanted classes 0, 1, ... "
    "(numpy.unique(y, return_inverse=True) numbers them)"
)
SUM = (
    "y: got [{}] at row 1, which sums to {}; wanted probabilities >= 0 that sum to 1 "
    "(several labels per row need loss='sigmoid_cross_entropy')"
)
KIND = "y: got dtype {}; wanted real numbers"
ROWS = "y: got shape {}; wanted 5 rows, as many as X"
SHAPE = "y: got shape {}; wanted (5,) or (5, 3)"
SOFTMAX = {
    "negative": ([2, 0, -1, 1, 0], bp.LabelError, CLASS.format("-1", 2)),
    "too large": ([2, 0, 1, 3, 0], bp.LabelError, CLASS.format("3", 3)),
    "far too large": (
        np.array([2, 0, 1, 1, 2**64 - 1], np.uint64),
        bp.LabelError,
        CLASS.format(2**64 - 1, 4),
    ),
    "negative, byte-swapped": (
        np.array([2, -2, 1, 1, 0], ">i4"),
        bp.LabelError,
        CLASS.format(-2, 1),
    ),
    "negative float": ([2.0, 0, 1, 1, -1], bp.LabelError, CLASS.format("-1.0", 4)),
    "huge float": ([2.0, 0, 1, 1, 1e300], bp.LabelError, CLASS.format("1e+300", 4)),
    "fractional": ([2, 0, 1, 0.5, 0], bp.LabelError, WHOLE.format("0.5", 3)),
    "nan": ([np.nan, 0, 1, 1, 0], bp.LabelError, WHOLE.format("nan", 0)),
    "inf": ([2, 0, 1, 1, np.inf], bp.LabelError, WHOLE.format("inf", 4)),
    "text": (list("abcab"), bp.LabelError, TEXT),
    "text as objects": (np.array(list("abcab"), object), bp.LabelError, TEXT),
    "rows that sum to more": (rows(0.5, 0.5, 0.5), bp.LabelError, SUM.format("0.5 0.5 0.5", 1.5)),
    "rows that sum to less": (rows(0.5, 0.25, 0.0), bp.LabelError, SUM.format("0.5...", 0.75)),
    "rows that nearly sum": (rows(0.5, 0.5, 0.001), bp.LabelError, SUM.format("0.5...", 1.001)),
    "rows of nothing": (rows(0, 0, 0), bp.LabelError, SUM.format("0. 0. 0.", 0)),
    "negative row": (rows(1.5, -0.5, 0), bp.LabelError, SUM.format(" 1.5 -0.5  0. ", 1)),
    "multilabel rows": (
        np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 1]]),
        bp.LabelError,
        SUM.format("1. 0. 1.", 2),
    ),
    "rows of huge numbers": (
        rows(1e300, 0, 0),
        bp.NonFiniteError,
        "y: got 1e+300 at row 1, column 0, which overflows float32; wanted ...",
    ),
    "too few": (GIVEN[:4], bp.ShapeError, ROWS.format("(4,)")),
    "too many": ([2, 0, 1, 1, 0, 0], bp.ShapeError, ROWS.format("(6,)")),
    "none": ([], bp.ShapeError, ROWS.format("(0,)")),
    "a number": (1, bp.ShapeError, ROWS.format("()")),
    "a column": (GIVEN[:, None], bp.ShapeError, COLUMN),
    "a row": (GIVEN[None], bp.ShapeError, ROWS.format("(1, 5)")),
    "rows too wide": (rows(0.25, 0.25, 0.25, 0.25), bp.ShapeError, SHAPE.format("(5, 4)")),
    "rows too narrow": (rows(0.5, 0.5), bp.ShapeError, SHAPE.format("(5, 2)")),
    "zero wide rows": (np.empty((5, 0)), bp.ShapeError, SHAPE.format("(5, 0)")),
    "three axes": (np.zeros((5, 3, 1)), bp.ShapeError, SHAPE.format("(5, 3, 1)")),
    "ragged": ([[1], [0, 1], [1], [1], [1]], bp.ShapeError, "y: got list (...); wanted an array"),
    "complex": (GIVEN + 0j, bp.DtypeError, KIND.format("complex128")),
    "object": (GIVEN.astype(object), bp.DtypeError, KIND.format("object")),
    "bytes": (GIVEN.astype(bytes), bp.DtypeError, KIND.format("|S...")),
    "dates": (GIVEN.astype("M8[D]"), bp.DtypeError, KIND.format("datetime64[D]")),
    "None": (None, bp.DtypeError, "y: got NoneType; wanted a dense array"),
    "sparse": (
        scipy.sparse.csr_array(np.eye(5, 3)),
        bp.DtypeError,
        "y: got csr_array; wanted a dense array (y.toarray() makes one)",
    ),
    "raises in __array__": (
        Unwilling(),
        bp.DtypeError,
        "y: got Unwilling (call detach() first); wanted an array",
    ),
    "masked": (
        np.ma.array(GIVEN, mask=[0, 0, 1, 0, 0]),
        bp.NonFiniteError,
        "y: got a masked array; wanted no masked entries",
    ),
}


@pytest.mark.parametrize("call", CALLS, indirect=True)
@pytest.mark.parametrize(("y", "error", "message"), SOFTMAX.values(), ids=SOFTMAX)
def test_softmax(net, X, call, refuses, y, error, message):
    refuses(net, error, message, lambda: call(net, X, y))


def test_rows_may_sum_to_one_within_1e_4(net, X):
    assert np.isfinite(net.loss(X, rows(0.5, 0.25, 0.25009)))
    with pytest.raises(bp.LabelError):
        net.loss(X, rows(0.5, 0.25, 0.25011))


VALUES = "y: got shape {}; wanted (5, 2)"
ONE = "y: got shape {}; wanted (5, 1) or (5,)"
BINARY = "y: got {} at row {}, column {}; wanted labels in [0, 1]"
OTHERS = {
    "no broadcast of classes": ("squared_error", 2, GIVEN, bp.ShapeError, VALUES.format("(5,)")),
    "no broadcast of a column": (
        "squared_error",
        2,
        np.ones((5, 1)),
        bp.ShapeError,
        VALUES.format("(5, 1)"),
    ),
    "no broadcast of a row": ("squared_error", 2, [[0, 1]], bp.ShapeError, ROWS.format("(1, 2)")),
    "no broadcast of a number": ("squared_error", 1, 1.0, bp.ShapeError, ROWS.format("()")),
    "too wide for one value": (
        "squared_error",
        1,
        np.ones((5, 2)),
        bp.ShapeError,
        ONE.format("(5, 2)"),
    ),
    "three axes of values": (
        "squared_error",
        2,
        np.ones((5, 2, 1)),
        bp.ShapeError,
        VALUES.format("(5, 2, 1)"),
    ),
    "values too big": (
        "squared_error",
        1,
        [0, 0, 1e39, 0, 0],
        bp.NonFiniteError,
        "y: got 1e+39 at row 2, column 0, which overflows float32; wanted numbers up to 3.4e+38",
    ),
    "text for values": (
        "squared_error",
        1,
        list("abcab"),
        bp.LabelError,
        "y: got text ('a'); wanted ...",
    ),
    "label of two": (
        "sigmoid_cross_entropy",
        1,
        GIVEN,
        bp.LabelError,
        BINARY.format("2.0", 0, 0),
    ),
    "label of minus one": (
        "sigmoid_cross_entropy",
        1,
        [1, 0, 1, -1, 1],
        bp.LabelError,
        BINARY.format("-1.0", 3, 0),
    ),
    "multilabel of two": (
        "sigmoid_cross_entropy",
        2,
        [[0, 0], [0, 1], [1, 1], [1, 1], [1, 2]],
        bp.LabelError,
        BINARY.format("2.0", 4, 1),
    ),
    "multilabel too narrow": (
        "sigmoid_cross_entropy",
        2,
        [0, 1, 1, 1, 0],
        bp.ShapeError,
        VALUES.format("(5,)"),
    ),
    "complex labels": (
        "sigmoid_cross_entropy",
        1,
        np.ones(5) + 0j,
        bp.DtypeError,
        KIND.format("complex128"),
    ),
}


@pytest.mark.parametrize("call", CALLS, indirect=True)
@pytest.mark.parametrize(
    ("loss", "n_out", "y", "error", "message"),
    OTHERS.values(),
    ids=OTHERS,
)
def test_other_losses(make, X, call, refuses, loss, n_out, y, error, message):
    net = make(n_out, loss)
    refuses(net, error, message, lambda: call(net, X, y))


def test_a_row_of_weight_zero_may_hold_any_label(net, X, bits):
    weights = np.array([1.0, 0, 1, 1, 0])
    strange = np.array([2, -7, 1, 1, 99])
    g = net.gradients(X, strange, sample_weight=weights)
    assert bits(g.flat) == bits(net.gradients(X, GIVEN, sample_weight=weights).flat)


def test_the_row_in_the_message_is_the_callers(net, X, refuses):
    weights = np.array([0.0, 0, 1, 1, 1])
    y = [9, 9, 0, 0, 9]
    message = CLASS.format("9", 4)
    refuses(net, bp.LabelError, message, lambda: net.loss(X, y, sample_weight=weights))
    soft = rows(0.5, 0.5, 0.5)[[1, 1, 0, 1, 0]]
    message = SUM.format("0.5 0.5 0.5", 1.5).replace("row 1", "row 3")
    refuses(net, bp.LabelError, message, lambda: net.loss(X, soft, sample_weight=weights))


@pytest.fixture
def soft():
    """soft(dtype, n): 5 rows of n probabilities, rounded to dtype so that their sums are not 1."""

    def soft(dtype, n=3):
        e = np.exp(3 * np.random.default_rng(n).standard_normal((200, n)))
        p = (e / e.sum(axis=1, keepdims=True)).astype(dtype)
        off = np.abs(p.sum(axis=1, dtype=np.float64) - 1)
        return p[np.argsort(off)[-5:]], off.max()

    return soft


@pytest.mark.parametrize("network", ["float32", "float64"])
@pytest.mark.parametrize("n", [2, 3, 10, 1000])
def test_rows_are_judged_by_what_their_dtype_can_round(make, X, soft, network, n):
    y, off = soft(np.float16, n)
    assert 2e-4 < off < 5e-4
    net = make(n, dtype=network)
    wide = y.astype(network)
    for call in (net.loss, net.gradients, net.loss_and_grad):
        with pytest.raises(bp.LabelError, match="which sums to"):
            call(X, wide)  # numbers that could have been exact
        call(X, y)
    net.reset_optimizer()
    history = net.fit(X, y, epochs=2, batch_size=2, validation_data=(X, y), optimizer=bp.SGD(1e-3))
    assert history.val_loss[1] == net.loss(X, y)
    p = y.astype(np.float64)
    log_y_hat = np.log(net.predict_proba(X).astype(np.float64))
    assert net.loss(X, y) == pytest.approx(-(p * log_y_hat).sum(axis=1).mean(), rel=1e-5)
    gradcheck(net, X, y, entries=20)


def test_half_precision_is_no_excuse_for_more(net, X, refuses):
    y = np.full((5, 3), 1 / 3, np.float16)
    y[1] = 0.5, 0.25, 0.252
    message = SUM.format("0.5   0.25  0.252", f"{y[1].sum(dtype=np.float64):.6g}")
    refuses(net, bp.LabelError, message, lambda: net.step(X, y, bp.SGD(0.1)))
    y[1] = 1.0005, -0.0005, 0
    with pytest.raises(bp.LabelError, match="which sums to"):
        net.step(X, y, bp.SGD(0.1))


def test_sums_are_judged_before_the_cast(net, X):
    """Off by 1e-4 and a float32 rounding either way: float64 tells which rows are off by more."""
    y = np.tile([0.25, 0.25, 0.5], (5, 1))
    for off, good in ((9.9999e-5, True), (1.00001e-4, False)):
        for sign in (1, -1):
            y[1, 0] = 0.25 + sign * off
            if good:
                assert np.isfinite(net.loss(X, y))
            else:
                with pytest.raises(bp.LabelError, match="at row 1, which sums to"):
                    net.loss(X, y)

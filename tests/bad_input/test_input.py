"""X of the wrong shape or kind, through every method that takes one."""

from __future__ import annotations

import types

import numpy as np
import pytest
import scipy.sparse

import fastbp as bp

ONES = np.ones((5, 3))
HUGE = np.full((5, 3), 1e300)


class Unwilling:
    """What a tensor on another device, or one that is part of a graph, does."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call detach() first")


class NoExport:
    """Offers DLPack and then cannot."""

    def __dlpack__(self, **kwargs):
        raise BufferError("only float8 here")

    def __dlpack_device__(self):
        return (1, 0)


def generator():
    yield [1.0, 2.0, 3.0]


SHAPE = "X: got shape {}; wanted (batch, 3)"
KIND = "X: got dtype {}; wanted real numbers"
BAD = {
    "too narrow": (ONES[:, :2], bp.ShapeError, SHAPE.format("(5, 2)")),
    "too wide": (np.ones((5, 4)), bp.ShapeError, SHAPE.format("(5, 4)")),
    "zero wide": (ONES[:, :0], bp.ShapeError, SHAPE.format("(5, 0)")),
    "transposed": (ONES.T, bp.ShapeError, SHAPE.format("(3, 5)")),
    "one example": (
        ONES[0],
        bp.ShapeError,
        SHAPE.format("(3,)") + "; one example is X[None, :]",
    ),
    "one example as a list": (
        [1.0, 2.0, 3.0],
        bp.ShapeError,
        SHAPE.format("(3,)") + "; one example is numpy.atleast_2d(X)",
    ),
    "one axis": (np.ones(5), bp.ShapeError, SHAPE.format("(5,)")),
    "three axes": (ONES[None], bp.ShapeError, SHAPE.format("(1, 5, 3)")),
    "a number": (3.0, bp.ShapeError, SHAPE.format("()")),
    "empty list": ([], bp.ShapeError, SHAPE.format("(0,)")),
    "rows of nothing": ([[], []], bp.ShapeError, SHAPE.format("(2, 0)")),
    "ragged": ([[1, 2, 3], [1, 2]], bp.ShapeError, "X: got list (...); wanted an array"),
    "complex": (ONES + 0j, bp.DtypeError, KIND.format("complex128")),
    "object": (ONES.astype(object), bp.DtypeError, KIND.format("object")),
    "text": (ONES.astype(str), bp.DtypeError, KIND.format("<U32")),
    "bytes": (ONES.astype(bytes), bp.DtypeError, KIND.format("|S32")),
    "a word": ("X", bp.DtypeError, KIND.format("<U1")),
    "dates": (np.zeros((5, 3), "M8[s]"), bp.DtypeError, KIND.format("datetime64[s]")),
    "durations": (np.zeros((5, 3), "m8[s]"), bp.DtypeError, KIND.format("timedelta64[s]")),
    "records": (np.zeros(5, "f4,f4,f4"), bp.DtypeError, KIND.format("[('f0', ...")),
    "list with a word": ([[1, 2, "3"]], bp.DtypeError, KIND.format("<U...")),
    "list with None": ([[1, 2, None]], bp.DtypeError, KIND.format("object")),
    "None": (None, bp.DtypeError, "X: got NoneType; wanted a dense array"),
    "dict": ({"X": 1}, bp.DtypeError, "X: got dict; wanted a dense array"),
    "generator": (generator(), bp.DtypeError, "X: got generator; wanted a dense array"),
    "network": (bp.mlp([1, 2]), bp.DtypeError, "X: got Network; wanted a dense array"),
    "namespace": (
        types.SimpleNamespace(to_numpy=lambda: ONES + 1j),
        bp.DtypeError,
        KIND.format("complex128"),
    ),
    "sparse array": (
        scipy.sparse.csr_array(ONES),
        bp.DtypeError,
        "X: got csr_array; wanted a dense array (X.toarray() makes one)",
    ),
    "sparse matrix": (
        scipy.sparse.coo_matrix(ONES),
        bp.DtypeError,
        "X: got coo_matrix; wanted a dense array (X.toarray() makes one)",
    ),
    "raises in __array__": (
        Unwilling(),
        bp.DtypeError,
        "X: got Unwilling (call detach() first); wanted an array",
    ),
    "raises in __dlpack__": (
        NoExport(),
        bp.DtypeError,
        "X: got NoExport (only float8 here); wanted an array",
    ),
    "masked": (
        np.ma.array(ONES, mask=ONES > 0),
        bp.NonFiniteError,
        "X: got a masked array; wanted no masked entries",
    ),
    "too big for float32": (
        np.where(np.arange(15).reshape(5, 3) == 7, 1e300, 1.0),
        bp.NonFiniteError,
        "X: got 1e+300 at row 2, column 1, which overflows float32; wanted numbers up to 3.4e+38",
    ),
    "rounds up to inf": (
        np.full((5, 3), -3.4028236e38),
        bp.NonFiniteError,
        "X: got -3.4028236e+38 at row 0, column 0, which overflows float32; wanted ...",
    ),
}


@pytest.mark.parametrize(("value", "error", "message"), BAD.values(), ids=BAD)
def test_bad_x(net, y, call, refuses, value, error, message):
    refuses(net, error, message, lambda: call(net, value, y))


@pytest.mark.skipif(np.finfo(np.longdouble).maxexp < 14000, reason="long double is double here")
def test_long_double_too_big_for_float64(make, y, call, refuses):
    net = make(dtype="float64")
    X = np.ones((5, 3), np.longdouble)
    X[4, 2] = np.longdouble("1e4000")
    message = "X: got 1e+4000 at row 4, column 2, which overflows float64; wanted ...1.8e+308"
    refuses(net, bp.NonFiniteError, message, lambda: call(net, X, y))


def test_float64_takes_what_float32_cannot(make, y):
    net = make(dtype="float64")
    assert np.isfinite(net.forward(HUGE)).all()


def test_what_float32_cannot_tell_from_zero_is_zero(net):
    with np.errstate(all="raise"):  # a user's setting; conversion is no business of its
        tiny = net.forward(np.full((1, 3), 1e-300))
    assert tiny.tobytes() == net.forward(np.zeros((1, 3))).tobytes()


def test_no_memory_is_no_wrong_dtype(net):
    class Large:
        def __array__(self, dtype=None, copy=None):
            raise MemoryError

    with pytest.raises(MemoryError):
        net.forward(Large())


EMPTY = "X: got shape (0, 3), an empty batch; wanted one row or more"


@pytest.mark.parametrize("loss", bp.plugins.available("loss"))
def test_empty_batch_predicts_nothing(make, snapshot, loss):
    net, empty = make(loss=loss), np.empty((0, 3))
    before = snapshot(net)
    out = np.empty((0, 3), np.float32)
    assert net.forward(empty).shape == (0, 3)
    assert net.forward(empty, out=out) is out
    assert net.predict(empty).shape == ((0,) if loss.startswith("softmax") else (0, 3))
    if net.loss_function.probabilities:
        assert net.predict_proba(empty).shape == (0, 3)
    assert snapshot(net) == before


@pytest.mark.parametrize(
    "call",
    ["loss", "gradients", "loss_and_grad", "step", "fit", "validation"],
    indirect=True,
)
def test_empty_batch_has_no_loss(net, call, refuses):
    refuses(net, bp.ShapeError, EMPTY, lambda: call(net, np.empty((0, 3)), []))


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_empty_batch_has_no_loss_however_reduced(net, refuses, reduction):
    X = np.empty((0, 3))
    refuses(net, bp.ShapeError, EMPTY, lambda: net.loss(X, [], reduction=reduction))


def test_empty_batch_has_no_vjp(net, refuses):
    empty = np.empty((0, 3))
    refuses(net, bp.ShapeError, EMPTY, lambda: net.vjp(empty, empty))


DELTA = {
    "rows": (ONES[:4], bp.ShapeError, "delta: got shape (4, 3); wanted (5, 3)"),
    "width": (ONES[:, :2], bp.ShapeError, "delta: got shape (5, 2); wanted (batch, 3)"),
    "one example": (ONES[0], bp.ShapeError, "delta: got shape (3,); wanted (batch, 3); ..."),
    "complex": (ONES + 0j, bp.DtypeError, "delta: got dtype complex128; wanted real numbers"),
    "None": (None, bp.DtypeError, "delta: got NoneType; wanted a dense array"),
    "nan": (ONES * np.nan, bp.NonFiniteError, "delta: got nan at row 0, column 0; wanted ..."),
    "too big": (
        HUGE,
        bp.NonFiniteError,
        "delta: got 1e+300 at row 0, ... wanted numbers up to ...",
    ),
}


@pytest.mark.parametrize(("delta", "error", "message"), DELTA.values(), ids=DELTA)
def test_bad_delta(net, X, refuses, delta, error, message):
    refuses(net, error, message, lambda: net.vjp(X, delta))


THETA = {
    "length": (np.ones(3), bp.ShapeError, "theta: got shape (3,); wanted (31,)"),
    "a column": (np.ones((31, 1)), bp.ShapeError, "theta: got shape (31, 1); wanted (31,)"),
    "complex": (
        np.ones(31) + 0j,
        bp.DtypeError,
        "theta: got dtype complex128; wanted real numbers",
    ),
    "a word": ("flat", bp.DtypeError, "theta: got dtype <U4; wanted real numbers"),
    "nan": (np.full(31, np.nan), bp.NonFiniteError, "theta: got nan at row 0; wanted ..."),
    "too big": (np.full(31, 1e39), bp.NonFiniteError, "theta: got 1e+39 at row 0, ... wanted ..."),
}


@pytest.mark.parametrize(("theta", "error", "message"), THETA.values(), ids=THETA)
def test_bad_theta(net, X, y, refuses, theta, error, message):
    refuses(net, error, message, lambda: net.loss_and_grad(X, y, theta))


FLAGS = {
    "reduction of loss": (
        lambda net, X, y: net.loss(X, y, reduction="avg"),
        "reduction: got 'avg'; wanted 'mean', 'sum' or 'none'",
    ),
    "reduction of gradients": (
        lambda net, X, y: net.gradients(X, y, reduction="none"),
        "reduction: got 'none'; wanted 'mean' or 'sum'",
    ),
    "input_gradient": (
        lambda net, X, y: net.gradients(X, y, input_gradient=1),
        "input_gradient: got 1; wanted True or False",
    ),
    "training": (
        lambda net, X, y: net.gradients(X, y, training="yes"),
        "training: got 'yes'; wanted True or False",
    ),
}


@pytest.mark.parametrize(("function", "message"), FLAGS.values(), ids=FLAGS)
def test_bad_flags(net, X, y, refuses, function, message):
    refuses(net, bp.ConfigError, message, lambda: function(net, X, y))


def test_no_probabilities_from_squared_error(make, X, refuses):
    net = make(loss="squared_error")
    message = "predict_proba: SquaredError() makes no probabilities; use predict"
    refuses(net, bp.ConfigError, message, lambda: net.predict_proba(X))

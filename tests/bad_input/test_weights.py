"""sample_weight that is none, through every method that takes it."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as bp

ONES = np.ones(5)
TOTAL = "sample_weight: got weights that sum to {}; wanted a sum > 0, from 1e-300 to 1e+300"
KIND = "sample_weight: got dtype {}; wanted real numbers"
SHAPE = "sample_weight: got shape {}; wanted (5,)"


def one(value):
    """Ones but for the weight at row 3."""
    weights = np.ones(5)
    weights[3] = value
    return weights


BAD = {
    "negative": (one(-1), bp.ConfigError, "sample_weight: got -1.0 at row 3; wanted numbers >= 0"),
    "tiny negative": (one(-1e-300), bp.ConfigError, "sample_weight: got -1e-300 at row 3; ..."),
    "too few": (ONES[:4], bp.ShapeError, SHAPE.format("(4,)")),
    "too many": (np.ones(6), bp.ShapeError, SHAPE.format("(6,)")),
    "a number": (2.0, bp.ShapeError, SHAPE.format("()")),
    "a column": (ONES[:, None], bp.ShapeError, SHAPE.format("(5, 1)")),
    "one for each class": (np.ones((5, 3)), bp.ShapeError, SHAPE.format("(5, 3)")),
    "complex": (ONES + 0j, bp.DtypeError, KIND.format("complex128")),
    "object": (ONES.astype(object), bp.DtypeError, KIND.format("object")),
    "text": (ONES.astype(str), bp.DtypeError, KIND.format("<U32")),
    "by class": ({0: 1.0, 1: 2.0}, bp.DtypeError, "sample_weight: got dict; wanted a dense array"),
    "balanced": ("balanced", bp.DtypeError, KIND.format("<U8")),
    "masked": (
        np.ma.array(ONES, mask=ONES > 0),
        bp.NonFiniteError,
        "sample_weight: got a masked array; wanted no masked entries",
    ),
}
BAD_MEAN = {
    "all zero": (0 * ONES, bp.ConfigError, TOTAL.format("0")),
    "all False": (ONES < 0, bp.ConfigError, TOTAL.format("0")),
    "sum overflows": (ONES * 1e308, bp.ConfigError, TOTAL.format("inf")),
    "reciprocal overflows": (ONES * 5e-324, bp.ConfigError, TOTAL.format("2.47033e-323")),
}
CALLS = ["loss", "gradients", "loss_and_grad", "step", "fit", "validation"]


@pytest.mark.parametrize("call", CALLS, indirect=True)
@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [*BAD.values(), *BAD_MEAN.values()],
    ids=[*BAD, *BAD_MEAN],
)
def test_bad_weights(net, X, y, call, refuses, weights, error, message):
    refuses(net, error, message, lambda: call(net, X, y, weights))


@pytest.mark.parametrize("reduction", ["sum", "none"])
@pytest.mark.parametrize(("weights", "error", "message"), BAD.values(), ids=BAD)
def test_bad_weights_however_reduced(net, X, y, refuses, reduction, weights, error, message):
    def loss():
        net.loss(X, y, sample_weight=weights, reduction=reduction)

    refuses(net, error, message, loss)


def test_a_sum_of_nothing_is_zero(net, X, y):
    zero = np.zeros(5)
    assert net.loss(X, y, sample_weight=zero, reduction="sum") == 0
    assert net.loss(X, y, sample_weight=zero, reduction="none").tolist() == [0] * 5
    g = net.gradients(X, y, sample_weight=zero, reduction="sum", input_gradient=True)
    assert not g.flat.any()
    assert g.loss == 0
    assert g.x.shape == (5, 3)
    assert not g.x.any()


def test_of_weights_only_their_ratios_matter(net, X, y):
    weights = np.array([1.0, 0.5, 2, 0, 1])
    want = net.loss(X, y, sample_weight=weights)
    for factor in (2.0**-900, 2.0**900):  # exact
        assert net.loss(X, y, sample_weight=factor * weights) == want
        first, second = net.copy(), net.copy()
        first.fit(X, y, sample_weight=weights, optimizer=bp.SGD(0.1, momentum=0.9), epochs=2)
        second.fit(
            X, y, sample_weight=factor * weights, optimizer=bp.SGD(0.1, momentum=0.9), epochs=2
        )
        assert first.flat.tobytes() == second.flat.tobytes()


@pytest.mark.parametrize("call", CALLS, indirect=True)
@pytest.mark.parametrize("left_out", [np.nan, np.inf, -np.inf, 1e300])
def test_a_row_of_weight_zero_may_hold_anything(net, X, y, call, outcome, left_out):
    weights = np.array([1.0, 0, 2, 1, 0])
    strange = X.copy()
    strange[weights == 0] = left_out
    assert outcome(net, call, strange, y, weights) == outcome(net, call, X, y, weights)

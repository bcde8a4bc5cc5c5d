"""gradcheck: silent on what is right, loud on what is wrong, and readable either way."""

import numpy as np
import pytest

import fastbp as bp
from fastbp.layers import Elementwise
from fastbp.testing import GradcheckReport, gradcheck
from fastbp.testing.arrays import error
from fastbp.testing.differences import compare

LOSSES = ["softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error"]


class Wrong(Elementwise):
    """tanh, with a derivative that is a little off."""

    def __init__(self, factor=1.01, name=None):
        self.factor, self.name = factor, name

    def f(self, x, y):
        np.tanh(x, out=y)

    def df(self, x, y, out):
        out[...] = self.factor * (1 - y * y)


class InFloat32(Elementwise):
    """Refuses float64, as a table without those functions does."""

    def build(self, n_in, dtype):
        if dtype != np.float32:
            raise bp.DtypeError("in float32 only")
        return super().build(n_in, dtype)

    def f(self, x, y):
        np.tanh(x, out=y)

    def df(self, x, y, out):
        out[...] = 1 - y * y


class WrongInFloat32(InFloat32):
    def df(self, x, y, out):
        out[...] = 1 - y


def some_case(seed):
    """A small network and data of random shape, size and scale."""
    rng = np.random.default_rng(seed)
    widths = [int(n) for n in rng.integers(1, 4, size=rng.integers(2, 5))]
    loss = LOSSES[rng.integers(3)]
    if loss == LOSSES[0]:
        widths[-1] += 1
    net = bp.mlp(
        widths, activation=["relu", "tanh", "sigmoid"][rng.integers(3)], loss=loss,
        dtype=["float32", "float64"][int(rng.uniform() < 0.2)], rng=seed,
        l2=float(rng.choice([0, 1e-3])),
    )  # fmt: skip
    net.flat *= rng.choice([0.1, 1, 3])
    net.flat += 0.1 * rng.standard_normal(net.flat.size)
    rows = int(rng.integers(1, 6))
    X = rng.choice([1e-2, 1, 10]) * rng.standard_normal((rows, widths[0]))
    X[rng.uniform(size=X.shape) < 0.2] = 0
    shape = (rows, widths[-1])
    y = {
        LOSSES[0]: lambda: rng.integers(widths[-1], size=rows),
        LOSSES[1]: lambda: rng.integers(2, size=shape),
        LOSSES[2]: lambda: rng.choice([1, 100]) * rng.standard_normal(shape),
    }[loss]()
    weight = None
    if rng.uniform() < 0.3:
        weight = rng.choice([0, 0.5, 2], size=rows)
        weight[0] = 1
    return net, X, y, weight


def test_no_false_alarm_on_1000_random_cases():
    for seed in range(1000):
        net, X, y, weight = some_case(seed)
        gradcheck(net, X, y, sample_weight=weight)


def test_a_slope_one_percent_off_is_found_in_every_layer_below_it():
    for dtype in ("float32", "float64"):
        net = bp.Network(3, [bp.Dense(4), Wrong(), bp.Dense(2)], dtype=dtype, rng=0)
        X = np.random.default_rng(0).standard_normal((5, 3))
        with pytest.raises(AssertionError) as caught:
            gradcheck(net, X, [0, 1, 0, 1, 1])
        text = str(caught.value)
        assert "gradients of dense1.W, dense1.b, x are wrong" in text
        lines = {line.split()[0]: line for line in text.splitlines()[1:]}
        for name in ("dense1.W", "dense1.b", "x"):
            assert "WRONG at (" in lines[name]
        assert lines["dense2.W"].endswith("ok")


MASKED = {  # where an infinity stands, and what then cannot be compared
    "a masked class": (lambda net, y: None, {"dense2.b": 1}, ()),
    "a row of that class": (lambda net, y: y.__setitem__(3, 2), {"dense2.b": 1}, (3,)),
    "a dead hidden unit": (
        lambda net, y: net.params["dense1.b"].__setitem__(1, -np.inf),
        {"dense1.b": 1, "dense2.b": 1},
        (),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("change", "counted", "rows"), MASKED.values(), ids=MASKED)
def test_an_infinity_does_not_loosen_the_tolerance(dtype, change, counted, rows):
    X, y = np.random.default_rng(0).standard_normal((5, 3)), np.array([0, 1, 0, 1, 1])
    for factor in (1.0, 1.01, 1.84):
        net = bp.Network(3, [bp.Dense(4), Wrong(factor), bp.Dense(3)], dtype=dtype, rng=0)
        net.params["dense2.b"][2] = -np.inf
        change(net, y)
        if factor == 1:
            report = gradcheck(net, X, y)
            assert {
                k: v.not_finite for k, v in report.parameters.items() if v.not_finite
            } == counted
            assert report.rows == rows
            assert all(found.left_out == 0 for found in report.parameters.values())
            assert ", 1 not finite and not compared" in repr(report)
            assert ("infinite: rows 3" in repr(report)) == (rows == (3,))
        else:
            with pytest.raises(AssertionError, match=r"of dense1.W, dense1.b, x are wrong"):
                gradcheck(net, X, y)


def test_where_no_loss_is_finite_there_is_nothing_to_compare():
    net = bp.mlp([2, 3], dtype="float64", rng=0)
    net.params["dense1.b"][2] = -np.inf
    X = np.ones((3, 2))
    with pytest.raises(bp.NonFiniteError, match="loss: got inf; wanted a row whose loss is finite"):
        gradcheck(net, X, [2, 2, 1], sample_weight=[1, 1, 0])
    assert gradcheck(net, X, [2, 2, 1], sample_weight=[1, 0, 2]).rows == (0,)


def test_a_function_that_is_finite_nearby_alone():
    """Steps that leave its domain are not taken for kinks, nor as anything's slope."""
    x = np.array([0.5, 1e-9, 1e-4, 2.0, np.inf])

    def value():
        with np.errstate(all="ignore"):
            return float(np.log(x[:4]).sum())

    slope = 1 / x
    found = compare(value, x, slope, magnitude=50.0)
    assert (found.checked, found.left_out, found.not_finite) == (5, 0, 2)
    assert not found.wrong
    slope[2] *= 2
    found = compare(value, x, slope, magnitude=50.0)
    assert found.wrong
    assert found.at == (2,)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_no_tolerance_is_infinite(bad):
    x = np.ones(2)
    for limits in ({"magnitude": bad}, {"magnitude": 1.0, "slack": np.array([0, bad])}):
        with pytest.raises(AssertionError):
            compare(lambda: float(x.sum()), x, np.ones(2), **limits)
    part, whole = np.array([1.0, 2.0]), np.array([1.0, 2.0, bad])
    assert error(part + 1, part, whole) == 0.5


def test_report_is_a_table():
    report = gradcheck(bp.mlp([3, 4, 2], activation="tanh", rng=0), np.ones((2, 3)), [0, 1])
    assert isinstance(report, GradcheckReport)
    assert list(report.errors) == ["dense1.W", "dense1.b", "dense2.W", "dense2.b", "x"]
    assert report.wrong == []
    assert max(report.errors.values()) < 1e-5
    head, *rows = repr(report).splitlines()
    assert head.split() == ["parameter", "checked", "kinks", "max", "error", "verdict"]
    assert rows[0].split()[:3] == ["dense1.W", "12", "0"]


def test_kinks_are_left_out():
    net = bp.Network(1, [bp.Dense(2), "relu"], loss="squared_error", dtype="float64", rng=0)
    net.params["dense1.W"][:] = [[1.0], [1.0]]
    net.params["dense1.b"][:] = [-1.0, 1.0]  # the first unit's input is exactly 0
    report = gradcheck(net, [[1.0]], [[3.0, 3.0]])
    assert report.parameters["dense1.b"].left_out == 1
    assert report.parameters["dense1.W"].left_out == 1
    assert report.parameters["dense1.b"].checked == 2


def test_a_network_that_computes_in_float32_alone():
    X, y = np.random.default_rng(0).standard_normal((4, 3)), [0, 1, 1, 0]
    assert gradcheck(bp.Network(3, [bp.Dense(4), InFloat32(), bp.Dense(2)], rng=0), X, y)
    with pytest.raises(AssertionError, match="WRONG"):
        gradcheck(bp.Network(3, [bp.Dense(4), WrongInFloat32(), bp.Dense(2)], rng=0), X, y)


def test_the_network_and_the_data_stay_as_they_are():
    net, X, y, _ = some_case(3)
    before = net.flat.copy(), X.copy(), np.copy(y)
    gradcheck(net, X, y)
    for array, kept in zip((net.flat, X, y), before, strict=True):
        np.testing.assert_array_equal(array, kept)


def test_large_parameters_are_sampled_unless_all_are_wanted():
    net, X, y = bp.mlp([30, 20, 2], rng=0), np.ones((1, 30)), [1]
    assert gradcheck(net, X, y).parameters["dense1.W"].checked == 256
    assert gradcheck(net, X, y, entries=8).parameters["dense1.W"].checked == 8
    assert gradcheck(net, X, y, entries=None).parameters["dense1.W"].checked == 600


def test_rows_of_weight_0_may_hold_anything():
    net = bp.mlp([2, 3, 2], activation="tanh", rng=0)
    X = np.array([[1.0, 2.0], [np.nan, np.inf]])
    report = gradcheck(net, X, [0, 1], sample_weight=[1.0, 0.0])
    assert report.wrong == []


def test_bad_input_is_refused_as_by_gradients():
    net = bp.mlp([2, 3, 2], rng=0)
    with pytest.raises(bp.ShapeError):
        gradcheck(net, np.ones((2, 3)), [0, 1])
    with pytest.raises(bp.LabelError):
        gradcheck(net, np.ones((2, 2)), [0, 7])
    with pytest.raises(bp.NonFiniteError):
        gradcheck(net, np.full((2, 2), np.nan), [0, 1])

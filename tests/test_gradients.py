"""Gradients as an object: names, indices, laziness, ownership, factors, errors, and the table.

Whether its numbers are right is for test_oracles.py, test_laws.py and test_stability.py.
"""

import copy
import re

import numpy as np
import pytest

import fastbp as bp
from fastbp import gradients as module
from fastbp.layers import LayerSpec

BATCH = 5


class Scale(bp.Layer):
    """y = gamma x: a layer with a parameter that is neither W nor b, nor affine."""

    def build(self, n_in, dtype):
        return LayerSpec(n_out=n_in, params={"gamma": (n_in,)})

    def init(self, params, rng, gain=1.0):
        params["gamma"][...] = 1.5

    def forward(self, params, x, y, ctx):
        np.multiply(x, params["gamma"], out=y)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        grads["gamma"][...] = (dy * x).sum(axis=0)
        if dx is not None:
            np.multiply(dy, params["gamma"], out=dx)


def layers():
    return [
        bp.Dense(4), bp.ReLU(), Scale(), bp.Dense(6, bias=False), bp.Tanh(), bp.Dense(3, name="top")
    ]  # fmt: skip


@pytest.fixture
def net():
    return bp.Network(2, layers(), dtype="float64", rng=0)


@pytest.fixture
def X():
    return np.random.default_rng(1).normal(size=(BATCH, 2))


@pytest.fixture
def y():
    return np.array([0, 2, 1, 1, 0])


@pytest.fixture
def g(net, X, y):
    return net.gradients(X, y, input_gradient=True)


def quantities(g):
    """Everything a Gradients can be asked for, copied."""
    found = {"loss": g.loss, "y_hat": g.y_hat, "x": g.x, "flat": g.flat, "scale": g.scale}
    for symbol in "ahWb":
        found |= {f"{symbol}[{k}]": array for k, array in getattr(g, symbol).items()}
    for symbol in "ah":
        found |= {f"values.{symbol}[{k}]": v for k, v in getattr(g.values, symbol).items()}
    found |= {"values.x": g.values.x, "values.y_hat": g.values.y_hat}
    found |= {f"factors[{k}][{i}]": f for k, pair in g.factors.items() for i, f in enumerate(pair)}
    return {name: np.array(array) for name, array in found.items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# Names and indices


def test_shapes_by_the_lectures_indices(g):
    shapes = {name: array.shape for name, array in quantities(g).items()}
    widths = {0: 2, 1: 4, 2: 6, 3: 3}
    for k in (1, 2, 3):
        assert shapes[f"a[{k}]"] == shapes[f"values.a[{k}]"] == (BATCH, widths[k])
        assert shapes[f"W[{k}]"] == (widths[k], widths[k - 1])
        assert shapes[f"factors[{k}][0]"] == (BATCH, widths[k])
        assert shapes[f"factors[{k}][1]"] == (BATCH, widths[k - 1])
    for k in (0, 1, 2, 3):
        assert shapes[f"h[{k}]"] == shapes[f"values.h[{k}]"] == (BATCH, widths[k])
    assert shapes["x"] == shapes["values.x"] == (BATCH, 2)
    assert shapes["y_hat"] == shapes["values.y_hat"] == (BATCH, 3)
    assert (shapes["b[1]"], shapes["b[3]"]) == ((4,), (3,))
    assert all(array.dtype == np.float64 for array in quantities(g).values())


def test_which_indices_exist(g):
    assert [*g.a] == [*g.W] == [*g.factors] == [*g.values.a] == [1, 2, 3]
    assert [*g.h] == [*g.values.h] == [0, 1, 2, 3]
    assert [*g.b] == [1, 3]  # Dense 2 has no bias
    assert (len(g.W), len(g.b)) == (3, 2)
    assert 2 in g.W
    assert 2 not in g.b
    assert g.b.get(2) is None
    assert repr(g.h) == "g.h[k], k in [0, 1, 2, 3]"
    assert g.W[np.int64(2)] is g.W[2]


def test_a_is_what_dense_k_puts_out_and_h_what_the_next_takes_in(net, g, X):
    values, params = g.values, net.params
    np.testing.assert_array_equal(values.h[0], X)
    np.testing.assert_array_equal(values.x, X)
    np.testing.assert_allclose(values.a[1], X @ params["dense1.W"].T + params["dense1.b"])
    # the scale between ReLU and Dense 2 belongs to the way from a[1] to h[1]
    np.testing.assert_allclose(values.h[1], params["scale1.gamma"] * np.maximum(values.a[1], 0))
    np.testing.assert_allclose(values.a[2], values.h[1] @ params["dense2.W"].T)
    np.testing.assert_allclose(values.h[2], np.tanh(values.a[2]))
    np.testing.assert_array_equal(values.h[3], values.a[3])  # nothing follows the last Dense
    np.testing.assert_allclose(values.h[3], net.forward(X), rtol=1e-14)
    np.testing.assert_allclose(values.y_hat, net.predict_proba(X), rtol=1e-14)


def test_h_l_is_the_networks_output_and_h_0_what_the_first_dense_takes_in(X):
    net = bp.Network(2, ["tanh", bp.Dense(3), "sigmoid"], loss="squared_error", rng=0)
    g = net.gradients(X, np.zeros((BATCH, 3)))
    np.testing.assert_allclose(g.values.h[0], np.tanh(X), rtol=1e-6)
    np.testing.assert_array_equal(g.values.h[1], g.values.y_hat)
    np.testing.assert_allclose(g.values.h[1], 1 / (1 + np.exp(-g.values.a[1])), rtol=1e-6)
    np.testing.assert_allclose(g.h[1], g.values.h[1] / BATCH, rtol=1e-6)  # E10, mean
    h = g.values.h[1]
    np.testing.assert_allclose(g.a[1], g.h[1] * h * (1 - h), rtol=1e-5)  # E7
    np.testing.assert_allclose(g.h[0], g.a[1] @ net.params["dense1.W"], rtol=1e-5)  # E6
    with pytest.raises(bp.ConfigError, match="input_gradient=True"):
        _ = g.x  # which is not h[0] here


def test_parameters_by_name(net, g):
    assert g["dense1.W"] is g.W[1]
    assert g["dense1.b"] is g.b[1]
    assert g["top.W"] is g.W[3]
    np.testing.assert_allclose(
        g["scale1.gamma"],
        (g.h[1] * g.values.h[1] / net.params["scale1.gamma"]).sum(axis=0),
        rtol=1e-12,
    )
    start = 0
    for name, array in net.params.items():
        np.testing.assert_array_equal(g.flat[start : start + array.size], g[name].ravel())
        start += array.size
    assert g.flat.shape == net.flat.shape == (start,)


@pytest.mark.parametrize("k", [0, 4, -1, True, "1", None, 1.5, (1,), [1]])
def test_a_wrong_index_says_which_exist(g, k):
    where = re.escape(repr(k))
    for symbol in ("a", "W", "factors"):
        with pytest.raises(
            bp.UnknownNameError,
            match=rf"^g\.{symbol}: got index {where}; wanted one of \[1, 2, 3\]$",
        ):
            getattr(g, symbol)[k]
    if k != 0:
        with pytest.raises(bp.UnknownNameError, match=r"g\.values\.h: got index .*\[0, 1, 2, 3\]"):
            g.values.h[k]


def test_a_missing_bias_says_which_exist(g):
    with pytest.raises(bp.UnknownNameError, match=r"^g\.b: got index 2; wanted one of \[1, 3\]$"):
        g.b[2]
    with pytest.raises(bp.UnknownNameError, match=r"got 'dense2\.b'; wanted one of dense1\.W"):
        g["dense2.b"]


@pytest.mark.parametrize("name", ["dense9.W", "", "W", 1, None, ["top.W"]])
def test_unknown_parameter(g, name):
    with pytest.raises(
        bp.UnknownNameError,
        match=r"g\[\.\.\.\]: got .*; wanted one of dense1\.W, dense1\.b, scale1\.gamma, dense2\.W",
    ):
        g[name]


def test_the_gradient_of_the_input_must_be_asked_for(net, X, y):
    g = net.gradients(X, y)
    for ask in (lambda: g.x, lambda: g.h[0]):
        with pytest.raises(bp.ConfigError, match=r"g\.x, g\.h\[0\]: .*input_gradient=True"):
            ask()
    assert "x " not in repr(g)
    with_x = net.gradients(X, y, input_gradient=True)
    np.testing.assert_allclose(with_x.x, with_x.a[1] @ net.params["dense1.W"], rtol=1e-14)
    assert with_x.h[0] is with_x.x


@pytest.mark.parametrize("bad", ["average", "none", None, "Mean"])
def test_reduction_is_mean_or_sum(net, X, y, bad):
    with pytest.raises(bp.ConfigError, match=r"reduction: got .*; wanted 'mean' or 'sum'"):
        net.gradients(X, y, reduction=bad)


@pytest.mark.parametrize("name", ["input_gradient", "training"])
def test_flags_are_true_or_false(net, X, y, name):
    with pytest.raises(bp.ConfigError, match=f"{name}: got 1; wanted True or False"):
        net.gradients(X, y, **{name: 1})


# Factors and scale


def test_factors_are_delta_and_h_and_their_product_e8(g):
    for k, (delta, h) in g.factors.items():
        assert delta is g.a[k]
        assert h is g.values.h[k - 1]
        np.testing.assert_allclose(g.W[k], delta.T @ h, rtol=1e-12)
        np.testing.assert_allclose(
            g.W[k], sum(np.outer(d, row) for d, row in zip(delta, h, strict=True)), rtol=1e-12
        )
    np.testing.assert_allclose(g.b[3], g.a[3].sum(axis=0), rtol=1e-12)


def test_with_l2_the_product_lacks_its_term(X, y):
    net = bp.Network(2, layers(), dtype="float64", rng=0, l2=0.25)
    g = net.gradients(X, y)
    for k, (delta, h) in g.factors.items():
        W = net.params[f"dense{k}.W" if k < 3 else "top.W"]
        np.testing.assert_allclose(g.W[k], delta.T @ h + 0.5 * W, rtol=1e-12)
    np.testing.assert_array_equal(g.b[1], net.gradients(X, y).a[1].sum(axis=0))
    gamma = bp.Network(2, layers(), dtype="float64", rng=0).gradients(X, y)["scale1.gamma"]
    np.testing.assert_array_equal(g["scale1.gamma"], gamma)  # weights alone have an l2 term


def test_scale_is_the_reductions_factor_inside_delta(net, X, y):
    weight = np.array([1.0, 2.0, 0.5, 0.0, 3.0])
    mean = net.gradients(X, y, sample_weight=weight)
    total = net.gradients(X, y, sample_weight=weight, reduction="sum")
    assert mean.scale == pytest.approx(1 / 6.5)
    assert total.scale == 1
    assert net.gradients(X, y).scale == pytest.approx(1 / BATCH)
    assert total.loss == pytest.approx(6.5 * mean.loss)
    for k in (1, 2, 3):
        np.testing.assert_allclose(mean.a[k] / mean.scale, total.a[k], rtol=1e-13, atol=1e-17)
    for n in range(BATCH):  # row n is the gradient of w_n ℓ_n
        alone = net.gradients(X[n : n + 1], y[n : n + 1], reduction="sum")
        np.testing.assert_allclose(total.a[2][n], weight[n] * alone.a[2][0], rtol=1e-12, atol=1e-17)


def test_rows_of_weight_0_stand_as_zeros(net, X, y):
    weight = np.array([1.0, 0.0, 2.0, 1.0, 0.0])
    X[1], X[4] = np.nan, np.inf
    g = net.gradients(X, y, sample_weight=weight, input_gradient=True)
    dropped = net.gradients(
        X[[0, 2, 3]], y[[0, 2, 3]], sample_weight=[1, 2, 1], input_gradient=True
    )
    assert np.isfinite(g.loss)
    for name, array in quantities(g).items():
        if array.shape[:1] == (BATCH,):
            assert not array[[1, 4]].any(), name
            np.testing.assert_array_equal(array[[0, 2, 3]], quantities(dropped)[name], err_msg=name)
        else:
            np.testing.assert_array_equal(array, quantities(dropped)[name], err_msg=name)


# Laziness


@pytest.fixture
def formed(monkeypatch):
    """The shapes of the matrices E8 and vectors E9 in the order they are formed."""
    shapes = []

    def noted(kernel):
        def call(*arrays, out):
            shapes.append(out.shape)
            return kernel(*arrays, out=out)

        return call

    for name in ("outer_sum", "bias_sum"):
        monkeypatch.setattr(module, name, noted(getattr(module, name)))
    return shapes


def test_w_b_and_flat_are_formed_on_first_use_and_kept(net, X, y, formed):
    g = net.gradients(X, y, input_gradient=True)
    assert (g.loss > 0, g.y_hat.shape, g.a[1].shape, g.x.shape) == (True, (5, 3), (5, 4), (5, 2))
    assert [len(pair) for pair in g.factors.values()] == [2, 2, 2]
    assert formed == []
    W = g.W[2]
    assert formed == [(6, 4)]
    assert g.W[2] is W
    assert g.b[1] is g.b[1]
    assert formed == [(6, 4), (4,)]
    flat = g.flat
    assert sorted(formed) == sorted([(6, 4), (4,), (4, 2), (3, 6), (3,)])
    assert g.flat is flat
    assert len(formed) == 5
    assert [*g.W.values()][1] is W
    assert len(formed) == 5


def test_w_and_b_are_views_of_flat_whichever_is_asked_first(net, X, y):
    for first in ("W", "flat"):
        g = net.gradients(X, y)
        arrays = (g.W[1], g.flat) if first == "W" else (g.flat, g.W[1])
        W, flat = arrays if first == "W" else arrays[::-1]
        assert np.shares_memory(W, flat)
        for array in (*g.W.values(), *g.b.values(), g["scale1.gamma"]):
            assert np.shares_memory(array, flat)


def test_repr_forms_the_same_matrices(net, X, y):
    g, h = net.gradients(X, y), net.gradients(X, y)
    repr(g)
    np.testing.assert_array_equal(g.flat, h.flat)


# Ownership


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["classes", "rows"])
def test_no_later_write_changes_it(dtype, kind, X):
    net = bp.Network(2, layers(), dtype=dtype, rng=0, l2=0.1)
    X = np.ascontiguousarray(X, dtype)
    y = np.array([0, 2, 1, 1, 0]) if kind == "classes" else np.eye(3, dtype=dtype)[[0, 2, 1, 1, 0]]
    weight = np.array([1.0, 2.0, 1.0, 0.5, 3.0])
    make = lambda: net.gradients(X, y, sample_weight=weight, input_gradient=True)  # noqa: E731
    before, later = quantities(make()), make()  # nothing of the second has been formed yet
    X[...], y[...], weight[...] = 7, 0, 9
    net.flat[...] = 3
    assert_same(quantities(later), before)


def test_no_later_call_changes_it(net, X, y):
    before, later = (net.gradients(X, y, input_gradient=True) for _ in range(2))
    before = quantities(before)
    other = -X[::-1]
    net.gradients(other, y)
    net.vjp(other, np.ones((BATCH, 3)))
    net.forward(np.vstack([other] * 3))
    net.loss_and_grad(other, y)
    net.step(other, y, bp.SGD(0.5))
    net.fit(other, y, optimizer=bp.SGD(0.5), epochs=2)
    assert_same(quantities(later), before)


def test_it_shares_no_memory_with_the_caller_or_the_network(net, X, y, g):
    for array in (g.values.x, g.values.h[0], *(f for pair in g.factors.values() for f in pair)):
        assert not np.shares_memory(array, X)
        assert not np.shares_memory(array, net.flat)
    assert not np.shares_memory(g.flat, net.flat)


def test_arrays_with_a_row_per_example_are_read_only(g):
    rows = [
        g.y_hat, g.x, *g.a.values(), *g.h.values(),
        *(factor for pair in g.factors.values() for factor in pair),
        g.values.y_hat, g.values.x, *g.values.a.values(), *g.values.h.values(),
    ]  # fmt: skip
    for array in rows:
        assert array.shape[0] == BATCH
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert g.a[1] is g.a[1]  # formed once


def test_a_deep_copy_is_independent(g):
    before, twin = quantities(g), copy.deepcopy(g)
    assert_same(quantities(twin), before)
    twin.W[1][...] = 0
    twin.flat[...] = 0
    assert_same(quantities(g), before)


def test_quantities_cannot_be_set(g):
    for name in ("loss", "y_hat", "x", "flat"):
        with pytest.raises(AttributeError):
            setattr(g, name, 0)
    with pytest.raises(TypeError):
        g.W[1] = np.zeros((4, 2))


# vjp


def test_vjp_knows_no_loss(net, X):
    g = net.vjp(X, np.ones((BATCH, 3)))
    with pytest.raises(bp.ConfigError, match=r"g\.loss: got gradients from vjp, which knows no"):
        _ = g.loss
    with pytest.raises(bp.ConfigError, match=r"g\.y_hat: got gradients from vjp, which knows no"):
        _ = g.y_hat
    assert g.scale == 1
    assert "E4" not in repr(g)
    assert g.values.y_hat.shape == (BATCH, 3)


def test_vjp_takes_delta_as_it_is_and_gives_the_inputs_gradient(net, X, g):
    upstream = np.array(g.h[3])
    v = net.vjp(X, upstream)
    upstream[...] = 7
    for k in (1, 2, 3):
        np.testing.assert_array_equal(v.a[k], g.a[k])
        np.testing.assert_array_equal(v.W[k], g.W[k])
    np.testing.assert_array_equal(v.x, g.x)
    np.testing.assert_array_equal(v.flat, g.flat)


@pytest.mark.parametrize(
    ("delta", "error", "words"),
    [
        (np.ones((BATCH, 2)), bp.ShapeError, r"delta: got shape \(5, 2\); wanted \(batch, 3\)"),
        (np.ones((4, 3)), bp.ShapeError, r"delta: got shape \(4, 3\); wanted \(5, 3\)"),
        (np.ones(3), bp.ShapeError, r"delta: got shape \(3,\)"),
        (np.full((BATCH, 3), np.nan), bp.NonFiniteError, "delta: got nan at row 0, column 0"),
        (np.ones((BATCH, 3), complex), bp.DtypeError, "delta: got dtype complex128"),
        ([["a"] * 3] * BATCH, bp.DtypeError, "delta: got dtype"),
    ],
)
def test_vjp_refuses_what_does_not_fit(net, X, delta, error, words):
    with pytest.raises(error, match=words):
        net.vjp(X, delta)


# The table


def table(g):
    head, *lines = repr(g).splitlines()
    assert head.split() == ["quantity", "equation", "shape", "norm"]
    rows = {}
    for line in lines:
        name, equation, rest = line.split(maxsplit=2)
        shape, norm = rest.rsplit(maxsplit=1)
        rows[name] = equation, shape, float(norm)
    return rows


def test_repr_is_the_table_of_quantities(g):
    rows = {name: row for name, row in table(g).items() if name != "scale1.gamma"}
    assert {name: equation for name, (equation, _, _) in rows.items()} == {
        "y_hat": "E4", "a[3]": "E5", "W[3]": "E8", "b[3]": "E9", "h[2]": "E6", "a[2]": "E7",
        "W[2]": "E8", "h[1]": "E6", "a[1]": "E7", "W[1]": "E8", "b[1]": "E9", "x": "E6",
    }  # fmt: skip
    known = quantities(g)
    for name, (_, shape, norm) in rows.items():
        assert shape == str(known[name].shape)
        assert norm == pytest.approx(np.linalg.norm(known[name]), rel=1e-3)


def test_repr_where_an_activation_follows_the_last_dense(X):
    net = bp.Network(2, [bp.Dense(3), "tanh"], loss="squared_error", rng=0)
    rows = table(net.gradients(X, np.zeros((BATCH, 3))))
    assert {name: equation for name, (equation, _, _) in rows.items()} == {
        "y_hat": "E4", "h[1]": "E5", "a[1]": "E7", "W[1]": "E8", "b[1]": "E9"
    }  # fmt: skip


def test_repr_without_any_dense(X):
    net = bp.Network(2, ["tanh"], loss="squared_error")
    g = net.gradients(X, np.zeros((BATCH, 2)))
    assert table(g)["y_hat"][0] == "E4"
    assert g.flat.shape == (0,)
    assert [*g.a] == [*g.W] == []


def test_repr_of_an_infinite_gradient():
    net = bp.mlp([1, 2], dtype="float64", rng=0)
    net.flat[...] = [1e308, -1e308, 0, 0]
    g = net.gradients([[1.0]], [1])
    assert "inf" in repr(g)  # E4 where y_hat_l underflows


def test_a_parameter_of_another_layer_has_its_row(g):
    assert "scale1.gamma" in repr(g)


@pytest.mark.parametrize("l2", [1e-50, 1e-3, 10.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_l2_touches_weights_alone(dtype, l2):
    """0 times a masked class's bias of -inf is no number, and no bias has an l2 term."""
    rows, labels = np.ones((3, 4)), np.array([0, 1, 1])
    net = bp.Network(4, [bp.Dense(5), bp.Tanh(), bp.Dense(3)], dtype=dtype, rng=0, l2=l2)
    net.params["dense2.b"][2] = -np.inf
    g = net.gradients(rows, labels)
    plain = bp.Network(4, [bp.Dense(5), bp.Tanh(), bp.Dense(3)], dtype=dtype, rng=0)
    plain.flat = net.flat
    wanted = plain.gradients(rows, labels)
    term = np.dtype(dtype).type(2 * l2)
    for k in (1, 2):
        np.testing.assert_array_equal(g.b[k], wanted.b[k])
        np.testing.assert_array_equal(g.W[k], wanted.W[k] + term * net.params[f"dense{k}.W"])
    np.testing.assert_allclose(g.flat, net.loss_and_grad(rows, labels)[1], rtol=1e-5, atol=1e-7)


def test_an_l2_term_that_overflows_is_infinite_without_a_warning():
    net = bp.Network(1, [bp.Dense(2)], rng=0, l2=10.0)
    net.flat = np.array([3e38, -3e38, 0, 0])
    got = net.gradients(np.zeros((1, 1)), [0])
    np.testing.assert_array_equal(got.W[1], [[np.inf], [-np.inf]])
    np.testing.assert_array_equal(got.flat, net.loss_and_grad(np.zeros((1, 1)), [0])[1])

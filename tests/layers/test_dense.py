"""The dense layer: E1 forward, E6, E8 and E9 backward, and where its weights start."""

import itertools
import math

import numpy as np
import pytest

import fastbp as bp
from fastbp import reference
from fastbp.layers import Context

DTYPES = ["float32", "float64"]
BOUND = {"float32": 1e-5, "float64": 1e-13}


def made(dense, n_in, dtype, seed=0, gain=1.0):
    """The layer's spec, and its parameters after init."""
    spec = dense.build(n_in, np.dtype(dtype))
    params = {key: np.full(shape, np.nan, dtype) for key, shape in spec.params.items()}
    dense.init(params, np.random.default_rng(seed), gain)
    return spec, params


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("batch", "n_in", "n_out"), [(1, 1, 1), (1, 7, 3), (5, 1, 4), (9, 6, 8)])
def test_forward_and_backward(batch, n_in, n_out, bias, dtype, relative_error):
    rng = np.random.default_rng(1)
    dense = bp.Dense(n_out, bias=bias)
    spec, params = made(dense, n_in, dtype)
    assert spec.n_out == n_out
    assert spec.params == {"W": (n_out, n_in)} | ({"b": (n_out,)} if bias else {})
    assert not spec.buffers
    assert not spec.saved
    if bias:
        params["b"][...] = rng.normal(size=n_out)

    x, dy = (rng.normal(size=(batch, n)).astype(dtype) for n in (n_in, n_out))
    y, dx = np.full_like(dy, np.nan), np.full_like(x, np.nan)
    grads = {key: np.full_like(array, np.nan) for key, array in params.items()}
    dense.forward(params, x, y, Context())
    dense.backward(params, x, y, dy, dx, grads, Context())

    W, b = params["W"], params.get("b")
    assert relative_error(y, reference.dense_forward(x, W, b)) < BOUND[dtype]  # E1
    assert relative_error(dx, reference.dense_backward(dy, W)) < BOUND[dtype]  # E6
    assert relative_error(grads["W"], reference.outer_sum(dy, x)) < BOUND[dtype]  # E8
    if bias:
        assert relative_error(grads["b"], reference.bias_sum(dy)) < BOUND[dtype]  # E9
    for array in (y, dx, *grads.values()):
        assert array.dtype == dtype


def test_backward_without_the_inputs_gradient():
    dense = bp.Dense(2)
    _, params = made(dense, 3, "float64")
    x, dy = np.ones((4, 3)), np.ones((4, 2))
    grads = {key: np.full_like(array, np.nan) for key, array in params.items()}
    dense.backward(params, x, dy, dy, None, grads, Context())
    np.testing.assert_array_equal(grads["W"], np.full((2, 3), 4.0))
    np.testing.assert_array_equal(grads["b"], [4.0, 4.0])


# Where the weights start: mean 0, uniform, of the rule's standard deviation


N_IN, N_OUT = 100, 300


def deviation(init, gain=1.0):
    return {
        "auto": gain / math.sqrt(N_IN),
        "he": math.sqrt(2 / N_IN),
        "glorot": math.sqrt(2 / (N_IN + N_OUT)),
        "lecun": 1 / math.sqrt(N_IN),
    }[init]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("init", ["auto", "he", "glorot", "lecun"])
def test_init(init, dtype):
    _, params = made(bp.Dense(N_OUT, init=init), N_IN, dtype, gain=1.7)
    W, bound = params["W"], math.sqrt(3) * deviation(init, gain=1.7)
    assert np.abs(W).max() <= bound * (1 + 1e-6)
    assert np.abs(W).max() > bound * 0.999  # one of 30000 draws comes that near, as good as surely
    # The mean of n draws is off by std / sqrt(n), their std by 0.45 of that: 5 times these will do.
    std, n = deviation(init, gain=1.7), W.size
    assert abs(W.mean()) < 5 * std / math.sqrt(n)
    assert abs(W.std() - std) < 5 * 0.45 * std / math.sqrt(n)
    quarters, _ = np.histogram(W, bins=4, range=(-bound, bound))
    assert np.abs(quarters - n / 4).max() < 5 * math.sqrt(n * 3 / 16)  # uniform, not normal
    assert not params["b"].any()


def test_init_zeros():
    _, params = made(bp.Dense(4, init="zeros"), 3, "float32")
    assert not params["W"].any()
    assert not params["b"].any()


@pytest.mark.parametrize(
    ("following", "gain"), [("relu", math.sqrt(2)), ("tanh", 5 / 3), ("sigmoid", 1), (None, 1)]
)
def test_auto_takes_the_gain_of_what_follows(following, gain):
    layers = [bp.Dense(N_OUT), *([following] if following else [])]
    net = bp.Network(N_IN, layers, loss="squared_error", rng=0, dtype="float64")
    peak = np.abs(net.params["dense1.W"]).max()
    assert peak == pytest.approx(math.sqrt(3) * gain / math.sqrt(N_IN), rel=1e-3)


def test_one_seed_is_one_network_in_both_dtypes():
    nets = {dtype: bp.mlp([5, 4, 3], rng=7, dtype=dtype) for dtype in DTYPES}
    np.testing.assert_array_equal(nets["float32"].flat, nets["float64"].flat.astype("float32"))
    assert not np.array_equal(bp.mlp([5, 4, 3], rng=8).flat, nets["float32"].flat)


# Arguments


@pytest.mark.parametrize("n_out", [0, -3, 2.0, True, "3", None])
def test_n_out_is_a_positive_whole_number(n_out):
    with pytest.raises(bp.ConfigError, match=r"n_out: got .*; wanted a whole number >= 1"):
        bp.Dense(n_out)


def test_numpy_integers_are_whole_numbers():
    assert bp.Dense(np.int32(3)) == bp.Dense(3)
    assert repr(bp.Dense(np.int32(3))) == "Dense(3)"


@pytest.mark.parametrize("bias", [1, 0, None, "yes"])
def test_bias_is_true_or_false(bias):
    with pytest.raises(bp.ConfigError, match=r"bias: got .*; wanted True or False"):
        bp.Dense(3, bias=bias)


@pytest.mark.parametrize("init", ["xavier", "HE", None, 0, ["he"]])
def test_unknown_init_lists_the_known_ones(init):
    with pytest.raises(
        bp.ConfigError, match=r"init: got .*; wanted one of auto, he, glorot, lecun"
    ):
        bp.Dense(3, init=init)


def test_a_dense_is_affine():
    assert bp.Dense.affine
    assert bp.Dense.rows_independent
    assert [d.bias for d in (bp.Dense(1), bp.Dense(1, False))] == [True, False]


def test_every_entry_of_w_is_drawn_anew():
    _, params = made(bp.Dense(30), 20, "float64")
    values = params["W"].ravel()
    assert len(np.unique(values)) == values.size
    assert all(a != -b for a, b in itertools.pairwise(values))

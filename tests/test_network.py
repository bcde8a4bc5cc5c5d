"""The network as an object: making one, its parameters, forward and what follows from it, keeping.

This covers the files it is made of (parameters.py, inference.py, batch.py) as well. Exactness is
for test_oracles.py and test_laws.py, bad arrays are for bad_input/, files for test_checkpoint.py.
"""

import copy
import pickle
import threading
import types

import numpy as np
import pytest

import fastbp as bp
from fastbp import inference, reference

DTYPES = ["float32", "float64"]


@pytest.fixture
def X():
    return np.random.default_rng(1).normal(size=(6, 4))


@pytest.fixture
def y():
    return np.array([0, 2, 1, 1, 0, 2])


@pytest.fixture(params=DTYPES)
def net(request):
    return bp.mlp([4, 5, 3], activation="tanh", dtype=request.param, rng=0)


# Making one


def test_attributes(net):
    assert (net.n_in, net.n_out, net.l2) == (4, 3, 0.0)
    assert net.layers == (bp.Dense(5), bp.Tanh(), bp.Dense(3))
    assert net.loss_function == bp.SoftmaxCrossEntropy()
    assert isinstance(net.dtype, np.dtype)
    assert net.flat.dtype == net.dtype
    assert net.optimizer_state is None
    assert len(net.buffers) == 0
    for name in ("n_in", "n_out", "layers", "dtype", "l2", "loss_function"):
        with pytest.raises(AttributeError):
            setattr(net, name, 1)


def test_defaults():
    net = bp.Network(3, [bp.Dense(2)])
    assert net.dtype == np.float32
    assert net.loss_function == bp.SoftmaxCrossEntropy()
    assert net.l2 == 0.0


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float64"), float, "f4", "d"])
def test_dtypes_by_any_name(dtype):
    assert bp.mlp([2, 2], dtype=dtype).dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "int32", complex, ">f4", "nonsense", 3, None])
def test_other_dtypes_are_refused(dtype):
    """None too, which NumPy takes for float64 and nobody else for anything but the default."""
    with pytest.raises(bp.DtypeError, match=r"dtype: got .*; wanted float32 or float64"):
        bp.mlp([2, 2], dtype=dtype)


def test_mlp_is_short_for_a_network():
    one = bp.mlp(
        [4, 5, 6, 3], activation="relu", loss="squared_error", dtype="float64", rng=3, l2=0.1
    )
    layers = [bp.Dense(5), bp.ReLU(), bp.Dense(6), bp.ReLU(), bp.Dense(3)]
    other = bp.Network(4, layers, loss="squared_error", dtype="float64", rng=3, l2=0.1)
    assert repr(one) == repr(other)
    np.testing.assert_array_equal(one.flat, other.flat)
    assert repr(bp.mlp((4, 3))) == repr(bp.Network(4, [bp.Dense(3)]))
    assert bp.mlp(np.array([4, 3, 2])).n_out == 2
    assert bp.mlp([2, 3, 2], activation=bp.Tanh(name="g")).layers[1] == bp.Tanh(name="g")


@pytest.mark.parametrize("sizes", [[4], [], 4, "43", None, {4: 3, 2: 1}, (n for n in (4, 3))])
def test_mlp_wants_two_sizes_or_more(sizes):
    with pytest.raises(bp.ConfigError, match=r"sizes: got .*; wanted two widths or more"):
        bp.mlp(sizes)


@pytest.mark.parametrize("sizes", [[0, 3], [4, 0], [4, 2.5, 3], [4, "3"], [4, -1, 2], [True, 2]])
def test_sizes_are_positive_whole_numbers(sizes):
    with pytest.raises(bp.ConfigError, match="wanted a whole number >= 1"):
        bp.mlp(sizes)


@pytest.mark.parametrize("l2", [-0.1, np.nan, np.inf, "0.1", None, True])
def test_l2_is_a_finite_number_not_negative(l2):
    with pytest.raises(bp.ConfigError, match=r"l2: got .*; wanted a finite number >= 0"):
        bp.mlp([2, 2], l2=l2)


def test_repr(net):
    dtype = net.dtype.name
    assert repr(net) == (
        f"Network(4, [Dense(5), Tanh(), Dense(3)], loss=SoftmaxCrossEntropy(), dtype='{dtype}')"
    )
    net = bp.Network(2, [bp.Dense(1, name="only")], loss="squared_error", l2=0.5)
    assert repr(net) == (
        "Network(2, [Dense(1, name='only')], loss=SquaredError(), dtype='float32', l2=0.5)"
    )
    assert repr(eval(repr(net), {n: getattr(bp, n) for n in bp.__all__})) == repr(net)


# The generator


def test_rng_seeds_the_weights():
    flats = [
        bp.mlp([4, 5, 3], rng=rng).flat
        for rng in (5, np.int64(5), np.random.SeedSequence(5), np.random.default_rng(5))
    ]
    for flat in flats[1:]:
        np.testing.assert_array_equal(flat, flats[0])
    assert not np.array_equal(bp.mlp([4, 5, 3], rng=6).flat, flats[0])
    assert not np.array_equal(bp.mlp([4, 5, 3]).flat, bp.mlp([4, 5, 3]).flat)  # fresh entropy


def test_a_generator_handed_over_goes_on_and_is_not_kept():
    rng = np.random.default_rng(5)
    one, other = bp.mlp([4, 3], rng=rng), bp.mlp([4, 3], rng=rng)
    assert not np.array_equal(one.flat, other.flat)
    state = rng.bit_generator.state
    X, y = np.ones((4, 4)), [0, 1, 2, 0]
    one.fit(X, y, epochs=2, batch_size=2)
    assert rng.bit_generator.state == state


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002  (it is what must not move)
    bp.mlp([4, 5, 3], rng=0).fit(np.ones((4, 4)), [0, 1, 2, 0], epochs=1)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# Parameters


def test_params_are_writable_views_of_flat_in_order(net):
    assert [*net.params] == ["dense1.W", "dense1.b", "dense2.W", "dense2.b"]
    start = 0
    for array in net.params.values():
        assert np.shares_memory(array, net.flat)
        np.testing.assert_array_equal(array.ravel(), net.flat[start : start + array.size])
        array += 1
        np.testing.assert_array_equal(array.ravel(), net.flat[start : start + array.size])
        start += array.size
    assert start == net.flat.size
    assert net.flat is net.flat


def test_what_is_written_is_what_computes(net, X):
    a = net.forward(X)
    net.params["dense2.W"] *= 2
    net.params["dense2.b"][...] = 1
    np.testing.assert_allclose(net.forward(X), 2 * a + 1, rtol=1e-5)
    net.flat[...] = 0
    assert not net.forward(X).any()
    net.flat = np.arange(net.flat.size)  # into the same memory
    assert net.params["dense1.W"][0, 1] == 1
    net.flat -= 1
    assert net.params["dense1.W"][0, 1] == 0


def test_flat_takes_only_what_fits(net):
    before = net.flat.copy()
    for value, error in [
        (np.zeros(3), bp.ShapeError),
        (0.0, bp.ShapeError),
        (np.zeros(before.size, complex), bp.DtypeError),
    ]:
        with pytest.raises(error, match=r"^flat: got"):
            net.flat = value
    np.testing.assert_array_equal(net.flat, before)


# Forward and what follows from it


def test_forward_is_e1_and_e2(net, X, layers_of, relative_error):
    _, h = reference.forward(X.astype(net.dtype), layers_of(net))
    bound = 1e-6 if net.dtype == np.float32 else 1e-14
    a = net.forward(X)
    assert (a.shape, a.dtype) == ((6, 3), net.dtype)
    assert relative_error(a, h[2]) < bound
    assert relative_error(net.predict_proba(X), reference.softmax(h[2])) < bound
    np.testing.assert_array_equal(net.predict(X), h[2].argmax(axis=1))


def test_forward_into_out(net, X):
    out = np.full((6, 3), np.nan, net.dtype)
    assert net.forward(X, out=out) is out
    np.testing.assert_array_equal(out, net.forward(X))
    assert net.forward(X) is not net.forward(X)


def test_out_must_fit(net, X):
    X = X.astype(net.dtype)
    other = np.float64 if net.dtype == np.float32 else np.float32
    read_only = np.empty((6, 3), net.dtype)
    read_only.flags.writeable = False
    memory = np.zeros(40, net.dtype)
    overlapping = memory[:24].reshape(6, 4), memory[20:38].reshape(6, 3)
    for x, out, error, words in [
        (
            X,
            np.empty((6, 2), net.dtype),
            bp.ShapeError,
            r"out: got shape \(6, 2\); wanted \(6, 3\)",
        ),
        (X, np.empty((6, 3), other), bp.DtypeError, "out: got dtype"),
        (X, np.empty((6, 6), net.dtype)[:, ::2], bp.ShapeError, "out: got a non-contiguous array"),
        (X, read_only, bp.ConfigError, "out: got a read-only array"),
        (X, [[0.0] * 3] * 6, bp.DtypeError, "out: got list; wanted a NumPy array"),
        (*overlapping, bp.ConfigError, "out: shares memory with X"),
        (X, net.flat[:18].reshape(6, 3), bp.ConfigError, "out: shares memory with parameters"),
    ]:
        before, flat = np.array(out), net.flat.copy()
        with pytest.raises(error, match=words):
            net.forward(x, out=out)
        np.testing.assert_array_equal(out, before)
        np.testing.assert_array_equal(net.flat, flat)


def test_an_empty_batch_goes_forward_and_nowhere_else(net):
    X = np.empty((0, 4))
    assert net.forward(X).shape == (0, 3)
    assert net.predict_proba(X).shape == (0, 3)
    assert net.predict(X).shape == (0,)
    assert net.predict(X).dtype == np.int64
    for call in (net.loss, net.gradients, net.loss_and_grad):
        with pytest.raises(bp.ShapeError, match="an empty batch; wanted one row or more"):
            call(X, [])


def test_non_finite_input_propagates_in_its_row_alone(net, X, y):
    clean = net.forward(X)
    X[1, 2], X[4, 0] = np.nan, np.inf
    a = net.forward(X)
    assert np.isnan(a[1]).all()
    np.testing.assert_array_equal(a[[0, 2, 3, 5]], clean[[0, 2, 3, 5]])
    assert np.isnan(net.loss(X, y))
    each = net.loss(X, y, reduction="none")
    assert np.isnan(each[1])
    assert np.isfinite(each[[0, 2, 3, 5]]).all()
    assert net.predict(X).shape == (6,)


@pytest.mark.parametrize("rows", [1, 511, 512, 513, 1300])
def test_large_inputs_are_walked_in_blocks(rows, monkeypatch):
    net = bp.mlp([4, 5, 3], activation="tanh", dtype="float64", rng=0)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(rows, 4)), rng.integers(0, 3, rows)
    weight = rng.uniform(0.5, 2, rows)
    blocks, each = net.forward(X), net.loss(X, y, reduction="none")
    mean = net.loss(X, y, sample_weight=weight)
    assert net._plan.capacity < 2 * inference.BLOCK_ROWS  # memory is bounded
    again = bp.mlp([4, 5, 3], activation="tanh", dtype="float64", rng=0)
    np.testing.assert_array_equal(again.forward(X, out=np.empty((rows, 3))), blocks)
    np.testing.assert_array_equal(net.forward(X), blocks)  # in buffers that were used before
    monkeypatch.setattr(inference, "BLOCK_ROWS", 10**6)
    np.testing.assert_allclose(net.forward(X), blocks, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(net.loss(X, y, reduction="none"), each, rtol=1e-13)
    assert net.loss(X, y, sample_weight=weight) == pytest.approx(mean, rel=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [513, 514, 520, 1025, 1300])
def test_blocks_do_not_change_bits(rows, dtype):
    """`gradients` makes one pass of the whole batch, `forward` and `loss` walk it in blocks."""
    net = bp.mlp([20, 30, 5], activation="tanh", dtype=dtype, rng=0)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(rows, 20)), rng.integers(0, 5, rows)
    g = net.gradients(X, y)
    np.testing.assert_array_equal(net.forward(X), g.values.h[2])
    np.testing.assert_array_equal(net.predict_proba(X), g.values.y_hat)


def test_a_small_batch_after_a_large_one(net, X):
    alone = net.forward(X[:2])
    net.forward(np.vstack([X] * 50))
    np.testing.assert_array_equal(net.forward(X[:2]), alone)


@pytest.mark.parametrize("name", ["forward", "predict", "predict_proba"])
def test_the_input_is_not_changed_nor_kept(net, X, name):
    X = X.astype(net.dtype)
    before = X.copy()
    result = getattr(net, name)(X)
    np.testing.assert_array_equal(X, before)
    kept = result.copy()
    X[...] = 0
    net.forward(X)
    np.testing.assert_array_equal(result, kept)


# Loss


def test_reductions(net, X, y):
    weight = np.array([1.0, 0.0, 2.0, 0.5, 3.0, 1.0])
    each = net.loss(X, y, reduction="none")
    assert each.dtype == np.float64
    assert each.shape == (6,)
    assert isinstance(net.loss(X, y), float)
    assert net.loss(X, y) == pytest.approx(each.mean(), rel=1e-14)
    assert net.loss(X, y, reduction="sum") == pytest.approx(each.sum(), rel=1e-14)
    np.testing.assert_allclose(
        net.loss(X, y, sample_weight=weight, reduction="none"), weight * each, rtol=1e-6
    )
    want = (weight * each).sum() / weight.sum()
    assert net.loss(X, y, sample_weight=weight) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("bad", ["average", "", None, 0, "Mean"])
def test_other_reductions_are_refused(net, X, y, bad):
    with pytest.raises(bp.ConfigError, match=r"reduction: got .*; wanted 'mean', 'sum' or 'none'"):
        net.loss(X, y, reduction=bad)


def test_l2_is_in_the_reduced_losses_only(X, y):
    plain, with_l2 = (bp.mlp([4, 5, 3], dtype="float64", rng=0, l2=l2) for l2 in (0.0, 0.1))
    term = 0.1 * sum((plain.params[f"dense{k}.W"] ** 2).sum() for k in (1, 2))
    for net in (plain, with_l2):
        net.params["dense1.b"][...] = 3  # biases are not in it
    for reduction in ("mean", "sum"):
        got = with_l2.loss(X, y, reduction=reduction) - plain.loss(X, y, reduction=reduction)
        assert got == pytest.approx(term, rel=1e-12)
    np.testing.assert_array_equal(
        with_l2.loss(X, y, reduction="none"), plain.loss(X, y, reduction="none")
    )


# The gradient as a flat array


def test_loss_and_grad_at_the_networks_own_parameters(net, X, y):
    loss, grad = net.loss_and_grad(X, y)
    g = net.gradients(X, y)
    assert isinstance(loss, float)
    assert loss == pytest.approx(g.loss, rel=1e-14)
    assert (grad.dtype, grad.shape) == (net.dtype, net.flat.shape)
    np.testing.assert_allclose(grad, g.flat, rtol=1e-5, atol=1e-7)
    first = grad.copy()
    net.loss_and_grad(-X, y)
    np.testing.assert_array_equal(grad, first)  # the caller's own


def test_loss_and_grad_elsewhere_leaves_the_network_where_it_is(net, X, y):
    before, theta = net.flat.copy(), net.flat * 2 + 0.1
    kept = theta.copy()
    loss, grad = net.loss_and_grad(X, y, theta)
    np.testing.assert_array_equal(net.flat, before)
    np.testing.assert_array_equal(theta, kept)
    net.flat[...] = theta
    want, want_grad = net.loss_and_grad(X, y)
    assert loss == want
    np.testing.assert_array_equal(grad, want_grad)
    assert net.loss_and_grad(X, y, theta.astype(float).tolist())[0] == pytest.approx(want, rel=1e-6)


def test_theta_must_fit(net, X, y):
    with pytest.raises(bp.ShapeError, match=r"theta: got shape \(3,\); wanted \(43,\)"):
        net.loss_and_grad(X, y, np.zeros(3))
    with pytest.raises(bp.NonFiniteError, match="theta: got nan at row 2"):
        net.loss_and_grad(X, y, np.where(np.arange(43) == 2, np.nan, 0.0))
    with pytest.raises(bp.DtypeError, match="theta: got dtype complex128"):
        net.loss_and_grad(X, y, np.zeros(43, complex))


# Keeping


@pytest.fixture
def trained(net, X, y):
    net.fit(X, y, optimizer=bp.Adam(0.01), epochs=3, batch_size=4)
    return net


COPIES = {
    "copy": lambda net: net.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
}


@pytest.mark.parametrize("how", ["copy", "copy.deepcopy", "pickle"])
def test_copies_keep_bits_and_aliasing_and_are_independent(trained, X, y, how):
    twin = COPIES[how](trained)
    assert repr(twin) == repr(trained)
    np.testing.assert_array_equal(twin.flat, trained.flat)
    assert not np.shares_memory(twin.flat, trained.flat)
    for array in twin.params.values():
        assert np.shares_memory(array, twin.flat)
    assert twin.optimizer_state.steps == trained.optimizer_state.steps == 6
    for key, array in trained.optimizer_state.arrays.items():
        np.testing.assert_array_equal(twin.optimizer_state.arrays[key], array)
        assert not np.shares_memory(twin.optimizer_state.arrays[key], array)

    before = trained.flat.copy()
    fits = [
        n.fit(X, y, optimizer=bp.Adam(0.01), epochs=2, batch_size=2).loss for n in (twin, trained)
    ]
    assert fits[0] == fits[1]  # the generator was copied too
    np.testing.assert_array_equal(twin.flat, trained.flat)
    twin.params["dense1.W"][...] = 0
    assert not np.array_equal(trained.flat, before)
    assert trained.params["dense1.W"].any()


def test_a_shallow_copy_computes_what_its_original_does(trained, X):
    twin = copy.copy(trained)
    np.testing.assert_array_equal(twin.forward(X), trained.forward(X))
    for array in twin.params.values():
        assert np.shares_memory(array, twin.flat)


def test_state_dict_is_a_copy_by_name(trained):
    state = trained.state_dict()
    assert [*state] == [*trained.params]
    for name, array in state.items():
        np.testing.assert_array_equal(array, trained.params[name])
        assert not np.shares_memory(array, trained.flat)
    other = bp.mlp([4, 5, 3], activation="tanh", dtype=trained.dtype, rng=9)
    flat = other.flat
    other.load_state_dict(state)
    assert other.flat is flat
    np.testing.assert_array_equal(flat, trained.flat)
    other.load_state_dict(types.MappingProxyType({n: a.tolist() for n, a in state.items()}))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.pop("dense2.b"), bp.UnknownNameError, r"^state: .*\['dense2\.b'\]"),
        (lambda s: s.update(x=1), bp.UnknownNameError, r"^state: .*\['x'\]"),
        (lambda s: s.update({"dense2.b": 0.0}), bp.ShapeError, r"dense2\.b: got shape \(\); wan"),
        (lambda s: s.update({"dense2.b": ["a"] * 3}), bp.DtypeError, r"dense2\.b: got dtype"),
        (lambda s: s.update({"dense2.b": [1j] * 3}), bp.DtypeError, r"dense2\.b: got dtype"),
    ],
)
def test_load_state_dict_takes_all_or_nothing(trained, change, error, words):
    state = {name: np.zeros_like(array) for name, array in trained.params.items()}
    change(state)
    before = trained.flat.copy()
    with pytest.raises(error, match=words):
        trained.load_state_dict(state)
    np.testing.assert_array_equal(trained.flat, before)


def test_reset_optimizer(trained, X, y):
    trained.reset_optimizer()
    assert trained.optimizer_state is None
    trained.step(X, y, bp.SGD(0.1))
    assert trained.optimizer_state.name == "SGD"


# Threads


def test_one_network_in_many_threads(net):
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(n, 4)) for n in (1, 7, 40, 130, 700, 30)]
    want = [net.forward(X) for X in inputs]
    wrong = []

    def work(start):
        for i in range(60):
            n = (start + i) % len(inputs)
            if not np.array_equal(net.forward(inputs[n]), want[n]):
                wrong.append(n)
            net.gradients(inputs[n], np.zeros(len(inputs[n]), int))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_networks_train_side_by_side_as_they_do_alone(X, y):
    def trained(seed):
        net = bp.mlp([4, 5, 3], dtype="float64", rng=seed)
        net.fit(X, y, epochs=20, batch_size=2)
        return net.flat

    want = [trained(seed) for seed in range(4)]
    got = [None] * 4

    def work(seed):
        got[seed] = trained(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("rows", [511, 512, 513, 514, 1024, 1025])
def test_blocks_of_rows_change_no_bits(rows, monkeypatch):
    net = bp.mlp([7, 30, 3], dtype="float64", rng=0)
    X = np.random.default_rng(0).standard_normal((rows, 7))
    y = np.arange(rows) % 3
    blocked, losses = net.forward(X), net.loss(X, y, reduction="none")
    monkeypatch.setattr("fastbp.inference.BLOCK_ROWS", 4096)
    assert (net.forward(X) == blocked).all()
    assert (net.loss(X, y, reduction="none") == losses).all()

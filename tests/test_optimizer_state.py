"""The optimizer's state: what users put in its place is refused before it does harm."""

import copy
import pickle

import numpy as np
import pytest

import fastbp as bp
from fastbp.optimizers import OptimizerState

X, Y = np.eye(3, dtype="float32"), np.array([0, 1, 1])
ADAM, MOMENTUM = bp.Adam(0.01), bp.SGD(0.1, momentum=0.9)


def trained(optimizer=ADAM):
    net = bp.mlp([3, 2], rng=0)
    net.step(X, Y, optimizer)
    net.step(X, Y, optimizer)
    return net


@pytest.mark.parametrize("steps", [-5, -1, 2**62, 2**70, 1.5, "3", None, True, np.nan])
def test_a_count_of_steps_is_a_whole_number(steps):
    state = trained().optimizer_state
    with pytest.raises(bp.OptimizerError, match=r"^optimizer_state\.steps: got .*wanted"):
        state.steps = steps
    with pytest.raises(bp.OptimizerError, match=r"^optimizer_state\.steps: got"):
        OptimizerState("Adam", {}, steps, {})
    assert state.steps == 2
    state.steps = np.int64(7)
    assert state.steps == 7


@pytest.mark.parametrize("arrays", [None, 5, [np.zeros(3)], {"m": None}, {3: np.zeros(3)}])
def test_arrays_are_arrays_by_name(arrays):
    state = trained().optimizer_state
    with pytest.raises(bp.OptimizerError, match=r"^optimizer_state\.arrays: got .*wanted"):
        state.arrays = arrays
    assert set(state.arrays) == {"m", "v"}


def swaps():
    n = trained().flat.size
    yield "two axes", np.zeros((2, n // 2), "float32")
    yield "short", np.zeros(n - 1, "float32")
    yield "of objects", np.array([None] * n)
    yield "of the other type", np.zeros(n)
    yield "no array", None
    yield "not contiguous", np.zeros(2 * n, "float32")[::2]
    yield "nan", np.full(n, np.nan, "float32")
    yield "infinite", np.full(n, np.inf, "float32")
    yield "below 0", np.full(n, -1, "float32")  # as a mean of squares: m may be


@pytest.mark.parametrize(("what", "array"), list(swaps()))
@pytest.mark.parametrize("slot", ["m", "v"])
def test_arrays_that_no_step_can_go_on_with_are_refused(tmp_path, slot, what, array):
    net = trained()
    net.optimizer_state.arrays[slot] = array
    before = net.flat.copy()
    if (what, slot) == ("below 0", "m"):
        net.save(tmp_path / "net.npz")
        assert bp.load(tmp_path / "net.npz").step(X, Y, ADAM) == net.step(X, Y, ADAM)
        return
    for use in (
        lambda: net.step(X, Y, ADAM),
        lambda: net.fit(X, Y, optimizer=ADAM, progress=False),
        lambda: net.save(tmp_path / "net.npz"),
    ):
        with pytest.raises(bp.OptimizerError, match=rf"^optimizer_state\.arrays\['{slot}'\]: got"):
            use()
    assert not any(tmp_path.iterdir())
    np.testing.assert_array_equal(net.flat, before)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("slot", ["m", "v"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_written_into_the_arrays_is_seen_by_the_next_step(dtype, slot, value):
    """At any time, by anybody who was handed them once."""
    net = bp.mlp([3, 4, 2], dtype=dtype, rng=0)
    x = X.astype(dtype)
    net.step(x, Y, ADAM)
    array = net.optimizer_state.arrays[slot]
    net.step(x, Y, ADAM)
    array[5] = value
    before = net.flat.copy(), array.copy()
    if slot == "m" and value == -1:
        net.step(x, Y, ADAM)
        return
    for train in (
        lambda: net.step(x, Y, ADAM),
        lambda: net.fit(x, Y, optimizer=ADAM, progress=False),
    ):
        with pytest.raises(bp.OptimizerError, match=rf"^optimizer_state\.arrays\['{slot}'\]: got"):
            train()
    np.testing.assert_array_equal((net.flat, array), before)


def test_large_momentum_written_into_the_array_does_not_reach_the_parameters():
    net = trained(MOMENTUM)
    net.optimizer_state.arrays["v"][:] = 3e38
    before = net.flat.copy()
    with pytest.raises(bp.NonFiniteError, match="nothing has changed"):
        net.step(X, Y, bp.SGD(3e38, momentum=0.9))
    np.testing.assert_array_equal(net.flat, before)


def test_a_state_that_is_none_is_not_saved(tmp_path):
    net = trained()
    net.optimizer_state = {"steps": 5}
    with pytest.raises(bp.OptimizerError, match=r"^optimizer_state: got .*wanted"):
        net.save(tmp_path / "net.npz")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "through",
    [copy.copy, copy.deepcopy, lambda n: n.copy(), lambda n: pickle.loads(pickle.dumps(n))],
)
def test_a_copy_shares_nothing(through):
    net = trained()
    twin = through(net)
    assert twin._rng is not net._rng
    assert twin.optimizer_state is not net.optimizer_state
    before = net.flat.copy(), net.optimizer_state.arrays["m"].copy(), net.optimizer_state.steps
    draws = copy.deepcopy(net._rng).integers(2**32)
    twin.fit(X, Y, optimizer=ADAM, progress=False)
    np.testing.assert_array_equal(net.flat, before[0])
    np.testing.assert_array_equal(net.optimizer_state.arrays["m"], before[1])
    assert net.optimizer_state.steps == before[2]
    assert net._rng.integers(2**32) == draws


def on_a_line(array):
    return array.ctypes.data % 64 == 0


def test_arrays_stand_on_cache_lines_whatever_made_them(tmp_path):
    net = bp.mlp([3, 7, 2], dtype="float64", rng=0)
    net.step(np.eye(3), Y, ADAM)
    net.save(tmp_path / "net.npz")
    nets = []
    for _ in range(8):  # allocators hit a line by chance
        nets += [bp.load(tmp_path / "net.npz"), net.copy(), copy.deepcopy(net)]
        nets.append(pickle.loads(pickle.dumps(net)))
    for one in nets:
        assert on_a_line(one.flat)
        assert all(on_a_line(array) for array in one.optimizer_state.arrays.values())
        np.testing.assert_array_equal(
            one.optimizer_state.arrays["v"], net.optimizer_state.arrays["v"]
        )


def test_read_only_arrays_are_not_written():
    for freeze in (
        lambda net: net.flat,
        lambda net: net.params["dense1.W"],
        lambda net: net.optimizer_state.arrays["m"],
    ):
        net = trained()
        freeze(net).flags.writeable = False
        before = net.flat.copy()
        for train in (
            lambda net=net: net.step(X, Y, ADAM),
            lambda net=net: net.step(X, [*Y], ADAM),
            lambda net=net: net.fit(X, Y, optimizer=ADAM, progress=False),
        ):
            with pytest.raises(bp.FastbpError, match="read-only"):
                train()
        np.testing.assert_array_equal(net.flat, before)
    net = trained()
    net.params["dense1.W"].flags.writeable = False
    with pytest.raises(bp.ConfigError, match=r"^dense1\.W: is a read-only array"):
        net.params["dense1.W"] = np.zeros((2, 3))
    with pytest.raises(bp.ConfigError, match=r"^dense1\.W: is a read-only array"):
        net.load_state_dict(trained().state_dict())
    net.predict(X)  # reads alone


@pytest.mark.parametrize("how", ["a state of one's own", "arrays of one's own"])
@pytest.mark.parametrize(("slot", "value"), [("m", np.nan), ("v", -1.0), ("v", np.inf)])
def test_arrays_that_a_user_still_holds_are_seen_too(how, slot, value):
    net = trained()
    arrays = {name: array.copy() for name, array in net.optimizer_state._arrays.items()}
    if how == "arrays of one's own":
        net.optimizer_state.arrays = arrays
    else:
        constants = net.optimizer_state.constants
        net.optimizer_state = OptimizerState("Adam", constants, 2, arrays)
    net.step(X, Y, ADAM)
    net.step(X, Y, ADAM)
    arrays[slot][:] = value
    before = net.flat.copy()
    with pytest.raises(bp.OptimizerError, match=rf"^optimizer_state\.arrays\['{slot}'\]: got"):
        net.step(X, Y, ADAM)
    np.testing.assert_array_equal(net.flat, before)


def test_parameters_frozen_as_a_whole_are_not_written_by_name_either():
    net = trained()
    net.flat.flags.writeable = False
    before = net.flat.copy()
    for write in (
        lambda: net.load_state_dict(bp.mlp([3, 2], rng=5).state_dict()),
        lambda: net.params.__setitem__("dense1.b", np.ones(2)),
    ):
        with pytest.raises(bp.ConfigError, match=r"^dense1\.[Wb]: net.flat is a read-only array"):
            write()
    np.testing.assert_array_equal(net.flat, before)


def test_steps_end_where_no_file_could_keep_their_number(tmp_path):
    net = trained()
    net.optimizer_state.steps = 2**62 - 2
    net.step(X, Y, ADAM)
    with pytest.raises(bp.OptimizerError, match=r"^optimizer_state\.steps: got .*reset_optimizer"):
        net.step(X, Y, ADAM)
    net.save(tmp_path / "net.npz")
    assert bp.load(tmp_path / "net.npz").optimizer_state.steps == 2**62 - 1
    assert net.copy().optimizer_state.steps == 2**62 - 1


def overlaps():
    """What one array of the state may share memory with, and how a message calls that."""
    yield "another", lambda net, arrays: arrays["m"], r"optimizer_state\.arrays\['m'\]"
    yield "a view of another", lambda net, arrays: arrays["m"][:], r"optimizer_state\.arrays\['m'\]"
    yield "parameters", lambda net, arrays: net.flat, r"net\.flat"


@pytest.mark.parametrize(("what", "other", "name"), list(overlaps()))
def test_arrays_that_share_memory_are_refused(what, other, name):
    net = trained()
    arrays = net.optimizer_state.arrays
    arrays["v"] = other(net, arrays)
    arrays["m"][:] = np.abs(arrays["m"])
    before, m = net.flat.copy(), arrays["m"].copy()
    match = rf"^optimizer_state\.arrays\['v'\]: shares memory with {name}; wanted"
    for use in (
        lambda: net.step(X, Y, ADAM),
        lambda: net.step(X, Y, ADAM, threads=2),
        lambda: net.fit(X, Y, optimizer=ADAM, progress=False),
    ):
        with pytest.raises(bp.OptimizerError, match=match):
            use()
    np.testing.assert_array_equal(net.flat, before)
    np.testing.assert_array_equal(arrays["m"], m)
    arrays["v"] = np.zeros_like(net.flat)
    net.step(X, Y, ADAM)


def test_parts_of_one_array_that_do_not_overlap_do():
    net, twin = trained(), trained()
    whole = np.concatenate([net.optimizer_state.arrays[name] for name in ("m", "v")])
    m, v = np.split(whole, 2)
    net.optimizer_state.arrays.update(m=m, v=v)
    net.step(X, Y, ADAM)
    twin.step(X, Y, ADAM)
    np.testing.assert_array_equal(net.flat, twin.flat)


def test_an_update_that_leaves_arrays_sharing_memory_is_undone():
    class Keeps(bp.SGD):
        def update(self, theta, grad, state):
            super().update(theta, grad, state)
            state.arrays["v"] = theta

    net = trained(MOMENTUM)
    net.reset_optimizer()
    before = net.flat.copy()
    with pytest.raises(bp.OptimizerError, match=r"shares memory with net\.flat"):
        net.step(X, Y, Keeps(0.1, momentum=0.9))
    np.testing.assert_array_equal(net.flat, before)
    assert net.optimizer_state is None

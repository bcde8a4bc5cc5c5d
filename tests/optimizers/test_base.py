"""Optimizers are frozen values; their state belongs to the network."""

import numpy as np
import pytest

import fastbp as bp
from fastbp.optimizers import Optimizer, OptimizerState

X = np.random.default_rng(0).normal(size=(8, 3))
Y = np.array([0, 1, 1, 0, 1, 0, 0, 1])


def network():
    return bp.mlp([3, 4, 2], rng=0, dtype="float64")


class Signs(Optimizer):
    """Somebody's own: θ ← θ - lr sign(g), and a count of the signs it saw."""

    def __init__(self, lr, shrink=1.0):
        self.lr, self.shrink = lr, shrink

    @property
    def slots(self):
        return ("seen",)

    def update(self, theta, grad, state):
        state.arrays["seen"] += np.sign(grad)
        theta -= self.lr * self.shrink**state.steps * np.sign(grad)


def test_an_optimizer_written_inside_a_loop_works():
    nets = [network(), network()]
    kept = bp.Adam(0.01)
    for _ in range(5):
        nets[0].step(X, Y, kept)
        nets[1].step(X, Y, bp.Adam(0.01))
    np.testing.assert_array_equal(nets[0].flat, nets[1].flat)
    assert nets[1].optimizer_state.steps == 5


def test_one_optimizer_serves_many_networks():
    optimizer, nets = bp.Adam(0.01), [network(), network()]
    nets[0].step(X, Y, optimizer)
    nets[0].step(X, Y, optimizer)
    nets[1].step(X, Y, optimizer)
    assert [net.optimizer_state.steps for net in nets] == [2, 1]
    assert vars(optimizer) == vars(bp.Adam(0.01))


def test_the_learning_rate_may_change_from_call_to_call():
    net = network()
    for lr in (0.1, 0.01, 0.5):
        net.step(X, Y, bp.SGD(lr, momentum=0.9))
    assert net.optimizer_state.steps == 3
    assert "lr" not in net.optimizer_state.constants


@pytest.mark.parametrize(
    "other",
    [
        bp.Adam(),
        bp.SGD(0.1),
        bp.SGD(0.1, momentum=0.8),
        bp.SGD(0.1, momentum=0.9, nesterov=True),
        bp.SGD(0.1, momentum=0.9, weight_decay=0.1),
    ],
    ids=repr,
)
def test_another_kind_or_other_constants_raise_and_change_nothing(other):
    net = network()
    net.step(X, Y, bp.SGD(0.1, momentum=0.9))
    flat, v = net.flat.copy(), net.optimizer_state.arrays["v"].copy()
    kind = type(other).__name__
    for call in (lambda: net.step(X, Y, other), lambda: net.fit(X, Y, optimizer=other, epochs=1)):
        with pytest.raises(
            bp.OptimizerError, match=rf"optimizer: got {kind} with .*reset_optimizer"
        ):
            call()
    np.testing.assert_array_equal(net.flat, flat)
    np.testing.assert_array_equal(net.optimizer_state.arrays["v"], v)
    assert net.optimizer_state.steps == 1
    net.reset_optimizer()
    assert net.optimizer_state is None
    net.step(X, Y, other)
    assert net.optimizer_state.name == kind


def test_the_state_is_made_at_the_first_step_that_succeeds():
    net = network()
    assert net.optimizer_state is None
    with pytest.raises(bp.LabelError):
        net.step(X, np.full(8, 5), bp.Adam())
    assert net.optimizer_state is None
    net.loss(X, Y)
    net.gradients(X, Y)
    assert net.optimizer_state is None
    net.step(X, Y, bp.Adam())
    assert net.optimizer_state.steps == 1
    assert net.optimizer_state.arrays["m"].shape == net.flat.shape


def test_state_for_goes_on_with_the_state_it_is_given():
    theta, optimizer = np.ones(3), bp.Adam()
    state = optimizer.state_for(theta, None)
    assert optimizer.state_for(theta, state) is state
    assert bp.Adam(0.5).state_for(theta, state) is state
    with pytest.raises(bp.OptimizerError):
        bp.SGD(0.1).state_for(theta, state)


def test_an_optimizer_of_ones_own():
    net, by_hand = network(), network()
    for step in range(3):
        _, grad = by_hand.loss_and_grad(X, Y)
        by_hand.flat -= 0.1 * 0.5**step * np.sign(grad)
        net.step(X, Y, Signs(0.1, shrink=0.5))
    np.testing.assert_allclose(net.flat, by_hand.flat, rtol=1e-15)
    state = net.optimizer_state
    assert (state.name, state.constants, state.steps) == ("Signs", {"shrink": 0.5}, 3)
    assert np.abs(state.arrays["seen"]).max() == 3
    with pytest.raises(bp.OptimizerError):
        net.step(X, Y, Signs(0.1))
    net.fit(X, Y, optimizer=Signs(0.05, shrink=0.5), epochs=2, batch_size=4)
    assert net.optimizer_state.steps == 7


@pytest.mark.parametrize("bad", [bp.Adam, bp.SGD, "adam", None, 0.1, bp.ReLU()])
def test_only_instances_of_optimizers(bad):
    net = network()
    with pytest.raises(
        bp.ConfigError, match=r"optimizer: got .*; wanted one like bp\.Adam\(1e-3\)"
    ):
        net.step(X, Y, bad)
    if bad is not None:  # fit's default
        with pytest.raises(bp.ConfigError, match="optimizer: got"):
            net.fit(X, Y, optimizer=bad, epochs=1)


def test_the_base():
    assert Optimizer.slots.fget(bp.SGD(0.1)) == ()
    state = OptimizerState("Adam", {})
    assert (state.steps, state.arrays) == (0, {})
    assert OptimizerState("a", {}).arrays is not state.arrays
    with pytest.raises(NotImplementedError, match=r"Optimizer\.update"):
        Optimizer().update(np.ones(1), np.ones(1), state)


class Ruled(Optimizer):
    """Somebody's own, by a rule of fastbp's or by its own update."""

    def __init__(self, names, rule=None):
        self.lr, self._names, self._rule = 0.1, names, rule

    def config(self):
        return {}

    @property
    def slots(self):
        return self._names

    def rule(self):
        return self._rule

    def update(self, theta, grad, state):
        theta -= self.lr * grad


def refused(net, optimizer, match):
    """Step and fit refuse it in a short message and change nothing."""
    flat, state = net.flat.copy(), net.optimizer_state
    for use in (
        lambda: net.step(X, Y, optimizer),
        lambda: net.fit(X, Y, optimizer=optimizer, epochs=1, progress=False),
    ):
        with pytest.raises(bp.OptimizerError, match=match) as error:
            use()
        assert len(str(error.value)) < 400
    np.testing.assert_array_equal(net.flat, flat)
    assert net.optimizer_state is state


@pytest.mark.parametrize(
    "slots",
    [None, 5, "m", (1,), ("m", None), ("m", "m"), ["m", "v", "m"], {"m": 1}, iter("m"),
     np.zeros(900), (np.zeros(900),), ([],)],
    ids=lambda slots: type(slots).__name__,
)  # fmt: skip
@pytest.mark.parametrize("rule", [None, ("momentum", 0.1, 0.9, False, 0.0)])
def test_slots_are_a_tuple_of_distinct_names(slots, rule):
    match = r"^slots: got (?s:.*); wanted a tuple of names"
    refused(network(), Ruled(slots, rule), match)
    trained = network()
    trained.step(X, Y, Ruled(["m"], rule))  # a list of names does as well
    refused(trained, Ruled(slots, rule), match)


@pytest.mark.parametrize(
    ("slots", "rule", "what"),
    [
        (["v"], ("momentum", 0.1, 0.9, "no", 0.0), "nesterov"),
        (["v"], ("momentum", 0.1, 0.9, None, 0.0), "nesterov"),
        (["v"], ("momentum", 0.1, 0.9, 1, 0.0), "nesterov"),
        (["v"], ("momentum", 0.1, 0.9, np.zeros(2), 0.0), "nesterov"),
        (["v"], ("momentum", 0.1, np.zeros(2), True, 0.0), "momentum"),
        ([], ("sgd", np.full(1, 0.1), 0.0), "lr"),
        ([], ("sgd", "0.1", 0.0), "lr"),
        ([], ("sgd", 0.1, None), "weight_decay"),
        (["m", "v"], ("adam", 0.1, 0.9, 0.9, np.full(900, 1e-8), 0.0), "eps"),
        (["m", "v"], ("adam", 0.1, 0.9, 0.9, "1e-8", 0.0), "eps"),
    ],
)
def test_the_constants_of_a_rule_are_numbers_and_nesterov_is_a_bool(slots, rule, what):
    refused(network(), Ruled(slots, rule), rf"^rule: {what}: got (?s:.*); wanted")


def test_numpys_bool_and_numbers_do_in_a_rule():
    nets = network(), network()
    nets[0].step(X, Y, bp.SGD(0.1, momentum=0.5, nesterov=True))
    rule = ("momentum", np.float64(0.1), np.float32(0.5), np.True_, np.int64(0))
    nets[1].step(X, Y, Ruled(["v"], rule))
    np.testing.assert_array_equal(nets[1].flat, nets[0].flat)

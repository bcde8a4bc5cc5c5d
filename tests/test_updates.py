"""An update leaves every number finite, or nothing changes: by every rule, in both types."""

import numpy as np
import pytest

import fastbp as bp
from fastbp.optimizers import Optimizer

RULES = {
    "sgd": lambda lr, decay: bp.SGD(lr, weight_decay=decay),
    "momentum": lambda lr, decay: bp.SGD(lr, momentum=0.9, weight_decay=decay),
    "nesterov": lambda lr, decay: bp.SGD(lr, momentum=0.9, nesterov=True, weight_decay=decay),
    "adam": lambda lr, decay: bp.Adam(lr, weight_decay=decay),
}


def state_of(net):
    state = net.optimizer_state
    arrays = {} if state is None else {name: a.copy() for name, a in state.arrays.items()}
    return net.flat.copy(), arrays, 0 if state is None else state.steps


def same(one, other):
    return (
        one[0].tobytes() == other[0].tobytes()
        and {n: a.tobytes() for n, a in one[1].items()}
        == {n: a.tobytes() for n, a in other[1].items()}
        and one[2] == other[2]
    )


def rule_in_longdouble(kind, lr, decay, theta, g, slots, t):
    """The step as the optimizers' docstrings have it: theta and state after it."""
    theta, g = theta.astype(np.longdouble), g.astype(np.longdouble)
    d = g + decay * theta
    if kind == "sgd":
        return theta - lr * d, {}
    if kind == "adam":
        m = 0.9 * slots["m"].astype(np.longdouble) + 0.1 * d
        v = 0.999 * slots["v"].astype(np.longdouble) + 0.001 * d * d
        m_hat, v_hat = m / (1 - np.longdouble(0.9) ** t), v / (1 - np.longdouble(0.999) ** t)
        return theta - lr * m_hat / (np.sqrt(v_hat) + 1e-8), {"m": m, "v": v}
    v = 0.9 * slots["v"].astype(np.longdouble) + d
    return theta - lr * (d + 0.9 * v if kind == "nesterov" else v), {"v": v}


def gradient_in_longdouble(net, X, y):
    """Of the mean of E10 over one dense layer, in the layout of flat."""
    W = net.params["dense1.W"].astype(np.longdouble)
    delta = (X @ W.T + net.params["dense1.b"] - y) / len(X)
    return np.concatenate([(delta.T @ X).ravel(), delta.sum(axis=0)])


@pytest.mark.parametrize("rows", [1, 8, 40])
@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_is_the_one_that_the_rule_says_or_none(dtype, kind, rows):
    """Targets, rates and decay of every size, up to the type's largest: 3 steps each."""
    rng = np.random.default_rng(rows)
    top = np.log10(float(np.finfo(dtype).max))
    made = refused = 0
    for _ in range(150):
        net = bp.mlp([3, 2], loss="squared_error", dtype=dtype, rng=int(rng.integers(99)))
        lr = 10 ** rng.uniform(-3, rng.choice([0, top - 1]))
        decay = rng.choice([0, 1e-2, 10 ** rng.uniform(-3, top / 2)])
        X = rng.standard_normal((rows, 3)).astype(dtype)
        y = (rng.standard_normal((rows, 2)) * 10 ** rng.uniform(0, top - 1)).astype(dtype)
        for t in (1, 2, 3):
            before = state_of(net)
            zeros = {name: np.zeros_like(net.flat) for name in ("m", "v")}
            g = gradient_in_longdouble(net, X.astype(np.longdouble), y)
            want, slots = rule_in_longdouble(kind, lr, decay, before[0], g, before[1] or zeros, t)
            try:
                net.step(X, y, RULES[kind](lr, decay))
            except bp.NonFiniteError:
                refused += 1
                assert same(state_of(net), before)
                break
            made += 1
            after = state_of(net)
            assert after[2] == t
            bound = 1e-4 if dtype == "float32" else 1e-12
            for got, wanted in [(after[0], want), *((after[1][s], slots[s]) for s in slots)]:
                assert np.isfinite(got).all()
                error = np.abs(got - wanted).max() / np.abs(wanted).max()
                assert error < bound, (lr, decay, np.abs(y).max())
    assert made > 30
    assert refused > 30


@pytest.mark.parametrize("optimizer", [bp.SGD(10), bp.SGD(1, momentum=0.99, nesterov=True)])
@pytest.mark.parametrize("threads", [1, 2])
def test_what_diverges_stops_at_the_last_finite_network(optimizer, threads):
    rng = np.random.default_rng(0)
    for seed in range(12):
        net = bp.mlp([4, 200, 3], loss="squared_error", rng=seed)
        X, y = 30 * rng.standard_normal((300, 4)), 100 * rng.standard_normal((300, 3))
        with bp.thread_limit(threads):
            for _ in range(200):
                before = state_of(net)
                try:
                    net.step(X, y, optimizer)
                except bp.NonFiniteError:
                    break
                for array in (net.flat, *net.optimizer_state.arrays.values()):
                    assert np.isfinite(array).all()
            else:
                raise AssertionError("it did not diverge")
        assert same(state_of(net), before)


def test_adam_moves_or_says_that_it_cannot_where_squares_overflow():
    net = bp.mlp([1, 1], loss="squared_error", rng=0)
    with pytest.raises(bp.NonFiniteError, match=r"^epoch 1, step 1: update: would make"):
        net.fit([[3.1e9]], [4e10], optimizer=bp.Adam(0.1), epochs=50, progress=False)
    assert net.optimizer_state is None
    wide = bp.mlp([1, 1], loss="squared_error", dtype="float64", rng=0)
    before = wide.flat.copy()
    wide.fit([[3.1e9]], [4e10], optimizer=bp.Adam(0.1), epochs=50, progress=False)
    assert (wide.flat != before).all()


def test_an_update_that_overflows_changes_nothing():
    net = bp.mlp([1, 1], loss="squared_error", rng=0)
    before = state_of(net)
    for _ in range(2):
        with pytest.raises(bp.NonFiniteError, match=r"^update: .*dense1\.W.*smaller learning rate"):
            net.step([[1.0]], [1e18], bp.SGD(1e30))
        assert same(state_of(net), before)
    net.step([[1.0]], [1.0], bp.SGD(0.1))  # and trains on


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.9])
@pytest.mark.parametrize("rows", [1, 5, 40])
@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_masked_class_stays_masked_and_the_others_move_as_without_it(dtype, kind, rows, decay):
    """A bias of -inf takes a class out: all else is as in the network that never had it."""
    optimizer = RULES[kind](0.05, decay)
    masked = bp.mlp([3, 5, 4], dtype=dtype, rng=0, l2=1e-3)
    without = bp.mlp([3, 5, 3], dtype=dtype, rng=0, l2=1e-3)
    masked.params["dense2.W"][3] = 0  # so that l2's penalty is the same
    masked.params["dense2.b"][3] = -np.inf
    for name, array in without.params.items():
        array[...] = masked.params[name][: len(array)]
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((rows, 3)).astype(dtype), rng.integers(0, 3, rows)
    for _ in range(6):
        losses = [net.step(X, y, optimizer) for net in (masked, without)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert masked.params["dense2.b"][3] == -np.inf
    assert all(np.isfinite(array).all() for array in masked.optimizer_state.arrays.values())
    bound = 2e-5 if dtype == "float32" else 1e-12
    for name, array in without.params.items():
        np.testing.assert_allclose(masked.params[name][: len(array)], array, rtol=bound, atol=bound)


class Anybodys(Optimizer):
    """Somebody's own, in Python: what it leaves is `left`, in the first entry of `where`."""

    def __init__(self, left, where, lr=0.1):
        self.left, self.where, self.lr = left, where, lr

    @property
    def slots(self):
        return ("seen",)

    def update(self, theta, grad, state):
        state.arrays["seen"] += 1
        theta -= self.lr * grad
        (theta if self.where == "theta" else state.arrays["seen"])[0] = float(self.left)


@pytest.mark.parametrize("where", ["theta", "seen"])
@pytest.mark.parametrize("left", ["inf", "-inf", "nan"])
def test_an_update_in_python_is_all_or_nothing_too(left, where):
    net = bp.mlp([3, 2], rng=0)
    X, y = np.eye(3), [0, 1, 1]
    net.step(X, y, Anybodys("0.5", where))
    net.reset_optimizer()
    before = state_of(net)
    with pytest.raises(bp.NonFiniteError, match="nothing has changed"):
        net.step(X, y, Anybodys(left, where))
    assert same(state_of(net), before)


class Rule(Optimizer):
    def __init__(self, given, names=(), lr=0.1):
        self.given, self.names, self.lr = given, names, lr

    @property
    def slots(self):
        return tuple(self.names)

    def rule(self):
        return self.given


BAD_RULES = {
    "empty": ((), ()),
    "no tuple": (5, ()),
    "unknown": (("adamw", 0.1, 0.9, 0.999, 1e-8, 0.0), ("m", "v")),
    "a list in its name": ((["sgd"], 0.1, 0.0), ()),
    "short": (("adam", 0.1), ("m", "v")),
    "long": (("sgd", 0.1, 0.0, 0.0), ()),
    "adam without slots": (("adam", 0.1, 0.9, 0.999, 1e-8, 0.0), ()),
    "adam with one slot": (("adam", 0.1, 0.9, 0.999, 1e-8, 0.0), ("m",)),
    "momentum without its slot": (("momentum", 0.1, 0.9, False, 0.0), ()),
    "text for a number": (("sgd", "fast", 0.0), ()),
    "nan": (("sgd", np.nan, 0.0), ()),
    "beta above 1": (("adam", 0.1, 0.9, 1.5, 1e-8, 0.0), ("m", "v")),
    "eps that counts as 0": (("adam", 0.1, 0.9, 0.999, 1e-39, 0.0), ("m", "v")),
}


@pytest.mark.parametrize("bad", BAD_RULES)
def test_a_rule_that_the_plan_does_not_know_is_refused(bad):
    net, optimizer = bp.mlp([3, 2], rng=0), Rule(*BAD_RULES[bad])
    before = state_of(net)
    for train in (
        lambda: net.step(np.eye(3), [0, 1, 1], optimizer),
        lambda: net.fit(np.eye(3), [0, 1, 1], optimizer=optimizer, progress=False),
    ):
        with pytest.raises(bp.OptimizerError, match=r"got .*wanted"):
            train()
        assert same(state_of(net), before)


def test_a_rule_of_ones_own_is_the_built_in_one():
    nets = [bp.mlp([3, 2], rng=0) for _ in range(2)]
    own = Rule(("momentum", 0.1, 0.9, True, 0.01), ("velocity",))
    for _ in range(3):
        nets[0].step(np.eye(3), [0, 1, 1], own)
        nets[1].step(
            np.eye(3), [0, 1, 1], bp.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
        )
    np.testing.assert_array_equal(nets[0].flat, nets[1].flat)


@pytest.mark.parametrize(("dtype", "eps"), [("float32", 1e-38), ("float64", 1e-308)])
def test_adam_refuses_an_eps_that_the_type_takes_as_0(dtype, eps):
    net = bp.mlp([3, 2], dtype=dtype, rng=0)
    with pytest.raises(bp.OptimizerError, match=r"^optimizer: got eps 1e-3.*wanted .* or more"):
        net.step(np.eye(3), [0, 1, 1], bp.Adam(eps=eps))
    assert net.optimizer_state is None
    net.step(np.eye(3), [0, 1, 1], bp.Adam(eps=np.finfo(dtype).tiny))
    assert np.isfinite(net.flat).all()


class Table(bp.SGD):
    """An optimizer that keeps an array."""

    def __init__(self, lr, table):
        super().__init__(lr)
        self.table = np.asarray(table)


def test_an_optimizer_with_an_array_compares_like_any_other():
    net, twin = bp.mlp([3, 2], rng=0), bp.mlp([3, 2], rng=0)
    for _ in range(3):
        net.step(np.eye(3), [0, 1, 1], Table(0.1, [1.0, 2.0]))
        twin.step(np.eye(3), [0, 1, 1], bp.SGD(0.1))
    np.testing.assert_array_equal(net.flat, twin.flat)
    assert Table(0.1, [1.0, 2.0]) == Table(0.1, [1.0, 2.0])
    assert Table(0.1, [1.0, 2.0]) != Table(0.1, [1.0, 3.0])
    with pytest.raises(bp.OptimizerError, match="the network was trained by Table"):
        net.step(np.eye(3), [0, 1, 1], Table(0.1, [1.0, 3.0]))


def test_a_large_eps_does_not_hide_what_overflows_before_it_divides():
    for lr, eps in ((1e25, 1e20), (1e30, 1e30)):
        net = bp.mlp([1, 1], loss="squared_error", rng=0)
        net.flat[:] = 0
        for _ in range(5):
            before = state_of(net)
            try:
                net.step(
                    np.full((1, 1), 1e7, "f4"), np.full((1, 1), 1e7, "f4"), bp.Adam(lr, eps=eps)
                )
            except bp.NonFiniteError:
                assert same(state_of(net), before)
                break
            assert np.isfinite(net.flat).all()


@pytest.mark.parametrize("rows", [8, 128, 200, 600])
@pytest.mark.parametrize("optimizer", [bp.SGD(1e18), bp.SGD(1e18, momentum=0.9), bp.Adam(1e-3)])
def test_numbers_whose_squares_are_lost_have_a_bound_too(optimizer, rows):
    """delta is 1e-19 and x 3e38: their product, times the rate, is more than any float32."""
    net = bp.mlp([1, 1], loss="squared_error", rng=0)
    net.flat[:] = 0
    before = state_of(net)
    with pytest.raises(bp.NonFiniteError, match="nothing has changed"):
        net.step(np.full((rows, 1), 3e38, "f4"), np.full((rows, 1), 1e-17, "f4"), optimizer)
    assert same(state_of(net), before)


def test_ctrl_c_in_the_comparison_of_two_optimizers_is_not_swallowed():
    class Interrupts:
        def __eq__(self, other):
            raise KeyboardInterrupt

        __hash__ = object.__hash__

    net, X, y = bp.mlp([3, 2], rng=0), np.eye(3, dtype="f4"), np.array([0, 1, 1])
    one, other = Table(0.1, [1.0]), Table(0.1, [1.0])
    one.__dict__["table"], other.__dict__["table"] = Interrupts(), Interrupts()
    net.step(X, y, one)
    with pytest.raises(KeyboardInterrupt):
        net.step(X, y, other)

"""What a step makes in one pass beside the same made in several, and the reference.

The step along E8 without forming it, with the gradient formed first, and by hand; all three start
from the same numbers, so that only this step's rounding lies between them. E1 with an activation's
E2, and E6 with a ReLU's E7 and half of E9, beside products, activations and sums apart, to the bit.
"""

import numpy as np
import pytest

import fastbp as bp
from fastbp.kernels.product import instruction_sets

ON_AN_INSTRUCTION_SET = """
import itertools, os
import numpy as np, fastbp as bp
from fastbp import reference
from fastbp.kernels.product import instruction_set
assert instruction_set() == os.environ["FASTBP_ISA"]

class FormedSGD(bp.SGD):
    def update(self, theta, grad, state):  # no rule, so the gradient is formed first
        super().update(theta, grad, state)

class FormedAdam(bp.Adam):
    def update(self, theta, grad, state):
        super().update(theta, grad, state)

OPTIMIZERS = [
    (bp.SGD, FormedSGD, dict(lr=0.05)),
    (bp.SGD, FormedSGD, dict(lr=0.05, weight_decay=0.1)),
    (bp.SGD, FormedSGD, dict(lr=0.05, momentum=0.9, weight_decay=0.1)),
    (bp.SGD, FormedSGD, dict(lr=0.05, momentum=0.9, nesterov=True)),
    # eps keeps the quotient from magnifying the rounding of a gradient near 0
    (bp.Adam, FormedAdam, dict(lr=0.03, eps=0.1, weight_decay=0.1)),
]

def by_hand(theta, g, s, t, lr, momentum=0, nesterov=False, weight_decay=0, eps=None):
    # the optimizers' formulas in double: theta and state after the t-th step
    g = g + weight_decay * theta
    if eps is not None:
        m, v = 0.9 * s["m"] + 0.1 * g, 0.999 * s["v"] + 0.001 * g * g
        root = np.sqrt(v / (1 - 0.999**t))
        return theta - lr * m / (1 - 0.9**t) / (root + eps), {"m": m, "v": v}
    if not momentum:
        return theta - lr * g, {}
    v = momentum * s["v"] + g
    return theta - lr * (g + momentum * v if nesterov else v), {"v": v}

def numbers(net):
    arrays = net.optimizer_state.arrays if net.optimizer_state else {}
    return net.flat.astype(float), {key: array.astype(float) for key, array in arrays.items()}

def near(got, wanted, bound):
    for a, b in [(got[0], wanted[0]), *((got[1][key], wanted[1][key]) for key in wanted[1])]:
        assert np.abs(a - b).max() <= bound * max(1, np.abs(b).max()), case

rng = np.random.default_rng(1)  # no pre-activation is so near 0 that ReLU's slope is in doubt
everything = itertools.product(
    OPTIMIZERS, (0.0, 0.05), ("float32", "float64"), (bp.ReLU, bp.Tanh, bp.Sigmoid), (True, False),
    (1, 2, 7, 33, 64, 200, 513))
for case in everything:
    (kind, formed_kind, settings), l2, dtype, g, bias, batch = case
    layers = [bp.Dense(17, bias=bias), g(), bp.Dense(33, bias=bias), g(), bp.Dense(3, bias=bias)]
    fused, formed = (bp.Network(9, layers, dtype=dtype, l2=l2, rng=1) for _ in range(2))
    eps = np.finfo(dtype).eps
    for t in (1, 2, 3):
        X, y = rng.standard_normal((batch, 9)).astype(dtype), rng.integers(0, 3, batch)
        theta, state = numbers(fused)
        state = state or {slot: 0 for slot in kind(**settings).slots}
        at, chain = 0, []
        for k, (n_in, n_out) in enumerate([(9, 17), (17, 33), (33, 3)]):
            W = theta[at:at + n_in * n_out].reshape(n_out, n_in)
            at += W.size
            b = theta[at:at + n_out] if bias else None
            at += n_out if bias else 0
            chain.append((W, b, g.__name__.lower() if k < 2 else None))
        exact = reference.gradients(X.astype(float), y, chain, l2=l2)
        parts = [(exact.W[k], exact.b[k]) if bias else (exact.W[k],) for k in (1, 2, 3)]
        gradient = np.concatenate([part.ravel() for pair in parts for part in pair])
        if t > 1:
            fused._plan.flat[:] = np.nan
        losses = fused.step(X, y, kind(**settings)), formed.step(X, y, formed_kind(**settings))
        assert losses[0] == losses[1] and abs(losses[0] / exact.loss - 1) < 64 * eps, case
        if t > 1:  # W of the first layer: steps are along E8 unformed where that pays
            unformed = batch <= (512 if kind is bp.SGD else 1)
            assert np.isnan(fused._plan.flat[:9 * 17]).all() == unformed, case
        near(numbers(fused), numbers(formed), 16 * eps)
        near(numbers(fused), by_hand(theta, gradient, state, t, **settings), 64 * eps)
        formed.flat = fused.flat
        for key, array in fused.optimizer_state.arrays.items():
            formed.optimizer_state.arrays[key][:] = array
"""


APART = """
import itertools
import numpy as np, fastbp as bp
from fastbp.kernels import activations

class ReLU(bp.layers.Elementwise):  # in Python: no product takes it along
    needs_x = False
    def f(self, x, y):
        np.copyto(y, np.where(x <= 0, 0, x))
    def df(self, x, y, out):
        out[...] = y > 0

class Wrapped(bp.layers.Elementwise):  # the kernel, called from Python
    needs_x = False
    def f(self, x, y):
        self.kernel("forward")(x, out=y)
    def backward(self, params, x, y, dy, dx, grads, ctx):
        self.kernel("backward")(y, dy, out=dx)
    def kernel(self, way):
        return getattr(activations, f"{type(self).__name__.lower()}_{way}")

class Tanh(Wrapped): pass
class Sigmoid(Wrapped): pass

rng = np.random.default_rng(2)
shapes = [(5, 3, 2), (64, 100, 33, 10), (33, 17, 16, 48, 2), (200, 193, 5), (400, 50, 40, 3),
          (9, 193, 130, 5)]
everything = itertools.product(
    shapes, (1, 2, 4, 6, 8, 12, 15, 16, 24, 32, 48, 49, 200), ("float32", "float64"),
    (bp.SGD(0.05), bp.Adam(0.01)), (ReLU, Tanh, Sigmoid))
for case in everything:
    (n_in, *widths), batch, dtype, optimizer, g = case
    together, apart = (
        bp.Network(n_in, [layer for n in widths for layer in (bp.Dense(n), g())][:-1],
                   dtype=dtype, rng=1) for g in (getattr(bp, g.__name__), g))
    apart.flat = together.flat
    for _ in range(3):
        X = rng.standard_normal((batch, n_in)).astype(dtype)
        y = rng.integers(0, widths[-1], batch)
        assert together.step(X, y, optimizer) == apart.step(X, y, optimizer), case
        assert np.array_equal(together.flat, apart.flat), case
"""


@pytest.mark.parametrize("isa", instruction_sets())
def test_an_activation_in_the_product_is_one_apart(isa, python):
    done = python(APART, FASTBP_ISA=isa)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("isa", instruction_sets())
def test_formed_or_not_the_step_is_the_references(isa, python):
    done = python(ON_AN_INSTRUCTION_SET, FASTBP_ISA=isa)
    assert done.returncode == 0, done.stderr


WIDE = """
import itertools
import numpy as np, fastbp as bp
from fastbp import reference
rng = np.random.default_rng(3)
# E6 in several blocks of its depth, whose last panel of columns is part of a register, and others
shapes = [[100, 300, 260, 7], [5, 50, 700, 3], [70, 200, 300, 193, 2], [9, 60, 580, 5]]
shapes += [[*rng.integers(4, 330, 3), 10] for _ in range(16)]
# the first step, along g or g / (|g| + eps)
optimizers = [(bp.SGD(1.0), None), (bp.SGD(1.0, momentum=0.9), None), (bp.Adam(1.0, eps=0.1), 0.1)]
for number, sizes in enumerate(shapes):
    for dtype, (optimizer, eps) in itertools.product(("float32", "float64"), optimizers):
        sizes, batch = [int(n) for n in sizes], int(rng.choice([1, rng.integers(2, 70)]))
        net = bp.mlp(sizes, dtype=dtype, rng=number)
        X = rng.standard_normal((batch, sizes[0])).astype(dtype)
        y = rng.integers(0, sizes[-1], batch)
        before = {name: value.astype(float) for name, value in net.params.items()}
        k = len(sizes) - 1
        chain = [(before[f"dense{i}.W"], before[f"dense{i}.b"], "relu" if i < k else None)
                 for i in range(1, k + 1)]
        exact = reference.gradients(X.astype(float), y, chain)
        net.step(X, y, optimizer)
        for i in range(1, k + 1):
            for name, g in (("W", exact.W[i]), ("b", exact.b[i])):
                went = before[f"dense{i}.{name}"] - net.params[f"dense{i}.{name}"]
                error = np.abs(went - (g if eps is None else g / (np.abs(g) + eps))).max()
                case = sizes, batch, dtype, optimizer, i, name, error
                assert error < 64 * np.finfo(dtype).eps, case
"""


@pytest.mark.parametrize("isa", instruction_sets())
def test_a_step_through_wide_layers_is_the_references(isa, python):
    done = python(WIDE, FASTBP_ISA=isa)
    assert done.returncode == 0, done.stderr


def test_a_gradient_near_overflow_is_formed_and_the_step_is_right():
    """|delta| |h| is beyond the bound under which a gradient is not looked at, and yet finite."""
    net = bp.mlp([4, 1], loss="squared_error", rng=0)
    X, y, opt = np.full((2, 4), 1e18, np.float32), np.full(2, -1e20, np.float32), bp.SGD(2e-38)
    net.step(X / 1e10, y, opt)
    net._plan.flat[:] = np.nan
    W, b = (net.params[name].astype(float) for name in ("dense1.W", "dense1.b"))
    net.step(X, y, opt)
    assert np.isfinite(net._plan.flat).all()  # formed
    wanted = W - 2e-38 * (X.astype(float) @ W[0] + b + 1e20)[0] * 1e18
    assert 1 < np.abs(wanted).max() < 100
    np.testing.assert_allclose(net.params["dense1.W"], wanted, rtol=1e-5)


@pytest.mark.parametrize("rows", [64, 1])
@pytest.mark.parametrize(
    ("optimizer", "slot"),
    [(bp.SGD(0.5), None), (bp.SGD(0.5, momentum=0.9), None), (bp.Adam(0.1), None),
     (bp.SGD(0.5, momentum=0.9), "v"), (bp.Adam(0.1), "m"), (bp.Adam(0.1), "v")],
)  # fmt: skip
def test_x_may_be_memory_that_the_step_writes_to(optimizer, slot, rows):
    """The weights of a layer, or its momentum, as rows of input: the step sees them as before."""
    nets = [bp.mlp([64, 64, 3], dtype="float64", rng=0) for _ in range(3)]
    y = np.arange(rows) % 3
    for net in nets:
        net.step(np.eye(64)[:rows], y, optimizer)

    def memory(net):
        array = net.flat if slot is None else net.optimizer_state.arrays[slot]
        return array[: rows * 64].reshape(rows, 64)

    nets[0].step(memory(nets[0]), y, optimizer)
    nets[1].step(memory(nets[1]).copy(), y, optimizer)
    nets[2].step(memory(nets[2]), [*y], optimizer)  # a list: the careful way
    for net in nets[::2]:
        np.testing.assert_allclose(net.flat, nets[1].flat, rtol=0, atol=1e-12)


@pytest.mark.parametrize("optimizer", [bp.SGD(1e-38), bp.SGD(1e-38, momentum=0.9)])
def test_a_bias_gradient_whose_partial_sums_overflow_is_finite(optimizer):
    """Four rows of a hidden delta near the largest float32, then four of the other sign."""
    net = bp.Network(1, [bp.Dense(1), bp.ReLU(), bp.Dense(1)], loss="squared_error", rng=0)
    for name, value in zip(net.params, (1e3, 0.0, 4.0, 0.0), strict=True):
        net.params[name][...] = value
    X, y = np.full((8, 1), 1e-3, np.float32), np.repeat([-3.2e38, 3.2e38], 4).astype(np.float32)
    net.step(X, y, optimizer)
    assert np.isfinite(net.flat).all()
    assert net.params["dense1.b"] == pytest.approx(0.0, abs=1e-6)  # eight of 1.6e38, in pairs


@pytest.mark.parametrize("rows", [1, 8, 600])
@pytest.mark.parametrize("optimizer", [bp.SGD(1e-3), bp.SGD(1e-3, momentum=0.9), bp.Adam(1e-3)])
def test_a_gradient_that_overflows_is_told_and_changes_nothing(optimizer, rows):
    """delta h is 1e10 times 1e30, and the loss finite."""
    net = bp.Network(1, [bp.Dense(1)], loss="squared_error", rng=0)
    y = np.full((rows, 1), 1e10, np.float32)
    net.flat[:] = 0
    net.step(np.zeros((rows, 1), np.float32), np.zeros_like(y), optimizer)
    for X in (np.full((rows, 1), 1e30, np.float32), [[1e30]] * rows):  # a list: the careful way
        with pytest.raises(bp.NonFiniteError, match=r"^gradient: became NaN or infinite"):
            net.step(X, y, optimizer)
        assert (net.flat == 0).all()
        assert net.optimizer_state.steps == 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_hidden_delta_that_overflows_with_x_is_told_and_changes_nothing(threads):
    """delta_1 x is 1e12 times 1e30, for one input and the last hidden units; on several threads E6
    is divided by these."""
    net = bp.mlp([200, 600, 500, 10], loss="squared_error", rng=0)
    X, y = np.ones((40, 200), np.float32), np.full((40, 10), 1e12, np.float32)
    with bp.thread_limit(threads):
        net.step(X, np.zeros_like(y), bp.SGD(1e-3))
        X[:, 0], net.params["dense1.W"][:, 0] = 1e30, 0
        net.params["dense2.W"][:, :-8] = 0
        before = net.flat.copy()
        with pytest.raises(bp.NonFiniteError, match=r"^gradient: became NaN or infinite"):
            net.step(X, y, bp.SGD(1e-30))
    np.testing.assert_array_equal(net.flat, before)


def test_decay_and_l2_that_overflow_together_do_not_reach_the_parameters():
    net = bp.mlp([4, 3], loss="squared_error", l2=1.5e38, rng=0)
    net.flat[:] = 1e-30
    net.step(np.eye(4), np.zeros((4, 3)), bp.SGD(2e-38, weight_decay=3e38))
    np.testing.assert_allclose(net.params["dense1.W"], -11e-30, rtol=1e-5)
    np.testing.assert_allclose(net.params["dense1.b"], -5e-30, rtol=1e-5)


class Steep(bp.Dense):
    def backward(self, params, x, y, dy, dx, grads, ctx):
        super().backward(params, x, y, dy, dx, grads, ctx)
        grads["W"][...] = 3.4e38


def test_a_gradient_that_overflows_with_the_l2_term_changes_nothing():
    net = bp.Network(4, [Steep(3)], loss="squared_error", l2=4e36, rng=0)
    net.flat[:] = 1
    with pytest.raises(bp.NonFiniteError, match=r"^gradient: became NaN or infinite"):
        net.step(np.eye(4), np.zeros((4, 3)), bp.SGD(1e-38))
    assert (net.flat == 1).all()

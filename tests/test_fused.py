"""What a step makes in one pass beside the same made in several, and the reference.

The step along E8 without forming it, with the gradient formed first, and by hand; all three start
from the same numbers, so that only this step's rounding lies between them. E1 with an activation's
E2, and E6 with a ReLU's E7 and half of E9, beside products, activations and sums apart, to the bit.
"""

import numpy as np
import pytest

import fastbp as bp
from fastbp.kernels.product import instruction_sets


@pytest.mark.parametrize("isa", instruction_sets())
def test_an_activation_in_the_product_is_one_apart(isa, program):
    done = program("activations_apart", FASTBP_ISA=isa)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("isa", instruction_sets())
def test_formed_or_not_the_step_is_the_references(isa, program):
    done = program("unformed_steps", FASTBP_ISA=isa)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("isa", instruction_sets())
def test_a_step_through_wide_layers_is_the_references(isa, program):
    done = program("wide_layers", FASTBP_ISA=isa)
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

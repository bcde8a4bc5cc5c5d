"""Parts that break the contract around a network's passes: built, validated, asked to predict."""

import numpy as np
import pytest

import fastbp as bp

LAYER = "layer 'scale' = acme_py:Scale of acme-py 4.0"
LOSS = "loss 'squares' = acme_py:Squares of acme-py 4.0"


def make():
    layers = [bp.Dense(4), bp.Tanh(), "scale", bp.Dense(2)]
    return bp.Network(3, layers, loss="squares", rng=0)


@pytest.fixture
def net(order):
    return make()


def fail(error):
    def action(**names):
        raise error

    return action


class Odd(Exception):
    pass


@pytest.mark.parametrize("function", ["build", "init"])
def test_an_exception_while_a_network_is_built(order, function):
    exc = Odd("no luck")
    order(function, fail(exc))
    with pytest.raises(bp.PluginCallError) as caught:
        make()
    assert str(caught.value) == f"{LAYER}: {function} failed (Odd: no luck)"
    assert caught.value.__cause__ is exc
    order()
    make()


SPECS = {
    "a tuple": lambda: (),
    "a dict": lambda: {"n_out": 4},
    "n_out 0": lambda: bp.layers.LayerSpec(0),
    "n_out below 0": lambda: bp.layers.LayerSpec(-4),
    "n_out 2.5": lambda: bp.layers.LayerSpec(2.5),
    "n_out of text": lambda: bp.layers.LayerSpec("4"),
    "params below 0": lambda: bp.layers.LayerSpec(4, {"gamma": (-4,)}),
    "params of text": lambda: bp.layers.LayerSpec(4, {"gamma": "4"}),
    "params of a number": lambda: bp.layers.LayerSpec(4, {"gamma": 4}),
    "params of fractions": lambda: bp.layers.LayerSpec(4, {"gamma": (1.5,)}),
    "params with a dot": lambda: bp.layers.LayerSpec(4, {"ga.mma": (4,)}),
    "params named by a number": lambda: bp.layers.LayerSpec(4, {1: (4,)}),
    "buffers below 0": lambda: bp.layers.LayerSpec(4, {"gamma": (4,)}, {"seen": (-1,)}),
    "saved of a number": lambda: bp.layers.LayerSpec(4, {"gamma": (4,)}, saved={"s": 3}),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_spec_that_makes_no_sense(order, spec):
    order("build", spec)
    with pytest.raises(bp.PluginCallError) as caught:
        make()
    assert str(caught.value).startswith(f"{LAYER}: build failed (")


RETURNED = {
    "None": lambda y: None,
    "a list": lambda y: y.tolist(),
    "too few rows": lambda y: np.zeros((100, 2), y.dtype)[: len(y) - 1],
    "too narrow": lambda y: np.zeros((100, 2), y.dtype)[: len(y), :1],
    "one axis": lambda y: np.zeros((100, 2), y.dtype)[: len(y), 0],
    "integers": lambda y: y.astype(np.int32),
    "half precision": lambda y: y.astype(np.float16),
    "in another order": lambda y: np.asfortranarray(y),
}


@pytest.mark.parametrize("action", RETURNED.values(), ids=RETURNED)
@pytest.mark.parametrize("call", ["loss", "step", "gradients"])
def test_targets_of_a_wrong_shape_or_dtype(net, order, bits, call, action):
    """A loss in C would read past their end."""
    order("check_targets", lambda y: action(y))
    before = bits(net)
    X, y = np.ones((3, 3)), np.ones((3, 2))
    with pytest.raises(bp.PluginCallError) as caught:
        net.step(X, y, bp.SGD(0.1)) if call == "step" else getattr(net, call)(X, y)
    assert str(caught.value).startswith(f"{LOSS}: check_targets failed (")
    assert bits(net) == before


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("check_targets", lambda net, X, y: net.step(X, y, bp.SGD(0.1))),
        ("target_width", lambda net, X, y: make()),
        ("y_hat", lambda net, X, y: net.predict(X)),
        ("decide", lambda net, X, y: net.predict(X)),
        ("y_hat_gradient", lambda net, X, y: net.gradients(X, y).y_hat),
    ],
)
def test_an_exception_in_a_losses_other_functions(net, order, bits, function, call):
    exc = Odd("no luck")
    X, y = np.ones((3, 3)), np.ones((3, 2))
    call(net.copy(), X, y)
    before = bits(net)
    order(function, fail(exc))
    with pytest.raises(bp.PluginCallError) as caught:
        call(net, X, y)
    assert str(caught.value) == f"{LOSS}: {function} failed (Odd: no luck)"
    assert caught.value.__cause__ is exc
    assert bits(net) == before


@pytest.mark.parametrize("function", ["loss_and_delta", "y_hat", "correct", "forward"])
def test_an_exception_while_validating(net, order, function):
    """Training up to there counts; the error is named like any other."""
    X, y = np.ones((4, 3)), np.ones((4, 2))
    twin = net.copy()
    twin.fit(X, y, epochs=1, optimizer=bp.SGD(0.1))
    order(function, fail(Odd("no luck")), calls=function in ("loss_and_delta", "forward"))
    with pytest.raises(bp.PluginCallError, match=rf" of acme-py 4.0: {function} failed \(Odd: no"):
        net.fit(X, y, epochs=2, optimizer=bp.SGD(0.1), validation_data=(X, y))
    assert net.flat.tobytes() == twin.flat.tobytes()

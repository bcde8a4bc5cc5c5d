"""C functions that fail while a network runs: who, why, and everything as before the step."""

import numpy as np
import pytest

import fastbp as bp

ENTRY = {
    "half": "layer 'half' = acme_c:Half of acme-c 3.0",
    "scale": "layer 'scale' = acme_c:Scale of acme-c 3.0",
    "squares": "loss 'squares' = acme_c:Squares of acme-c 3.0",
}
STAGES = {"forward": 1, "loss_and_delta": 2, "backward": 3}
PLACES = [
    ("half", "forward"), ("half", "backward"), ("scale", "forward"), ("scale", "backward"),
    ("squares", "loss_and_delta"),
]  # fmt: skip
OK, ERROR, NO_MEMORY, NON_FINITE, NAN = 0, 1, 2, 3, 1000


@pytest.fixture
def order(install_c):
    """order(stage, code, message, calls): what the C parts do from now on; () to undo it."""
    orders = install_c().ORDERS

    def order(stage="", code=OK, message=b"", calls=0):
        orders.stage, orders.code = STAGES.get(stage, 0), code
        orders.countdown, orders.message = calls, message

    return order


@pytest.fixture(params=["float32", "float64"])
def net(request, order):
    layers = [bp.Dense(4), "half", "scale", bp.Dense(2)]
    return bp.Network(3, layers, loss="squares", dtype=request.param, rng=0)


CODES = {
    "an error": (ERROR, b"out of luck", bp.PluginCallError, "failed (out of luck)"),
    "an error without words": (ERROR, b"", bp.PluginCallError, "failed (code 1)"),
    "an unknown code": (77, b"", bp.PluginCallError, "failed (code 77)"),
    "a code below 0": (-1, b"", bp.PluginCallError, "failed (code -1)"),
    "another code below 0": (-2, b"", bp.PluginCallError, "failed (code -2)"),
    "the least code": (-(2**31), b"", bp.PluginCallError, f"failed (code {-(2**31)})"),
    "a code below 0 with words": (-5, b"hm", bp.PluginCallError, "failed (hm)"),
    "no memory": (NO_MEMORY, b"", MemoryError, "ran out of memory"),
    "non-finite": (NON_FINITE, b"met a NaN", bp.NonFiniteError, "met a NaN"),
    "a long message": (ERROR, b"x" * 599, bp.PluginCallError, "failed (xxxx"),
    "a message of bytes": (ERROR, b"caf\xe9", bp.PluginCallError, "failed (caf\ufffd)"),
}


@pytest.fixture
def later(order):
    """later(name, stage, code, message)(calls): one part obeys, after that many good steps."""

    def later(name, stage, code, message=b""):
        # half and scale count together: forward half comes first, backward scale does
        turn = int((name, stage) in {("scale", "forward"), ("half", "backward")})

        def give(calls):
            order(stage, code, message, calls if name == "squares" else 2 * calls + turn)
            return order

        return give

    return later


@pytest.mark.parametrize(("code", "message", "error", "words"), CODES.values(), ids=CODES)
@pytest.mark.parametrize(("name", "stage"), PLACES)
@pytest.mark.parametrize("calls", [0, 3, 4])
def test_in_the_middle_of_training(
    net, later, fails_in_epoch, name, stage, code, message, error, words, calls
):
    give = later(name, stage, code, message)
    fails_in_epoch(net, calls, give, error, ENTRY[name], stage, words)


@pytest.mark.parametrize(("name", "stage"), PLACES)
def test_nan_in_the_middle_of_training(net, later, fails_in_epoch, name, stage):
    give = later(name, stage, NAN)
    fails_in_epoch(net, 4, give, bp.NonFiniteError, "epoch 2, step 2: ", ENTRY[name])


CALLS = {
    "forward": lambda net, X, y: net.forward(X),
    "predict": lambda net, X, y: net.predict(X),
    "loss": lambda net, X, y: net.loss(X, y),
    "gradients": lambda net, X, y: net.gradients(X, y),
    "vjp": lambda net, X, y: net.vjp(X, y),
    "loss_and_grad": lambda net, X, y: net.loss_and_grad(X, y),
    "step": lambda net, X, y: net.step(X, y, bp.SGD(0.1)),
}
USES = {
    "forward": set(CALLS),
    "loss_and_delta": {"loss", "gradients", "loss_and_grad", "step"},
    "backward": {"gradients", "vjp", "loss_and_grad", "step"},
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("stage", STAGES)
def test_every_call_that_uses_it(net, order, bits, stage, call):
    X, y = np.ones((3, 3)), np.ones((3, 2))
    want = CALLS[call](net.copy(), X, y)
    before = bits(net)
    order(stage, ERROR, b"out of luck")
    if call in USES[stage]:
        with pytest.raises(bp.PluginCallError, match=rf" of acme-c 3.0: {stage} failed \(out of "):
            CALLS[call](net, X, y)
    assert bits(net) == before
    order()
    got = CALLS[call](net, X, y)
    if isinstance(want, float | np.ndarray):
        assert np.array_equal(got, want)


def test_a_message_is_of_its_own_call(net, order):
    """What one failure said is not said of the next."""
    X, y = np.ones((3, 3)), np.ones((3, 2))
    for message, words in ((b"first", "first"), (b"", "code 1"), (b"third", "third")):
        order("forward", ERROR, message)
        with pytest.raises(bp.PluginCallError, match=rf"failed \({words}\)$"):
            net.step(X, y, bp.SGD(0.1))
    order("forward", OK, b"said, but all went well")
    net.step(X, y, bp.SGD(0.1))
    order("forward", ERROR)
    with pytest.raises(bp.PluginCallError, match=r"failed \(code 1\)$"):
        net.step(X, y, bp.SGD(0.1))


def test_a_failure_leaves_other_networks_alone(net, order, data, site):
    site.leaky()
    other = bp.mlp([3, 4, 2], activation="leaky", rng=0)
    want = other.copy().fit(*data, epochs=3).loss
    order("backward", ERROR, b"out of luck")
    with pytest.raises(bp.PluginCallError):
        net.step(np.ones((3, 3)), np.ones((3, 2)), bp.SGD(0.1))
    assert other.fit(*data, epochs=3).loss == want


def test_a_loss_with_c_bodies_alone_does_all_a_loss_does(net):
    twin = bp.Network(3, net.layers, loss="squared_error", dtype=net.dtype, rng=0)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    for made in (net, twin):
        made.history = made.fit(
            X, y, epochs=2, batch_size=4, optimizer=bp.SGD(0.01), validation_data=(X, y), rng=1
        )
    assert net.history.val_loss == pytest.approx(twin.history.val_loss, rel=1e-5)
    g, h = net.gradients(X, y), twin.gradients(X, y)
    np.testing.assert_allclose(g.y_hat, h.y_hat, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(g.values.y_hat, net.predict(X), rtol=1e-6)
    assert repr(g).startswith("quantity")

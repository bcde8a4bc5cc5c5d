"""SGD against its formula written out in longdouble, CS231n's numbers, and PyTorch."""

import numpy as np
import pytest

import fastbp as bp

DTYPES = ["float32", "float64"]
BOUND = {"float32": 2e-6, "float64": 2e-15}
SETTINGS = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.5, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
]
RATES = [0.1, 0.1, 0.05, 0.2, 0.01, 0.1]  # one step each


def run(optimizer_of, theta, gradients):
    """theta after the steps, and the state; the learning rate changes on the way."""
    theta, state = theta.copy(), None
    for lr, grad in zip(RATES, gradients, strict=True):
        optimizer = optimizer_of(lr)
        state = optimizer.state_for(theta, state)
        optimizer.update(theta, grad, state)
        state.steps += 1
    return theta, state


def by_hand(theta, gradients, momentum=0.0, nesterov=False, weight_decay=0.0):
    theta = theta.astype(np.longdouble)
    v = np.zeros_like(theta)
    for lr, grad in zip(RATES, gradients, strict=True):
        g = grad + weight_decay * theta
        v = momentum * v + g
        theta = theta - lr * (g + momentum * v if nesterov else v if momentum else g)
    return theta, v


@pytest.fixture(params=DTYPES)
def data(request):
    rng = np.random.default_rng(0)
    theta, *gradients = rng.normal(size=(1 + len(RATES), 23)).astype(request.param)
    return theta, gradients


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_against_the_formula(data, settings, relative_error):
    theta, gradients = data
    got, state = run(lambda lr: bp.SGD(lr, **settings), theta, gradients)
    want, v = by_hand(theta, gradients, **settings)
    assert got.dtype == theta.dtype
    assert relative_error(got, want) < BOUND[theta.dtype.name]
    if "momentum" in settings:
        assert relative_error(state.arrays["v"], v) < BOUND[theta.dtype.name]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_against_pytorch(data, settings, relative_error):
    torch = pytest.importorskip("torch")
    theta, gradients = data
    parameter = torch.tensor(theta)
    theirs = torch.optim.SGD([parameter], lr=1.0, **settings)
    for lr, grad in zip(RATES, gradients, strict=True):
        theirs.param_groups[0]["lr"] = lr
        parameter.grad = torch.tensor(grad)
        theirs.step()
    ours, _ = run(lambda lr: bp.SGD(lr, **settings), theta, gradients)
    assert relative_error(ours, parameter.numpy()) < BOUND[theta.dtype.name]


def test_cs231n_sgd_momentum():
    """Its velocity is -lr times ours, so that v starts at -velocity / lr."""
    lr, momentum = 1e-3, 0.9
    w, dw, velocity = (
        np.linspace(-0.4, 0.6, 20),
        np.linspace(-0.6, 0.4, 20),
        np.linspace(0.6, 0.9, 20),
    )
    optimizer = bp.SGD(lr, momentum=momentum)
    state = optimizer.state_for(w, None)
    state.arrays["v"][...] = -velocity / lr
    optimizer.update(w, dw, state)
    np.testing.assert_allclose(
        w[[0, 1, 2, 17, 18, 19]],
        [0.1406, 0.20738947, 0.27417895, 1.27602105, 1.34281053, 1.4096],
        atol=5e-9,
    )
    np.testing.assert_allclose(
        -lr * state.arrays["v"][[0, 1, 2, 17, 18, 19]],
        [0.5406, 0.55475789, 0.56891579, 0.78128421, 0.79544211, 0.8096],
        atol=1e-8,
    )


def test_one_step_without_momentum_by_hand():
    theta = np.array([1.0, -2.0, 0.0])
    optimizer = bp.SGD(0.5, weight_decay=0.25)
    optimizer.update(theta, np.array([2.0, 2.0, -4.0]), optimizer.state_for(theta, None))
    np.testing.assert_array_equal(theta, [1 - 0.5 * 2.25, -2 - 0.5 * 1.5, 2.0])


def test_state():
    theta = np.ones(4, np.float32)
    assert bp.SGD(0.1).slots == ()
    assert bp.SGD(0.1).state_for(theta, None).arrays == {}
    state = bp.SGD(0.1, momentum=0.5).state_for(theta, None)
    assert (state.name, state.steps) == ("SGD", 0)
    assert state.constants == {"momentum": 0.5, "nesterov": False, "weight_decay": 0.0}
    assert [(key, array.dtype, array.shape) for key, array in state.arrays.items()] == [
        ("v", np.float32, (4,))
    ]
    assert not state.arrays["v"].any()


def test_the_gradient_stays_as_it_is():
    theta, grad = np.ones(5), np.arange(5.0)
    for settings in SETTINGS:
        optimizer = bp.SGD(0.1, **settings)
        optimizer.update(theta, grad, optimizer.state_for(theta, None))
        np.testing.assert_array_equal(grad, np.arange(5.0))


@pytest.mark.parametrize("bad", [0, -1.0, np.nan, np.inf, "0.1", None, True, 1j, [0.1]])
def test_lr_is_a_positive_finite_number(bad):
    with pytest.raises(bp.ConfigError, match=r"lr: got .*; wanted a finite number > 0"):
        bp.SGD(bad)


@pytest.mark.parametrize("bad", [-0.1, 1.0, 2, np.nan, None])
def test_momentum_is_in_0_to_1(bad):
    with pytest.raises(bp.ConfigError, match=r"momentum: got .*; wanted .* >= 0 and < 1"):
        bp.SGD(0.1, momentum=bad)


@pytest.mark.parametrize("bad", [-1e-9, np.inf, np.nan, "0"])
def test_weight_decay_is_not_negative(bad):
    with pytest.raises(bp.ConfigError, match=r"weight_decay: got .*; wanted a finite number >= 0"):
        bp.SGD(0.1, weight_decay=bad)


def test_nesterov_needs_momentum():
    with pytest.raises(bp.ConfigError, match="nesterov: got True with momentum 0"):
        bp.SGD(0.1, nesterov=True)
    with pytest.raises(bp.ConfigError, match="nesterov: got 1; wanted True or False"):
        bp.SGD(0.1, momentum=0.9, nesterov=1)


def test_numpy_scalars_are_numbers_and_kept_as_floats():
    optimizer = bp.SGD(np.float32(0.5), momentum=np.float64(0.25), weight_decay=0)
    assert optimizer == bp.SGD(0.5, momentum=0.25)
    assert [type(value) for value in optimizer.config().values()] == [float, float, bool, float]

"""Adam against its formula written out in longdouble, CS231n's numbers, and PyTorch."""

import numpy as np
import pytest

import fastbp as bp

DTYPES = ["float32", "float64"]
BOUND = {"float32": 2e-6, "float64": 4e-15}
SETTINGS = [
    {},
    {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3},
    {"weight_decay": 0.1},
    {"beta1": 0.0, "beta2": 0.0},
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


def by_hand(theta, gradients, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
    """Kingma and Ba's algorithm 1, line by line."""
    theta = theta.astype(np.longdouble)
    beta1, beta2 = np.longdouble(beta1), np.longdouble(beta2)
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, (lr, grad) in enumerate(zip(RATES, gradients, strict=True), 1):
        g = grad + weight_decay * theta
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        theta = theta - lr * m_hat / (np.sqrt(v_hat) + eps)
    return theta, m, v


@pytest.fixture(params=DTYPES)
def data(request):
    rng = np.random.default_rng(0)
    theta, *gradients = rng.normal(size=(1 + len(RATES), 23)).astype(request.param)
    return theta, gradients


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_against_the_formula(data, settings, relative_error):
    theta, gradients = data
    got, state = run(lambda lr: bp.Adam(lr, **settings), theta, gradients)
    want, m, v = by_hand(theta, gradients, **settings)
    assert got.dtype == theta.dtype
    bound = BOUND[theta.dtype.name]
    assert relative_error(got, want) < bound
    assert relative_error(state.arrays["m"], m) < bound
    assert relative_error(state.arrays["v"], v) < bound


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_against_pytorch(data, settings, relative_error):
    torch = pytest.importorskip("torch")
    theta, gradients = data
    parameter, theirs = torch.tensor(theta), dict(settings)
    betas = theirs.pop("beta1", 0.9), theirs.pop("beta2", 0.999)
    theirs = torch.optim.Adam([parameter], lr=1.0, betas=betas, **theirs)
    for lr, grad in zip(RATES, gradients, strict=True):
        theirs.param_groups[0]["lr"] = lr
        parameter.grad = torch.tensor(grad)
        theirs.step()
    ours, _ = run(lambda lr: bp.Adam(lr, **settings), theta, gradients)
    assert relative_error(ours, parameter.numpy()) < BOUND[theta.dtype.name]


def test_cs231n_adam():
    """The assignment's own step, with t = 5 before it."""
    w, dw = np.linspace(-0.4, 0.6, 20), np.linspace(-0.6, 0.4, 20)
    optimizer = bp.Adam(1e-2)
    state = optimizer.state_for(w, None)
    state.arrays["m"][...] = np.linspace(0.6, 0.9, 20)
    state.arrays["v"][...] = np.linspace(0.7, 0.5, 20)
    state.steps = 5
    optimizer.update(w, dw, state)
    np.testing.assert_allclose(
        w,
        [-0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977,
         -0.1380274, -0.08544591, -0.03286534, 0.01971428, 0.0722929,
         0.1248705, 0.17744702, 0.23002243, 0.28259667, 0.33516969,
         0.38774145, 0.44031188, 0.49288093, 0.54544852, 0.59801459],
        atol=5e-9,
    )  # fmt: skip
    np.testing.assert_allclose(state.arrays["m"][[0, 10, 19]], [0.48, 0.67473684, 0.85], atol=5e-9)
    np.testing.assert_allclose(
        state.arrays["v"][[0, 10, 19]], [0.69966, 0.59414753, 0.49966], atol=5e-9
    )


def test_the_first_step_is_lr_long_whatever_the_gradients_size():
    """m_hat / √v_hat is the gradient's sign at t = 1, which the bias correction brings about."""
    for size in (1e-3, 1.0, 1e3):
        theta = np.zeros(2)
        optimizer = bp.Adam(0.01, eps=1e-12)
        optimizer.update(theta, np.array([size, -size]), optimizer.state_for(theta, None))
        np.testing.assert_allclose(theta, [-0.01, 0.01], rtol=1e-8)


def test_no_gradient_no_step():
    theta = np.ones(3, np.float32)
    optimizer = bp.Adam()
    optimizer.update(theta, np.zeros(3, np.float32), optimizer.state_for(theta, None))
    np.testing.assert_array_equal(theta, 1)


def test_state():
    state = bp.Adam(0.1, beta1=0.5).state_for(np.ones(4, np.float32), None)
    assert (state.name, state.steps) == ("Adam", 0)
    assert state.constants == {"beta1": 0.5, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    assert {key: (array.dtype, array.shape) for key, array in state.arrays.items()} == {
        "m": (np.float32, (4,)), "v": (np.float32, (4,))
    }  # fmt: skip
    assert not any(array.any() for array in state.arrays.values())


def test_defaults_are_those_of_the_paper():
    assert bp.Adam().config() == {
        "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "bad", "wanted"),
    [
        ("lr", 0, "> 0"),
        ("lr", np.nan, "> 0"),
        ("lr", "fast", "> 0"),
        ("beta1", 1.0, ">= 0 and < 1"),
        ("beta1", -0.1, ">= 0 and < 1"),
        ("beta2", 1.0, ">= 0 and < 1"),
        ("beta2", np.nan, ">= 0 and < 1"),
        ("eps", 0, "> 0"),
        ("eps", -1e-8, "> 0"),
        ("eps", np.inf, "> 0"),
        ("weight_decay", -1, ">= 0"),
        ("weight_decay", None, ">= 0"),
    ],
)
def test_arguments_in_their_ranges(name, bad, wanted):
    with pytest.raises(bp.ConfigError, match=f"{name}: got .*; wanted a finite number {wanted}$"):
        bp.Adam(**{name: bad})

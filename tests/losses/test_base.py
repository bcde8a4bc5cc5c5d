"""The contract of a loss, kept to by losses that somebody else might write.

Their gradients are compared with 4th-order central differences of the network's loss.
"""

import numpy as np
import pytest

import fastbp as bp
from fastbp.losses import Loss


class LogCosh(Loss):
    """ℓ = Σ_j log cosh(a_j - t_j): the least a loss can be, its y_hat the output itself."""

    def loss_and_delta(self, a, targets, delta):
        if delta is not None:
            np.tanh(a - targets, out=delta)
        return np.log(np.cosh(a - targets)).sum(axis=1, dtype=np.float64)


class Poisson(Loss):
    """ℓ = Σ_j exp(a_j) - t_j a_j: with an output map of its own, y_hat = exp(a), and its E4."""

    def __init__(self, weight=1.0):
        self.weight = weight

    def check_targets(self, y, n_out, dtype, rows=None):
        t = super().check_targets(y, n_out, dtype, rows)
        if (t < 0).any():
            row = int(np.argmax((t < 0).any(axis=1)))
            row = row if rows is None else int(rows[row])
            raise bp.LabelError(f"y: got a negative count at row {row}")
        return t

    def loss_and_delta(self, a, targets, delta):
        if delta is not None:
            delta[...] = self.weight * (np.exp(a) - targets)
        return self.weight * (np.exp(a) - targets * a).sum(axis=1, dtype=np.float64)

    def y_hat(self, a, out):
        np.exp(a, out=out)

    def y_hat_gradient(self, a, targets, out):
        out[...] = self.weight * (1 - targets / np.exp(a))


class Margin(Loss):
    """ℓ = Σ_j≠l max(0, 1 + a_j - a_l)² over classes l (squared hinge)."""

    targets = "classes"

    def target_width(self, n_out):
        if n_out < 2:
            raise bp.ShapeError("loss: got Margin on 1 output; wanted 2 or more")
        return n_out

    def loss_and_delta(self, a, targets, delta):
        rows = np.arange(len(a))
        gap = np.maximum(0, 1 + a - a[rows, targets][:, None])
        gap[rows, targets] = 0
        if delta is not None:
            np.multiply(gap, 2, out=delta)
            delta[rows, targets] = -delta.sum(axis=1)
        return (gap.astype(np.float64) ** 2).sum(axis=1)

    def decide(self, y_hat):
        return np.argmax(y_hat, axis=1)

    def correct(self, y_hat, targets):
        return self.decide(y_hat) == targets


class Blind(Poisson):
    """An output map without its gradient: everything works but E4."""

    y_hat_gradient = Loss.y_hat_gradient


@pytest.mark.parametrize("targets", ["nope", "Classes", None, ["classes"], 1])
def test_targets_of_no_known_kind(targets):
    strange = type("Strange", (LogCosh,), {"targets": targets})
    words = r"Strange.targets: got .*; wanted 'classes', 'values' or 'binary'"
    with pytest.raises(bp.ConfigError, match=words):
        bp.Network(2, [bp.Dense(2)], loss=strange())
    with pytest.raises(bp.ConfigError, match=words):
        strange().check_targets(np.ones((3, 2)), 2, np.dtype(np.float32))


LOSSES = {"log cosh": LogCosh(), "poisson": Poisson(0.5), "margin": Margin(), "blind": Blind()}


@pytest.fixture(params=LOSSES)
def loss(request):
    return LOSSES[request.param]


def data_for(loss, batch=6):
    rng = np.random.default_rng(2)
    X, weight = rng.normal(size=(batch, 4)), rng.uniform(0.5, 2, batch)
    if loss.targets == "classes":
        return X, rng.integers(0, 3, batch), weight
    return X, rng.poisson(2.0, (batch, 3)).astype(float), weight


def made(loss, **settings):
    settings = {"dtype": "float64", "rng": 1} | settings
    return bp.mlp([4, 5, 3], activation="tanh", loss=loss, **settings)


def differences(loss, array, step=1e-3):
    """4th-order central differences of loss() by every entry of an array, moved in place."""
    slopes = np.empty_like(array)
    for where in np.ndindex(array.shape):
        here, f = array[where], []
        for k in (-2, -1, 1, 2):
            array[where] = here + k * step
            f.append(loss())
        array[where] = here
        slopes[where] = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * step)
    return slopes


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_against_central_differences(loss, reduction, relative_error):
    net, (X, y, weight) = made(loss, l2=0.01), data_for(loss)
    how = {"sample_weight": weight, "reduction": reduction}
    g = net.gradients(X, y, input_gradient=True, **how)
    assert g.loss == pytest.approx(net.loss(X, y, **how), rel=1e-14)
    for name, array in net.params.items():
        slopes = differences(lambda: net.loss(X, y, **how), array)
        assert relative_error(g[name], slopes) < 1e-7, name
    assert relative_error(g.x, differences(lambda: net.loss(X, y, **how), X)) < 1e-7


def test_the_host_applies_weights_and_scale(loss):
    net, (X, y, weight) = made(loss), data_for(loss)
    each = net.loss(X, y, reduction="none")
    alone = [net.loss(X[n : n + 1], y[n : n + 1]) for n in range(len(X))]
    np.testing.assert_allclose(each, alone, rtol=1e-13)
    want = (weight * each).sum() / weight.sum()
    assert net.loss(X, y, sample_weight=weight) == pytest.approx(want, rel=1e-14)
    want = (weight * each).sum()
    assert net.loss(X, y, sample_weight=weight, reduction="sum") == pytest.approx(want, rel=1e-14)


def test_it_trains(loss):
    net, (X, y, weight) = made(loss, dtype="float32"), data_for(loss, 40)
    history = net.fit(X, y, sample_weight=weight, optimizer=bp.Adam(0.01), epochs=30, batch_size=8)
    assert history.loss[-1] < history.loss[0]


def test_y_hat_and_e4():
    net, (X, y, _) = made(LOSSES["poisson"]), data_for(LOSSES["poisson"])
    g = net.gradients(X, y)
    a = net.forward(X)
    np.testing.assert_allclose(net.predict(X), np.exp(a), rtol=1e-14)
    np.testing.assert_allclose(g.values.y_hat, np.exp(a), rtol=1e-14)
    np.testing.assert_allclose(g.y_hat * np.exp(a), g.a[2], rtol=1e-10, atol=1e-14)  # chain rule


def test_where_y_hat_is_the_output_e4_is_e5():
    net, (X, y, _) = made(LOSSES["log cosh"]), data_for(LOSSES["log cosh"])
    g = net.gradients(X, y)
    np.testing.assert_array_equal(g.values.y_hat, net.forward(X))
    np.testing.assert_allclose(g.y_hat, g.a[2], rtol=1e-14)


def test_an_output_map_without_its_gradient_lacks_e4_alone():
    net, (X, y, _) = made(LOSSES["blind"]), data_for(LOSSES["blind"])
    g = net.gradients(X, y)
    with pytest.raises(bp.ConfigError, match=r"g\.y_hat: Blind gives no gradient w\.r\.t\. y_hat"):
        _ = g.y_hat
    assert "E4" not in repr(g)
    assert "E5" in repr(g)
    assert g.values.y_hat.shape == (6, 3)


def test_its_own_checks_are_the_networks():
    with pytest.raises(bp.ShapeError, match="loss: got Margin on 1 output"):
        bp.mlp([4, 1], loss=Margin())
    net, (X, y, _) = made(LOSSES["poisson"]), data_for(LOSSES["poisson"])
    y[4, 1] = -1
    for call in (net.loss, net.gradients, net.loss_and_grad):
        with pytest.raises(bp.LabelError, match="y: got a negative count at row 4"):
            call(X, y)
    with pytest.raises(bp.LabelError, match="row 4"):  # the caller's row, though row 0 is left out
        net.gradients(X, y, sample_weight=[0, 1, 1, 1, 1, 1])
    assert np.isfinite(net.loss(X, y, sample_weight=[1, 1, 1, 1, 0, 1]))


def test_decide_and_correct_are_those_of_predict_and_validation():
    net, (X, y, weight) = made(LOSSES["margin"]), data_for(LOSSES["margin"], 12)
    np.testing.assert_array_equal(net.predict(X), net.forward(X).argmax(axis=1))
    with pytest.raises(bp.ConfigError, match=r"predict_proba: Margin\(\) makes no probabilities"):
        net.predict_proba(X)
    weight = np.random.default_rng(0).uniform(size=12)
    history = net.fit(X, y, epochs=1, validation_data=(X, y, weight))
    share = weight[net.predict(X) == y].sum() / weight.sum()
    assert history.val_accuracy == [pytest.approx(share)]
    net, (X, y, _) = made(LOSSES["poisson"]), data_for(LOSSES["poisson"], 12)
    history = net.fit(X, y, epochs=2, validation_data=(X, y))
    assert (len(history.val_loss), history.val_accuracy) == (2, [])


def test_one_loss_object_serves_many_networks():
    loss = Poisson()
    nets = [made(loss, rng=seed) for seed in (0, 1)]
    X, y, _ = data_for(loss)
    first = nets[0].gradients(X, y).flat
    nets[1].fit(X, y, epochs=2)
    np.testing.assert_array_equal(nets[0].gradients(X, y).flat, first)
    assert vars(loss) == vars(Poisson())


def test_large_inputs_are_walked_in_blocks(loss):
    net, (X, y, weight) = made(loss), data_for(loss, 1100)
    each = net.loss(X, y, reduction="none")
    assert each.shape == (1100,)
    parts = [
        net.loss(X[i : i + 100], y[i : i + 100], reduction="none") for i in range(0, 1100, 100)
    ]
    np.testing.assert_allclose(each, np.concatenate(parts), rtol=1e-12)
    want = net.gradients(X, y, sample_weight=weight).loss
    assert net.loss(X, y, sample_weight=weight) == pytest.approx(want, rel=1e-13)


def test_defaults_of_the_contract():
    assert (Loss.contract, Loss.targets, Loss.probabilities) == (1, "values", False)
    assert Loss().target_width(5) == 5
    with pytest.raises(NotImplementedError, match=r"Loss\.loss_and_delta"):
        Loss().loss_and_delta(np.ones((1, 2)), np.ones((1, 2)), None)
    a, out = np.array([[1.0, 2.0]]), np.empty((1, 2))
    LogCosh().y_hat(a, out)
    np.testing.assert_array_equal(out, a)
    assert Loss().decide(np.ones((4, 1))).shape == (4,)
    assert Loss().decide(np.ones((4, 2))).shape == (4, 2)
    assert Loss().correct(a, a) is None

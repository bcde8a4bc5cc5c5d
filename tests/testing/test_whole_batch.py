"""Losses over the whole batch, in Python: the kit passes good ones and fails those with a bug."""

import numpy as np
import pytest

import fastbp as bp
from fastbp.losses import Loss
from fastbp.testing import check_loss, checks_for, gradcheck


class Contrast(Loss):
    """Correct: rows of one class attract each other, and those of different ones part.

    Σ_{n≠m} w_n w_m ±‖a_n - a_m‖² / (1 + ‖a_n - a_m‖²), divided by Σ w.
    """

    targets = "classes"
    rows_independent = False

    def check_targets(self, y, n_out, dtype, rows=None):
        if y.ndim != 1:
            raise bp.ShapeError(f"y: got shape {y.shape}; wanted classes, (batch,)")
        return super().check_targets(y, n_out, dtype, rows)

    def batch_loss_and_delta(self, a, targets, weight, delta):
        apart = a.astype(np.float64)[:, None] - a
        squared = (apart**2).sum(axis=2)
        pair = np.where(targets[:, None] == targets, 1, -1) * self.pairs(weight) / weight.sum()
        if delta is not None:
            delta[...] = (4 * (pair / (1 + squared) ** 2)[:, :, None] * apart).sum(axis=1)
        return float((pair * squared / (1 + squared)).sum())

    def pairs(self, weight):
        return weight[:, None] * weight

    def decide(self, y_hat):
        return np.argmax(y_hat, axis=1)


class Unweighted(Contrast):
    def pairs(self, weight):
        return np.ones((len(weight), len(weight)))


class UnweightedDelta(Contrast):
    def batch_loss_and_delta(self, a, targets, weight, delta):
        value = super().batch_loss_and_delta(a, targets, np.full(len(a), 1 / len(a)), delta)
        return (
            value if delta is not None else super().batch_loss_and_delta(a, targets, weight, None)
        )


class HalfTheSlope(Contrast):
    def batch_loss_and_delta(self, a, targets, weight, delta):
        value = super().batch_loss_and_delta(a, targets, weight, delta)
        if delta is not None:
            delta /= 2
        return value


class RowByRow(Contrast):
    def batch_loss_and_delta(self, a, targets, weight, delta):
        return np.full(len(a), super().batch_loss_and_delta(a, targets, weight, delta))


class NoPairs(Contrast):
    def pairs(self, weight):
        return super().pairs(weight) / (len(weight) - 1)


class ChangesWeight(Contrast):
    def batch_loss_and_delta(self, a, targets, weight, delta):
        weight.flags.writeable = True
        weight *= 2
        return super().batch_loss_and_delta(a, targets, weight, delta)


class DropsNan(Contrast):
    def batch_loss_and_delta(self, a, targets, weight, delta):
        return super().batch_loss_and_delta(np.nan_to_num(a), targets, weight, delta)


class OwnE4(Contrast):
    def y_hat_gradient(self, a, targets, out):
        out[...] = 0


class InRows(Loss):
    """A loss of each row, which depends on the others: what was weighted wrongly."""

    targets = "classes"

    def loss_and_delta(self, a, targets, delta):
        apart = a - a.mean(axis=0, dtype=np.float64)
        if delta is not None:
            delta[...] = 2 * apart
        return (apart**2).sum(axis=1)


def test_a_correct_loss_passes():
    check_loss(Contrast())


@pytest.mark.parametrize(
    ("part", "check", "message"),
    [
        (UnweightedDelta, "gradients", "the loss applies the weights"),
        (HalfTheSlope, "gradients", "central differences of the loss"),
        (HalfTheSlope, "network_gradients", "are wrong"),
        (RowByRow, "returned", "returned ndarray; wanted a float"),
        (NoPairs, "returned", "for 1 rows"),
        (ChangesWeight, "inputs_unchanged", "changed weight"),
        (DropsNan, "nan_rows", "must not be dropped"),
        (OwnE4, "y_hat_gradient", "which nobody calls"),
        (InRows, "blocks", "rows_independent = False"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bug_is_caught(part, check, message):
    with pytest.raises(AssertionError, match=message):
        dict(checks_for(part()))[check]()


@pytest.fixture(params=["float32", "float64"])
def net(request):
    return bp.mlp([3, 5, 2], activation="tanh", loss=Contrast(), dtype=request.param, rng=0)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 2, 1200)
    weight[::4] = 0
    return rng.standard_normal((1200, 3)), rng.integers(0, 2, 1200), weight


def test_every_way_gives_one_value(net, data):
    X, y, weight = data
    a = np.float64(net.forward(X))
    w = weight / weight.sum()
    want = Contrast().batch_loss_and_delta(a[w > 0], y[w > 0], w[w > 0], None)
    rel = 1e-5 if net.dtype == np.float32 else 1e-12
    history = net.copy().fit(
        X, y, sample_weight=weight, optimizer=bp.SGD(1e-30), epochs=1, batch_size=1200,
        validation_data=(X, y, weight),
    )  # fmt: skip
    values = {
        "loss": net.loss(X, y, sample_weight=weight),
        "loss by 2 threads": net.loss(X, y, sample_weight=weight, threads=2),
        "gradients": net.gradients(X, y, sample_weight=weight).loss,
        "loss_and_grad": net.loss_and_grad(X, y, sample_weight=weight)[0],
        "step": net.copy().step(X, y, bp.SGD(1e-30), sample_weight=weight),
        "history": history.loss[0],
        "validation": history.val_loss[0],
        "without the rows of weight 0": net.loss(
            X[w > 0], y[w > 0], sample_weight=weight[w > 0]
        ),
    }  # fmt: skip
    for how, value in values.items():
        assert value == pytest.approx(want, rel=rel), how


def test_the_sum_has_the_weights_as_they_are(net, data):
    X, y, weight = (array[:20] for array in data)
    some = weight > 0
    a = np.float64(net.forward(X))[some]
    want = Contrast().batch_loss_and_delta(a, y[some], weight[some], None)
    for got in (
        net.loss(X, y, sample_weight=weight, reduction="sum"),
        net.gradients(X, y, sample_weight=weight, reduction="sum").loss,
    ):
        assert got == pytest.approx(want, rel=1e-5)
    none = np.zeros(20)
    assert net.loss(X, y, sample_weight=none, reduction="sum") == 0
    assert net.gradients(X, y, sample_weight=none, reduction="sum").loss == 0


def test_gradients_of_a_weighted_batch(net, data):
    X, y, weight = (array[:12] for array in data)
    gradcheck(net, X, y, sample_weight=weight)


def test_l2_stays_out_of_the_loss_and_comes_on_top(data):
    X, y, _ = (array[:12] for array in data)
    plain, decayed = (bp.mlp([3, 2], loss=Contrast(), dtype="float64", rng=0, l2=l2)
                      for l2 in (0.0, 0.1))  # fmt: skip
    more = 0.1 * float(np.square(plain.params["dense1.W"]).sum())
    for name in ("loss", "step"):
        rest = (bp.SGD(1e-30),) if name == "step" else ()
        one, other = (getattr(net, name)(X, y, *rest) for net in (plain, decayed))
        assert other == pytest.approx(one + more, rel=1e-12)


def test_there_is_no_vector_of_losses(net, data):
    X, y, weight = data
    with pytest.raises(bp.ConfigError, match=r"^reduction: got 'none'; wanted 'mean' or 'sum'"):
        net.loss(X, y, sample_weight=weight, reduction="none")


def test_training_lowers_it(data):
    X, y, weight = data
    y = (X[:, 0] > 0).astype(int)
    net = bp.mlp([3, 5, 2], activation="tanh", loss=Contrast(), rng=0)
    before = net.loss(X, y)
    history = net.fit(
        X, y, sample_weight=weight, epochs=10, optimizer=bp.Adam(0.01), validation_data=(X, y)
    )
    assert history.val_loss[-1] < history.val_loss[0] < before


def test_g_y_hat_is_delta_where_y_hat_is_the_output(net, data):
    X, y, _ = (array[:9] for array in data)
    g = net.gradients(X, y)
    assert g.y_hat.tobytes() == g.a[2].tobytes()
    assert "y_hat" in repr(g)

    class Mapped(Contrast):
        def y_hat(self, a, out):
            np.exp(a, out=out)

    g = bp.mlp([3, 2], loss=Mapped(), rng=0).gradients(X, y)
    with pytest.raises(bp.ConfigError, match="Mapped gives no gradient"):
        g.y_hat  # noqa: B018
    assert "y_hat" not in repr(g)


def test_what_a_loss_may_return(data):
    X, y, _ = (array[:9] for array in data)

    class Odd(Contrast):
        def batch_loss_and_delta(self, a, targets, weight, delta):
            if delta is not None:
                delta[...] = 0
            return RETURNED[0]

    RETURNED = [np.float32(2.5)]
    net = bp.mlp([3, 2], loss=Odd(), rng=0)
    assert net.loss(X, y) == net.step(X, y, bp.SGD(0.1)) == 2.5
    for bad in (None, "1", np.ones(9), [1.0]):
        RETURNED[0] = bad
        for call in (net.loss, net.gradients, net.loss_and_grad):
            with pytest.raises(bp.PluginCallError, match=r"batch_loss_and_delta failed .*wanted a"):
                call(X, y)
    RETURNED[0] = float("nan")
    assert np.isnan(net.loss(X, y))
    before = net.flat.copy()
    with pytest.raises(bp.NonFiniteError, match="loss: got NaN or infinity with gradient"):
        net.step(X, y, bp.SGD(0.1))
    assert net.flat.tobytes() == before.tobytes()


def test_a_loss_that_lacks_its_function():
    class Lacking(Loss):
        rows_independent = False

    net = bp.mlp([3, 1], loss=Lacking(), rng=0)
    with pytest.raises(bp.PluginCallError, match=r"batch_loss_and_delta failed \(NotImplemented"):
        net.step(np.ones((2, 3)), np.ones(2), bp.SGD(0.1))

"""C parts whose rows depend on each other, as their flags say: always called on the whole batch.

1200 rows are more than a block of `forward` and `loss`, and more than a thread's share of a step.
"""

from pathlib import Path

import numpy as np
import pytest

import fastbp as bp
from fastbp.testing import check_layer, check_loss

ROWS = 1200
CLASSES = """
class Share(Elementwise):
    def __fastbp_elementwise__(self):
        return capsule(table("share"), NAMES["elementwise"])


class Centred(Layer):
    def build(self, n_in, dtype):
        return LayerSpec(n_in)

    def __fastbp_layer__(self):
        return capsule(table("centred"), NAMES["layer"])


class CentredToldSo(Centred):
    rows_independent = False


class Counting(Loss):
    def __fastbp_loss__(self):
        return capsule(table("counting"), NAMES["loss"])


class Pairs(Loss):
    rows_independent = False

    def batch_loss_and_delta(self, a, targets, weight, delta):
        value, slope = 0.0, np.zeros(a.shape)
        for j, (column, t) in enumerate(zip(a.T.astype(np.float64), targets.T, strict=True)):
            pair = weight[:, None] * weight * (t[:, None] > t)
            gap = column[:, None] - column
            value += float((pair * np.logaddexp(0, -gap)).sum())
            slope[:, j] = (pair / (1 + np.exp(gap))).sum(axis=0)
            slope[:, j] -= (pair / (1 + np.exp(gap))).sum(axis=1)
        if delta is not None:
            delta[...] = slope
        return value

    def __fastbp_loss__(self):
        return capsule(table("pairs"), NAMES["loss"])


class PairsInPython(Pairs):
    batch_loss_and_delta = Pairs.batch_loss_and_delta
"""


@pytest.fixture
def parts(install_c):
    return install_c(CLASSES, Path(__file__).with_name("whole.c"))


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, 3))
    return X, X @ [[1.0], [2.0], [-1.0]] + 0.1 * rng.standard_normal((ROWS, 1))


def ways(net, X, y, **weight):
    """The loss by each way that leads to it."""
    found = {
        "loss": net.loss(X, y, **weight),
        "gradients": net.gradients(X, y, **weight).loss,
        "loss_and_grad": net.loss_and_grad(X, y, **weight)[0],
        "step": net.copy().step(X, y, bp.SGD(1e-30), **weight),
    }
    for threads in (1, 2):
        found[f"loss, {threads} threads"] = net.loss(X, y, **weight, threads=threads)
        found[f"step, {threads} threads"] = net.copy().step(
            X, y, bp.SGD(1e-30), **weight, threads=threads
        )
    validation = (X, y, *weight.values())
    twin = net.copy()
    history = twin.fit(
        X, y, **weight, optimizer=bp.SGD(1e-30), epochs=1, batch_size=ROWS, shuffle=False,
        validation_data=validation,
    )  # fmt: skip
    return found | {"history.loss": history.loss[0], "val_loss": history.val_loss[0]}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["Share", "Centred", "CentredToldSo"])
def test_a_layer_without_the_flag_gets_the_whole_batch(parts, rows, name, dtype):
    X, y = rows
    net = bp.Network(
        3, [bp.Dense(300), getattr(parts, name)(), bp.Dense(1)], "squared_error", dtype, rng=0
    )
    W1, b1, W2, b2 = (np.float64(net.params[key]) for key in net.params)
    a = X @ W1.T + b1
    h = a / ROWS if name == "Share" else a - a.mean(axis=0)
    want = h @ W2.T + b2
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-9}
    np.testing.assert_allclose(net.forward(X), want, **tolerance)
    for threads in (1, 2):
        got = net.forward(X, threads=threads)
        assert got.tobytes() == net.forward(X).tobytes()
    np.testing.assert_allclose(net.predict(X), want[:, 0], **tolerance)
    np.testing.assert_allclose(net.gradients(X, y).values.y_hat, want, **tolerance)
    loss = np.mean((want - y) ** 2) / 2
    for how, value in ways(net, X, y).items():
        assert value == pytest.approx(loss, rel=1e-4 if dtype == "float32" else 1e-9), how


def test_the_kit_passes_a_layer_that_says_so(parts):
    check_layer(parts.CentredToldSo())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loss_without_flags_gets_the_whole_batch(parts, rows, dtype):
    X, y = rows
    net = bp.Network(3, [bp.Dense(1)], parts.Counting(), dtype, rng=0)
    a, weight = np.float64(net.forward(X)), np.linspace(0.5, 1.5, ROWS)
    losses = ROWS * a[:, 0] ** 2 / 2
    near = pytest.approx
    for how, value in ways(net, X, y).items():
        assert value == near(losses.mean(), rel=1e-5), how
    for how, value in ways(net, X, y, sample_weight=weight).items():
        assert value == near(np.average(losses, weights=weight), rel=1e-5), how
    np.testing.assert_allclose(net.loss(X, y, reduction="none"), losses, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loss_of_the_whole_batch_is_that_of_its_python_twin(parts, rows, dtype):
    """One value by every way, and gradients of the weighted loss."""
    X, y = rows
    rel = 1e-4 if dtype == "float32" else 1e-9
    weight = np.linspace(0.5, 1.5, ROWS) * (np.arange(ROWS) % 3 > 0)
    layers = [bp.Dense(8), bp.Tanh(), bp.Dense(1)]
    nets = [bp.Network(3, layers, loss(), dtype, 0) for loss in (parts.Pairs, parts.PairsInPython)]
    for keywords in ({}, {"sample_weight": weight}):
        want = nets[1].gradients(X, y, **keywords)
        for net in nets:
            values = ways(net, X, y, **keywords)
            for how, value in values.items():
                assert value == pytest.approx(want.loss, rel=rel), how
            g = net.gradients(X, y, **keywords)
            assert bp.testing.arrays.error(g.flat, want.flat) < rel
            assert g.y_hat.tobytes() == g.a[2].tobytes()
    losses = [[net.step(X, y, bp.SGD(1.0)) for _ in range(3)] for net in nets]
    np.testing.assert_allclose(losses[0], losses[1], rtol=rel)


def test_the_kit_passes_both(parts):
    check_loss(parts.Pairs())
    check_loss(parts.PairsInPython())


def test_nan_in_a_batch_names_its_row(parts, rows):
    X, y = rows
    for loss in (parts.Pairs, parts.PairsInPython):
        net = bp.Network(3, [bp.Dense(1)], loss(), "float64", 0)
        net.params["dense1.W"][...] = 1
        X = X.copy()
        X[7] = 1e308
        before = net.flat.copy()
        with (
            np.errstate(all="ignore"),
            pytest.raises(bp.NonFiniteError, match=r"at row 7;.* came out of dense"),
        ):
            net.step(X, y, bp.SGD(0.1))
        assert net.flat.tobytes() == before.tobytes()


@pytest.mark.parametrize("flags", [1, 2, 16 | 1])
def test_flags_that_the_class_contradicts(parts, plugin_error, monkeypatch, flags):
    monkeypatch.setattr(parts.Counting, "rows_independent", False)
    words = bytearray(parts.ctypes.string_at(parts.table("pairs"), 56))
    assert words[8] == 16 | 2
    words[8:12] = flags.to_bytes(4, "little")
    kept = (parts.ctypes.c_char * 56).from_buffer(words)
    monkeypatch.setattr(
        parts.Counting,
        "__fastbp_loss__",
        lambda self: parts.capsule(parts.ctypes.addressof(kept), parts.NAMES["loss"]),
    )
    plugin_error(
        lambda: bp.Network(3, [bp.Dense(1)], parts.Counting()),
        f"flags {flags:#x}, while rows_independent is False; wanted FASTBP_WHOLE_BATCH",
    )

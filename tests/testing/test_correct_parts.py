"""The kit passes parts that are right, the unusual ones too: no false alarm."""

import numpy as np
import pytest

import fastbp as bp
from fastbp import registry
from fastbp.layers import Elementwise, Layer, LayerSpec
from fastbp.testing import check_layer, check_loss, checks_for, parametrize_checks

BUILT_IN = [*registry.BUILTIN["layer"], *registry.BUILTIN["loss"], bp.Dense(2, bias=False)]


class Dropout(Layer):
    """The mask is drawn once and saved."""

    rate = 0.5

    def __init__(self, rate=0.5, name=None):
        if not 0 <= rate < 1:
            raise bp.ConfigError(f"rate: got {rate}; wanted a number in [0, 1)")
        self.rate, self.name = rate, name

    @classmethod
    def examples(cls):
        return [cls(), cls(0.0), cls(0.9, name="drop")]

    @classmethod
    def bad_examples(cls):
        return [{"rate": 1.0}, {"rate": -0.1}, {"rate": "half"}]

    def build(self, n_in, dtype):
        return LayerSpec(n_out=n_in, saved={"mask": (n_in,)})

    def forward(self, params, x, y, ctx):
        if not ctx.training:
            y[...] = x
            return
        mask = ctx.random(ctx.saved["mask"])
        mask[...] = (mask >= self.rate) / (1 - self.rate)
        np.multiply(x, mask, out=y)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            np.multiply(dy, ctx.saved["mask"] if ctx.training else 1, out=dx)


class BatchNorm(Layer):
    """Batch statistics in training, running ones after: rows are coupled, and it says so."""

    rows_independent = False

    def __init__(self, momentum=0.1, eps=1e-3, name=None):
        self.momentum, self.eps, self.name = momentum, eps, name

    def build(self, n_in, dtype):
        return LayerSpec(
            n_out=n_in,
            params={"gamma": (n_in,), "beta": (n_in,)},
            buffers={"mean": (n_in,), "var": (n_in,), "count": ()},
            saved={"unit": (n_in,)},
        )

    def init(self, params, rng, gain=1.0):
        params["gamma"][...] = 1
        params["beta"][...] = 0

    def forward(self, params, x, y, ctx):
        mean, var = ctx.buffers["mean"], ctx.buffers["var"]
        if ctx.training:
            now = x.mean(axis=0), x.var(axis=0)
            for running, batch in zip((mean, var), now, strict=True):
                running += self.momentum * (batch - running)
            ctx.buffers["count"] += 1
            mean, var = now
        unit = (x - mean) / np.sqrt(var + self.eps)
        ctx.saved["unit"][...] = unit
        y[...] = params["gamma"] * unit + params["beta"]

    def backward(self, params, x, y, dy, dx, grads, ctx):
        unit = ctx.saved["unit"]
        grads["gamma"][...] = (dy * unit).sum(axis=0)
        grads["beta"][...] = dy.sum(axis=0)
        if dx is None:
            return
        d = dy * params["gamma"]
        if ctx.training:
            d = d - d.mean(axis=0) - unit * (d * unit).mean(axis=0)
            var = x.var(axis=0)
        else:
            var = ctx.buffers["var"]
        np.divide(d, np.sqrt(var + self.eps), out=dx)


class RowNorm(Layer):
    """Layer normalisation, with a saved number per row."""

    def build(self, n_in, dtype):
        return LayerSpec(n_out=n_in, params={"gamma": (n_in,)}, saved={"rstd": (), "unit": (n_in,)})

    def init(self, params, rng, gain=1.0):
        params["gamma"][...] = 1

    def forward(self, params, x, y, ctx):
        centred = x - x.mean(axis=1, keepdims=True)
        ctx.saved["rstd"][...] = 1 / np.sqrt((centred**2).mean(axis=1) + 1e-3)
        ctx.saved["unit"][...] = centred * ctx.saved["rstd"][:, None]
        y[...] = params["gamma"] * ctx.saved["unit"]

    def backward(self, params, x, y, dy, dx, grads, ctx):
        unit, rstd = ctx.saved["unit"], ctx.saved["rstd"]
        grads["gamma"][...] = (dy * unit).sum(axis=0)
        if dx is not None:
            d = dy * params["gamma"]
            d = d - d.mean(axis=1, keepdims=True) - unit * (d * unit).mean(axis=1, keepdims=True)
            dx[...] = d * rstd[:, None]


class Gate(Layer):
    """Halves the width, and so takes even ones alone: y = left · sigmoid(right)."""

    def build(self, n_in, dtype):
        if n_in % 2:
            raise bp.ShapeError(f"gate: got width {n_in}; wanted an even one")
        return LayerSpec(n_out=n_in // 2)

    def forward(self, params, x, y, ctx):
        left, right = np.split(x, 2, axis=1)
        np.divide(left, 1 + np.exp(-right), out=y)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            left, right = np.split(x, 2, axis=1)
            s = 1 / (1 + np.exp(-right))
            dx[...] = np.concatenate([dy * s, dy * left * s * (1 - s)], axis=1)


class Step(Elementwise):
    """Flat almost everywhere: its outputs are float32 numbers in any type."""

    def f(self, x, y):
        np.sign(x, out=y)

    def df(self, x, y, out):
        out[...] = 0


class Quantile(bp.Loss):
    """Targets of its own kind: positive values; two outputs a target."""

    def target_width(self, n_out):
        if n_out % 2:
            raise bp.ShapeError(f"loss: got {n_out} outputs; wanted an even number")
        return n_out // 2

    def example_targets(self, rng, rows, n_out):
        return rng.uniform(1, 2, (rows, n_out // 2))

    def loss_and_delta(self, a, targets, delta):
        r = a.astype(np.float64) - np.concatenate([targets, targets], axis=1)
        tau = np.repeat([0.1, 0.9], targets.shape[1])
        if delta is not None:
            delta[...] = np.where(np.isnan(r), r, (r > 0) - tau)
        return np.maximum(r * (1 - tau), -r * tau).sum(axis=1)


@parametrize_checks([*BUILT_IN, Dropout, BatchNorm(), RowNorm, Gate, Step(), Quantile])
def test_contract(check):
    check()


@pytest.mark.parametrize("layer", [Dropout, BatchNorm, RowNorm, Gate, Step])
def test_check_layer_passes_it(layer):
    check_layer(layer)


def test_check_loss_passes_it():
    check_loss(Quantile)


def test_examples_are_all_checked():
    class Second(Dropout):
        @classmethod
        def examples(cls):
            return [cls(), cls(0.25)]

        def backward(self, params, x, y, dy, dx, grads, ctx):
            super().backward(params, x, y, dy, dx, grads, ctx)
            if dx is not None and self.rate == 0.25:
                dx *= 2

    checks = dict(checks_for(Second))
    with pytest.raises(AssertionError, match=r"Second\(rate=0\.25\)"):
        checks["gradients"]()
    dict(checks_for(Second()))["gradients"]()

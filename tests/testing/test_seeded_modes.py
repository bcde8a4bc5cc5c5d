"""The kit fails layers that go wrong in one mode, and elementwise ones; see test_seeded_layers.

The bugs are seeded into three correct layers, which the kit passes: a dropout, a layer with a
buffer, and an elementwise function.
"""

import numpy as np
import pytest

from fastbp.layers import Elementwise, Layer, LayerSpec
from fastbp.testing import check_layer, checks_for


class Dropout(Layer):
    """Correct: y = x · mask / (1 - rate) in training, x otherwise."""

    def __init__(self, rate=0.4, name=None):
        self.rate, self.name = rate, name

    @classmethod
    def bad_examples(cls):
        return []

    def build(self, n_in, dtype):
        return LayerSpec(n_out=n_in)

    def mask(self, x, ctx):
        if not ctx.training:
            return np.ones_like(x)
        return (ctx.random(np.empty_like(x)) >= self.rate) / np.asarray(1 - self.rate, x.dtype)

    def forward(self, params, x, y, ctx):
        np.multiply(x, self.mask(x, ctx), out=y)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            np.multiply(dy, self.mask(x, ctx), out=dx)


class WrongMask(Dropout):
    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            np.multiply(dy, self.mask(x, ctx) == 0, out=dx)


class IgnoresTraining(Dropout):
    def mask(self, x, ctx):
        return (ctx.random(np.empty_like(x)) >= self.rate) / np.asarray(1 - self.rate, x.dtype)


class NumpyRandom(Dropout):
    def mask(self, x, ctx):
        if not ctx.training:
            return np.ones_like(x)
        return np.random.default_rng().uniform(size=x.shape) >= self.rate


class RandomByPlaceInBlock(Dropout):
    def mask(self, x, ctx):
        if not ctx.training:
            return np.ones_like(x)
        return np.random.default_rng(0).uniform(size=x.shape) >= self.rate


class NoisyEvaluation(Dropout):
    def mask(self, x, ctx):
        noise = 0 if ctx.training else np.random.default_rng().normal(scale=1e-3)
        return super().mask(x, ctx) + noise


class TakesAnyRate(Dropout):
    @classmethod
    def bad_examples(cls):
        return [{"rate": 1.5}]


class Counts(Layer):
    """Correct: y = x / (1 + mean of |x| over the training seen so far), in training and after."""

    def build(self, n_in, dtype):
        return LayerSpec(n_out=n_in, buffers={"size": (n_in,)})

    def forward(self, params, x, y, ctx):
        if ctx.training:
            self.gather(x, ctx)
        np.divide(x, 1 + ctx.buffers["size"], out=y)

    def gather(self, x, ctx):
        ctx.buffers["size"][...] = 0.9 * ctx.buffers["size"] + 0.01

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            np.divide(dy, 1 + ctx.buffers["size"], out=dx)


class GathersInEvaluation(Counts):
    def forward(self, params, x, y, ctx):
        self.gather(x, ctx)
        np.divide(x, 1 + ctx.buffers["size"], out=y)


class Leaky(Elementwise):
    """Correct: max(x, x / 4)."""

    def f(self, x, y):
        np.maximum(x, x / 4, out=y)

    def df(self, x, y, out):
        out[...] = np.where(x > 0, 1, 0.25)


class DropsNaN(Leaky):
    def f(self, x, y):
        np.fmax(x, 0, out=y)

    def df(self, x, y, out):
        out[...] = x > 0


class ReadsX(Leaky):
    needs_x = False

    def df(self, x, y, out):
        out[...] = np.where(x > 0, 1, np.where(x <= 0, 0.25, np.nan))


class WrongSlope(Leaky):
    def df(self, x, y, out):
        out[...] = np.where(x > 0, 1, 0.3)


class BackwardUnlikeDf(Leaky):
    def df(self, x, y, out):
        out[...] = np.where(x > 0, 1, 0.3)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            dx[...] = np.where(x > 0, 1, 0.25) * dy


CORRECT = [Dropout, Counts, Leaky]
BUGS = [
    (WrongMask, "gradients"),
    (IgnoresTraining, "evaluation"),
    (NumpyRandom, "same_key_same_bits"),
    (NumpyRandom, "training"),
    (RandomByPlaceInBlock, "blocks"),
    (NoisyEvaluation, "evaluation"),
    (TakesAnyRate, "bad_examples"),
    (GathersInEvaluation, "evaluation"),
    (DropsNaN, "nan_rows"),
    (ReadsX, "elementwise"),
    (WrongSlope, "gradients"),
    (BackwardUnlikeDf, "elementwise"),
]


@pytest.mark.parametrize("layer", CORRECT)
def test_the_layers_that_bugs_are_seeded_into_pass(layer):
    check_layer(layer)


@pytest.mark.parametrize(("layer", "check"), BUGS, ids=lambda x: getattr(x, "__name__", x))
def test_bug_is_caught(layer, check):
    with pytest.raises(AssertionError):
        dict(checks_for(layer))[check]()
    with pytest.raises(AssertionError, match=rf"(?m)^{check}: "):
        check_layer(layer)

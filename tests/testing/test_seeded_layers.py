"""The kit fails layers that break the contract: each bug is caught by the check named beside it.

The bugs are seeded into a correct layer, which the kit passes: a linear map under a tanh that is
saved for the way back.
"""

import threading
import time

import numpy as np
import pytest

import fastbp as bp
from fastbp.layers import Layer, LayerSpec
from fastbp.testing import check_layer, checks_for


class Linear(Layer):
    """y = scale · tanh(x Wᵀ + b): tanh's value is saved for the way back."""

    def __init__(self, n_out=3, scale=1.5, name=None):
        self.n_out, self.scale, self.name = n_out, scale, name

    def build(self, n_in, dtype):
        return LayerSpec(
            n_out=self.n_out,
            params={"W": (self.n_out, n_in), "b": (self.n_out,)},
            saved={"tanh": (self.n_out,)},
        )

    def init(self, params, rng, gain=1.0):
        params["W"][...] = rng.normal(scale=0.5, size=params["W"].shape)
        params["b"][...] = 0

    def forward(self, params, x, y, ctx):
        t = ctx.saved["tanh"]
        np.tanh(x @ params["W"].T + params["b"], out=t)
        np.multiply(t, self.scale, out=y)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        d = self.slope(y, dy, ctx)
        grads["W"][...] = d.T @ x
        grads["b"][...] = d.sum(axis=0)
        if dx is not None:
            np.matmul(d, params["W"], out=dx)

    def slope(self, y, dy, ctx):
        return dy * self.scale * (1 - ctx.saved["tanh"] ** 2)


class MissingScale(Linear):
    def slope(self, y, dy, ctx):
        return dy * (1 - ctx.saved["tanh"] ** 2)


class TransposedW(Linear):
    def __init__(self, name=None):
        super().__init__(n_out=5, name=name)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        super().backward(params, x, y, dy, dx, grads, ctx)
        grads["W"][...] = grads["W"].T.copy()


class Adds(Linear):
    def backward(self, params, x, y, dy, dx, grads, ctx):
        held = grads["W"].copy()
        super().backward(params, x, y, dy, dx, grads, ctx)
        grads["W"] += held


class LeavesBiasGradient(Linear):
    def backward(self, params, x, y, dy, dx, grads, ctx):
        scratch = dict(grads, b=np.empty_like(grads["b"]))
        super().backward(params, x, y, dy, dx, scratch, ctx)


class ChangesDy(Linear):
    def slope(self, y, dy, ctx):
        dy *= self.scale * (1 - ctx.saved["tanh"] ** 2)
        return dy


class ChangesX(Linear):
    def forward(self, params, x, y, ctx):
        super().forward(params, x, y, ctx)
        np.clip(x, -1, 1, out=x)


class MutatesParameters(Linear):
    def forward(self, params, x, y, ctx):
        super().forward(params, x, y, ctx)
        params["W"] /= max(1.0, float(np.linalg.norm(params["W"])))


class Float32Inside(Linear):
    def forward(self, params, x, y, ctx):
        super().forward(params, x, y, ctx)
        y[...] = y.astype(np.float32)


class Float32Only(Linear):
    def build(self, n_in, dtype):
        if dtype != np.float32:
            raise bp.DtypeError("float32 only")
        return super().build(n_in, dtype)


class StateOnSelf(Linear):
    def forward(self, params, x, y, ctx):
        super().forward(params, x, y, ctx)
        self.__dict__["t"] = ctx.saved["tanh"].copy()


STASH = {}


class StaleSaved(Linear):
    def forward(self, params, x, y, ctx):
        super().forward(params, x, y, ctx)
        STASH["t"] = ctx.saved["tanh"].copy()

    def slope(self, y, dy, ctx):
        t = STASH["t"] if STASH["t"].shape == dy.shape else ctx.saved["tanh"]
        return dy * self.scale * (1 - t**2)


class CachesWeights(Linear):
    def __init__(self, n_out=3, scale=1.5, name=None):
        super().__init__(n_out, scale, name)
        self.cache = {}

    def forward(self, params, x, y, ctx):
        W = self.cache.setdefault("W", params["W"].copy())
        fits = W.shape == params["W"].shape
        super().forward(dict(params, W=W) if fits else params, x, y, ctx)


class PassesThroughSelf(Linear):
    """Right until two threads meet in it."""

    def __init__(self, n_out=3, scale=1.5, name=None):
        super().__init__(n_out, scale, name)
        self.now = {}

    def slope(self, y, dy, ctx):
        mine = self.now["slope"] = super().slope(y, dy, ctx)
        if threading.current_thread() is not threading.main_thread():
            # until the other thread comes, once: a moment's sleep is no meeting on a busy machine
            deadline = time.monotonic() + 10
            while not self.now.get("met") and time.monotonic() < deadline:
                self.now["met"] = self.now.get("slope") is not mine
                time.sleep(1e-4)
        return self.now.pop("slope")


class WrongAtOneRow(Linear):
    def slope(self, y, dy, ctx):
        slope = super().slope(y, dy, ctx)
        return slope if len(y) > 1 else 0 * slope


class CrudeFloat32(Linear):
    def forward(self, params, x, y, ctx):
        super().forward(params, x, y, ctx)
        if y.dtype == np.float32:
            y[...] = y.astype(np.float16)


BUILT = []


class RemembersBuild(Linear):
    def build(self, n_in, dtype):
        BUILT.append(n_in)
        spec = super().build(n_in, dtype)
        return LayerSpec(spec.n_out, spec.params, {"n": (len(BUILT),)}, spec.saved)


class NoSpec(Linear):
    def build(self, n_in, dtype):
        return {"n_out": self.n_out}


class SavedNotFilled(Linear):
    def forward(self, params, x, y, ctx):
        np.multiply(np.tanh(x @ params["W"].T + params["b"]), self.scale, out=y)


class WrongBiasSum(Linear):
    def backward(self, params, x, y, dy, dx, grads, ctx):
        super().backward(params, x, y, dy, dx, grads, ctx)
        grads["b"] /= len(x) or 1  # the mean


class OffByOneAtOddWidths(Linear):
    def backward(self, params, x, y, dy, dx, grads, ctx):
        super().backward(params, x, y, dy, dx, grads, ctx)
        n = x.shape[1]
        if dx is not None and n > 8 and n % 2:  # as a loop over pairs would
            dx[:, -1] = 0


class WritesDxAlways(Linear):
    def backward(self, params, x, y, dy, dx, grads, ctx):
        super().backward(params, x, y, dy, dx, grads, ctx)
        if dx is None:
            grads["b"][...] = 0


class CouplesRows(Linear):
    def forward(self, params, x, y, ctx):
        super().forward(params, x - x.mean(axis=0) if len(x) else x, y, ctx)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        centred = x - x.mean(axis=0) if len(x) else x
        super().backward(params, centred, y, dy, dx, grads, ctx)
        if dx is not None and len(x):
            dx -= dx.mean(axis=0)


class FailsOnEmpty(Linear):
    def forward(self, params, x, y, ctx):
        super().forward(params, x, y, ctx)
        y.max()


class WrongConfig(Linear):
    def __init__(self, n_out=3, scale=1.5, name=None):
        super().__init__(n_out, 2 * scale, name)


class ConfigNoJson(Linear):
    def __init__(self, n_out=3, scale=1.5, name=None):
        super().__init__(n_out, np.float32(scale), name)


class HiddenArgument(Linear):
    def __init__(self, factor=2.0, name=None):
        super().__init__(3, 1.5, name)
        self._factor = factor


class InitLeavesBias(Linear):
    def init(self, params, rng, gain=1.0):
        params["W"][...] = rng.normal(scale=0.5, size=params["W"].shape)


class InitGlobal(Linear):
    def init(self, params, rng, gain=1.0):
        params["W"][...] = np.random.default_rng().normal(size=params["W"].shape)
        params["b"][...] = 0


class NotAffine(Linear):
    affine = True


BUGS = [
    (MissingScale, "gradients"),
    (MissingScale, "network_gradients"),
    (TransposedW, "gradients"),
    (Adds, "overwrites"),
    (LeavesBiasGradient, "overwrites"),
    (ChangesDy, "inputs_unchanged"),
    (ChangesX, "inputs_unchanged"),
    (MutatesParameters, "inputs_unchanged"),
    (Float32Inside, "float_types"),
    (Float32Only, "float_types"),
    (StateOnSelf, "immutable"),
    (StaleSaved, "saved_pass"),
    (SavedNotFilled, "overwrites"),
    (CachesWeights, "shared_part"),
    (CachesWeights, "immutable"),
    (PassesThroughSelf, "threads"),
    (WrongAtOneRow, "single_row"),
    (CrudeFloat32, "float32"),
    (RemembersBuild, "spec"),
    (NoSpec, "spec"),
    (WrongBiasSum, "gradients"),
    (WrongBiasSum, "blocks"),
    (OffByOneAtOddWidths, "odd_widths"),
    (WritesDxAlways, "dx_none"),
    (CouplesRows, "blocks"),
    (CouplesRows, "nan_rows"),
    (FailsOnEmpty, "empty_batch"),
    (WrongConfig, "config"),
    (ConfigNoJson, "config"),
    (HiddenArgument, "config"),
    (InitLeavesBias, "init"),
    (InitGlobal, "init"),
    (NotAffine, "affine"),
]


def test_the_layer_that_bugs_are_seeded_into_passes():
    check_layer(Linear)


@pytest.mark.parametrize(("layer", "check"), BUGS, ids=lambda x: getattr(x, "__name__", x))
def test_bug_is_caught(layer, check):
    with pytest.raises((AssertionError, bp.FastbpError, ValueError)):
        dict(checks_for(layer))[check]()
    with pytest.raises(AssertionError, match=rf"(?m)^{check}: "):
        check_layer(layer)

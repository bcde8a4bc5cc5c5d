"""Maxout units for fastbp: each output is the largest of several affine functions of the input."""

import math

import numpy as np

import fastbp as bp
from fastbp_maxout._maxout import capsule


class Maxout(bp.layers.Layer):
    """y_u = max over p = 0 .. pieces - 1 of (x Wᵀ + b) at u · pieces + p; of equals the first.

    Parameters
    ----------
    units : int, >= 1
        Width of the output.
    pieces : int, >= 1
        Affine functions per unit.
    name : str, optional
        Names the parameters, W (units · pieces, n_in) and b (units · pieces,); by default maxout1,
        maxout2, ...

    References
    ----------
    .. [1] Goodfellow et al., "Maxout networks", 2013.
    """

    def __init__(self, units, pieces=2, name=None):
        for key, value in (("units", units), ("pieces", pieces)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise bp.ConfigError(f"{key}: got {value!r}; wanted a whole number >= 1")
        self.units, self.pieces, self.name = units, pieces, name

    def build(self, n_in, dtype):
        # the C body counts on this order
        return bp.layers.LayerSpec(
            n_out=self.units,
            params={"W": (self.units * self.pieces, n_in), "b": (self.units * self.pieces,)},
            saved={"piece": (self.units,)},  # which one was the largest
        )

    def init(self, params, rng, gain=1.0):
        bound = math.sqrt(3 / params["W"].shape[1])  # a uniform variable of variance 1 / n_in
        params["W"][...] = rng.uniform(-bound, bound, params["W"].shape)
        params["b"][...] = 0

    # The Python body says what is meant; the C body, which the host uses, says the same faster.
    def forward(self, params, x, y, ctx):
        z = (x @ params["W"].T + params["b"]).reshape(len(x), self.units, self.pieces)
        ctx.saved["piece"][...] = z.argmax(axis=2)
        z.max(axis=2, out=y)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        chosen = ctx.saved["piece"][:, :, None] == np.arange(self.pieces)
        dz = np.where(chosen, dy[:, :, None], dy.dtype.type(0)).reshape(len(x), len(params["b"]))
        np.matmul(dz.T, x, out=grads["W"])
        grads["b"][...] = dz.sum(axis=0, dtype=np.float64)
        if dx is not None:
            np.matmul(dz, params["W"], out=dx)

    def __fastbp_layer__(self):
        return capsule(self.pieces)

    @classmethod
    def examples(cls):
        """Instances for the conformance kit."""
        return [cls(4), cls(1, pieces=3), cls(3, pieces=1)]

"""Layer normalisation for fastbp: every row to mean 0 and variance 1, then scaled and shifted."""

import numpy as np

import fastbp as bp
from fastbp_layernorm._layernorm import capsule


class LayerNorm(bp.layers.Layer):
    """y = gamma x_hat + beta, x_hat = (x - mean) rstd, rstd = 1 / sqrt(variance + eps), by row.

    Parameters
    ----------
    eps : float, > 0
        Keeps rows without variance finite.
    name : str, optional
        Names the parameters; by default layernorm1, layernorm2, ...

    References
    ----------
    .. [1] Ba, Kiros and Hinton, "Layer normalization", 2016.
    """

    def __init__(self, eps=1e-5, name=None):
        if not 0 < eps < float("inf"):
            raise bp.ConfigError(f"eps: got {eps!r}; wanted a finite number > 0")
        self.eps, self.name = float(eps), name

    def build(self, n_in, dtype):
        # the C body counts on this order
        return bp.layers.LayerSpec(
            n_out=n_in,
            params={"gamma": (n_in,), "beta": (n_in,)},
            saved={"x_hat": (n_in,), "rstd": ()},
        )

    def init(self, params, rng, gain=1.0):
        params["gamma"][...] = 1
        params["beta"][...] = 0

    # The Python body says what is meant; the C body, which the host uses, says the same faster.
    def forward(self, params, x, y, ctx):
        wide = x.astype(np.float64)
        centred = wide - wide.mean(axis=1, keepdims=True)
        rstd = 1 / np.sqrt((centred**2).mean(axis=1) + self.eps)
        ctx.saved["rstd"][...] = rstd
        ctx.saved["x_hat"][...] = centred * rstd[:, None]
        y[...] = params["gamma"] * ctx.saved["x_hat"] + params["beta"]

    def backward(self, params, x, y, dy, dx, grads, ctx):
        x_hat, rstd = ctx.saved["x_hat"], ctx.saved["rstd"]
        grads["gamma"][...] = (dy * x_hat).sum(axis=0, dtype=np.float64)
        grads["beta"][...] = dy.sum(axis=0, dtype=np.float64)
        if dx is not None:
            g = dy.astype(np.float64) * params["gamma"]
            g -= g.mean(axis=1, keepdims=True) + x_hat * (g * x_hat).mean(axis=1, keepdims=True)
            dx[...] = g * rstd[:, None]

    def __fastbp_layer__(self):
        return capsule(self.eps)

    @classmethod
    def examples(cls):
        """Instances for the conformance kit."""
        return [cls(), cls(eps=0.1)]

"""The dense layer: E1 forward; E6, E8 and E9 backward."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from fastbp import checks
from fastbp.checks import Array
from fastbp.errors import ConfigError
from fastbp.kernels import bias_sum, dense_backward, dense_forward, outer_sum
from fastbp.kernels.builtin import dense_capsule
from fastbp.kernels.context import Context
from fastbp.layers.base import Layer, LayerSpec

INITS = ("auto", "he", "glorot", "lecun", "zeros")


class Dense(Layer):
    """A dense layer, a = h Wᵀ + b (E1).

    Parameters
    ----------
    n_out : int
        Number of units.
    bias : bool
        Whether the layer has a bias b.
    init : {"auto", "he", "glorot", "lecun", "zeros"}
        W is uniform with mean 0 and standard deviation gain / sqrt(n_in); b starts at 0. The gain
        is that of the activation that follows ("auto"), sqrt(2) ("he") or 1 ("lecun"). "glorot"
        takes sqrt(2 / (n_in + n_out)) as standard deviation; "zeros" sets W to 0.
    name : str, optional
        Names the parameters (``"enc"`` gives ``"enc.W"``); by default dense1, dense2, ...

    Raises
    ------
    ConfigError
        n_out is no positive integer, or init is unknown.

    References
    ----------
    .. [1] He et al., "Delving Deep into Rectifiers", 2015 (he).
    .. [2] Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
       networks", 2010 (glorot).

    Examples
    --------
    >>> import fastbp as bp
    >>> net = bp.Network(3, [bp.Dense(2, name="enc")], rng=0)
    >>> {name: value.shape for name, value in net.params.items()}
    {'enc.W': (2, 3), 'enc.b': (2,)}
    """

    affine = True

    def __init__(
        self, n_out: int, bias: bool = True, init: str = "auto", name: str | None = None
    ) -> None:
        self.n_out = checks.integer("n_out", n_out, low=1)
        if isinstance(bias, numbers.Integral) and not isinstance(bias, bool):
            raise ConfigError(
                f"bias: got {bias}; wanted True or False; Dense takes its number of outputs alone, "
                f"as Dense({bias})"
            )
        if isinstance(bias, str):
            raise ConfigError(
                f"bias: got {bias!r}; wanted True or False; an activation is a layer of its own"
            )
        self.bias = checks.boolean("bias", bias)
        if init not in INITS:
            raise ConfigError(f"init: got {init!r}; wanted one of {', '.join(INITS)}")
        self.init_rule = init
        self.name = name

    def config(self) -> dict[str, Any]:
        # `init` is the contract's method, so the argument of that name is kept as `init_rule`
        return {"n_out": self.n_out, "bias": self.bias, "init": self.init_rule, "name": self.name}

    def build(self, n_in: int, dtype: np.dtype[Any]) -> LayerSpec:
        params: dict[str, tuple[int, ...]] = {"W": (self.n_out, n_in)}
        if self.bias:
            params["b"] = (self.n_out,)
        return LayerSpec(n_out=self.n_out, params=params)

    def init(self, params: dict[str, Array], rng: np.random.Generator, gain: float = 1.0) -> None:
        W = params["W"]
        n_out, n_in = W.shape
        std = {
            "auto": gain / math.sqrt(n_in),
            "he": math.sqrt(2 / n_in),
            "glorot": math.sqrt(2 / (n_in + n_out)),
            "lecun": 1 / math.sqrt(n_in),
            "zeros": 0.0,
        }[self.init_rule]
        bound = math.sqrt(3) * std  # a uniform variable on ±bound has variance bound² / 3
        W[...] = rng.uniform(-bound, bound, W.shape)  # drawn in double: one seed, one network
        if self.bias:
            params["b"][...] = 0

    def forward(self, params: dict[str, Array], x: Array, y: Array, ctx: Context) -> None:
        dense_forward(x, params["W"], params.get("b"), out=y)  # E1

    def backward(
        self,
        params: dict[str, Array],
        x: Array,
        y: Array,
        dy: Array,
        dx: Array | None,
        grads: dict[str, Array],
        ctx: Context,
    ) -> None:
        outer_sum(dy, x, out=grads["W"])  # E8
        if self.bias:
            bias_sum(dy, out=grads["b"])  # E9
        if dx is not None:
            dense_backward(dy, params["W"], out=dx)  # E6

    def __fastbp_layer__(self) -> object:
        return dense_capsule(self.bias)

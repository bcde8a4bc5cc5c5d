"""Denormal weights beside normal ones: some processors take ten times as long with them."""

import numpy as np

import fastbp as bp

from .common import DTYPES, assert_network, problem, ratio


class Denormals:
    """A step, or a forward pass, on denormal weights over the same on normal ones."""

    version = "1"
    params = (("64-64-10/32", "784-128-10/1", "784-256-128-10/64"), DTYPES, ("step", "forward"))
    param_names = ("net/batch", "dtype", "what")
    unit = "times normal weights"

    def setup(self, net, dtype, what):
        # The rate is so small that no weight becomes normal by a step.
        sgd = bp.SGD(float(np.finfo(dtype).tiny))
        self.normal, self.X, y = problem(net, dtype)
        assert_network(self.normal, self.X, y)
        self.denormal = self.normal.copy()
        self.denormal.flat[...] *= np.finfo(dtype).tiny / 64
        kept = [(n.flat, n.flat.copy()) for n in (self.normal, self.denormal)]
        sizes = np.abs(kept[1][1][kept[1][1] != 0])
        if not sizes.max() < np.finfo(dtype).tiny:
            raise AssertionError(f"weights: up to {sizes.max()}; wanted denormal ones")
        out = self.denormal.forward(self.X)
        # the same as all weights zero, as far as the dtype's normal numbers tell
        if not np.abs(out).max() < 1e3 * np.finfo(dtype).tiny:
            raise AssertionError(f"h_L: got up to {np.abs(out).max()}; the weights are denormal")

        def calls(network, flat, before):
            out = np.empty((len(self.X), network.n_out), dtype)
            if what == "forward":
                return lambda: network.forward(self.X, out=out)

            def step():
                flat[...] = before  # a step leaves zeros where denormals were
                network.step(self.X, y, sgd)

            return step

        self.calls = [calls(n, *k) for n, k in zip((self.denormal, self.normal), kept, strict=True)]

    def track_denormal_over_normal(self, *_):
        return ratio(*self.calls)

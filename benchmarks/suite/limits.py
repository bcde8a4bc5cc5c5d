"""A training step beside what bounds it: its matrix products, and the processor's peak. float32."""

import numpy as np

import fastbp as bp
from fastbp import reference

from .common import NETS, assert_equal, assert_network, clear_rows, layers_of, problem, ratio
from .peak import MultiplyAdds

SGD = bp.SGD(1e-3)


class StepOverProducts:
    """A step over the same products by NumPy's BLAS, bare: nothing between them, nothing else."""

    version = "1"
    params = (NETS,)
    param_names = ("net/batch",)
    unit = "times sgemm"

    def setup(self, net):
        self.net, X, y = problem(net, "float32")
        assert_network(self.net, X, y)
        layers = layers_of(self.net)
        rows = clear_rows(X, layers)
        assert_products(Products(layers, X[rows], y[rows]))
        self.step = lambda: self.net.step(X, y, SGD)
        self.products = Products(layers, X, y)

    def track_time_over_sgemm(self, *_):
        return ratio(self.step, self.products)


class PeakOverStep:
    """Fused multiply-adds a second of one core, over those of a step's products.

    The smallest networks are left out: their time is not arithmetic. It may be below 1: a ReLU's
    zeros count here as arithmetic, and are skipped.
    """

    version = "1"
    params = (NETS[2:],)
    param_names = ("net/batch",)
    unit = "times the step's GFLOP/s"

    def setup(self, net):
        self.peak = MultiplyAdds()
        self.net, X, y = problem(net, "float32")
        assert_network(self.net, X, y)
        self.step = lambda: self.net.step(X, y, SGD)
        self.operations = Products(layers_of(self.net), X, y).operations

    def track_peak_over_achieved(self, *_):
        return ratio(self.step, self.peak) * self.peak.operations / self.operations


class Products:
    """The products of a step: h Wᵀ, δᵀ h and, but for the first layer, δ W; on its own numbers.

    `operations` counts a multiplication and an addition as two.
    """

    def __init__(self, layers, X, y):
        g = reference.gradients(X.astype("f8"), y, layers)
        self.wanted, self.calls, self.operations = [], [], 0
        for k, (W, _, _) in enumerate(layers, start=1):
            W, h, delta = (v.astype("f4") for v in (W, g.values.h[k - 1], g.a[k]))
            products = [(h, W.T), (delta.T, h)] + [(delta, W)] * (k > 1)
            exact = [g.values.h[k - 1] @ layers[k - 1][0].T, g.W[k], g.h.get(k - 1)]
            for (left, right), want in zip(products, exact, strict=False):
                out = np.empty((len(left), right.shape[1]), "f4")
                self.calls.append((left, right, out))
                self.wanted.append(want)
                self.operations += 2 * left.size * right.shape[1]

    def __call__(self):
        for left, right, out in self.calls:
            np.matmul(left, right, out=out)


def assert_products(products):
    """Raise unless they give the reference's products and gradients."""
    products()
    for (_, _, out), want in zip(products.calls, products.wanted, strict=True):
        assert_equal("product", out, want, slack=3)

"""The losses beside softmax: sigmoid cross-entropy, and squared error (E10)."""

import numpy as np

from fastbp import kernels, reference

from .common import DTYPES, assert_equal, normal


class Losses:
    """Losses and delta of a batch, by kernel. (softmax has a module of its own.)"""

    version = "1"
    params = (("sigmoid_cross_entropy", "squared_error"), ((1, 1), (64, 10), (4096, 10)), DTYPES)
    param_names = ("name", "(batch, n_out)", "dtype")

    def setup(self, name, shape, dtype):
        self.kernel = getattr(kernels, name)
        self.a = normal(*shape, dtype=dtype, seed=0)
        self.t = np.random.default_rng(1).uniform(size=shape).astype(dtype)
        self.delta = np.full_like(self.a, np.nan)
        loss = self.time_loss_and_delta()
        a, t = self.a.astype("f8"), self.t.astype("f8")
        assert_equal("loss", loss.astype(dtype), getattr(reference, name)(a, t))
        assert_equal("delta", self.delta, getattr(reference, f"{name}_backward")(a, t))

    def time_loss_and_delta(self, *_):
        return self.kernel(self.a, self.t, self.delta)

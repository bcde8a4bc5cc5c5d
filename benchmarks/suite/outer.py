"""Weight and bias gradients: E8, the sum of a batch's outer products, and E9."""

import numpy as np

from fastbp import kernels, reference

from .common import DTYPES, SHAPES, assert_equal, normal, ratio


class Outer:
    """dW and db of one affine layer, by kernel; NumPy's way to the same arrays is the yardstick."""

    version = "1"
    params = (SHAPES, DTYPES)
    param_names = ("(batch, n_in, n_out)", "dtype")
    unit = "times NumPy"

    def setup(self, shape, dtype):
        batch, n_in, n_out = shape
        self.delta = normal(batch, n_out, dtype=dtype, seed=0)
        self.h = normal(batch, n_in, dtype=dtype, seed=1)
        self.dW, self.db = np.empty((n_out, n_in), dtype), np.empty(n_out, dtype)
        delta, h = self.delta.astype("f8"), self.h.astype("f8")
        for outer_sum, bias_sum in [
            (self.time_outer_sum, self.time_bias_sum),
            (self._numpy_outer_sum, self._numpy_bias_sum),
        ]:
            self.dW.fill(np.nan)
            self.db.fill(np.nan)
            outer_sum()
            bias_sum()
            assert_equal("dW", self.dW, reference.outer_sum(delta, h))
            assert_equal("db", self.db, reference.bias_sum(delta))

    def time_outer_sum(self, *_):
        kernels.outer_sum(self.delta, self.h, out=self.dW)

    def peakmem_outer_sum(self, *_):
        self.time_outer_sum()

    def time_bias_sum(self, *_):
        kernels.bias_sum(self.delta, out=self.db)

    def track_outer_sum_over_numpy(self, *_):
        return ratio(self.time_outer_sum, self._numpy_outer_sum)

    def track_bias_sum_over_numpy(self, *_):
        return ratio(self.time_bias_sum, self._numpy_bias_sum)

    def _numpy_outer_sum(self):
        np.matmul(self.delta.T, self.h, out=self.dW)

    def _numpy_bias_sum(self):
        np.sum(self.delta, axis=0, out=self.db)

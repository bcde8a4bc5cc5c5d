"""Dense layers: E1 forward, E6 backward to the input."""

import numpy as np

from fastbp import kernels, reference

from .common import DTYPES, SHAPES, assert_equal, normal, ratio


class Dense:
    """One affine layer of a batch, by kernel; NumPy's way to the same arrays is the yardstick."""

    version = "1"
    params = (SHAPES, DTYPES)
    param_names = ("(batch, n_in, n_out)", "dtype")
    unit = "times NumPy"

    def setup(self, shape, dtype):
        batch, n_in, n_out = shape
        self.x = normal(batch, n_in, dtype=dtype, seed=0)
        self.W = normal(n_out, n_in, dtype=dtype, seed=1)
        self.b = normal(n_out, dtype=dtype, seed=2)
        self.delta = normal(batch, n_out, dtype=dtype, seed=3)
        self.a, self.dh = np.empty_like(self.delta), np.empty_like(self.x)
        x, W, b, delta = (v.astype("f8") for v in (self.x, self.W, self.b, self.delta))
        for forward, backward in [
            (self.time_forward, self.time_backward),
            (self._numpy_forward, self._numpy_backward),
        ]:
            self.a.fill(np.nan)
            self.dh.fill(np.nan)
            forward()
            backward()
            assert_equal("a", self.a, reference.dense_forward(x, W, b))
            assert_equal("dh", self.dh, reference.dense_backward(delta, W))

    def time_forward(self, *_):
        kernels.dense_forward(self.x, self.W, self.b, out=self.a)

    def time_backward(self, *_):
        kernels.dense_backward(self.delta, self.W, out=self.dh)

    def peakmem_forward(self, *_):
        self.time_forward()

    def peakmem_backward(self, *_):
        self.time_backward()

    def track_forward_over_numpy(self, *_):
        return ratio(self.time_forward, self._numpy_forward)

    def track_backward_over_numpy(self, *_):
        return ratio(self.time_backward, self._numpy_backward)

    def _numpy_forward(self):
        np.matmul(self.x, self.W.T, out=self.a)
        self.a += self.b

    def _numpy_backward(self):
        np.matmul(self.delta, self.W, out=self.dh)

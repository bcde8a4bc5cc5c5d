"""Elementwise layers: E2 forward, E7 backward from the output."""

import numpy as np

from fastbp import kernels, reference

from .common import DTYPES, assert_equal, normal, ratio


class Activations:
    """One activation and its backward, by kernel, on a hidden layer of a batch."""

    version = "1"
    params = (("relu", "tanh", "sigmoid"), ((1, 16), (64, 256), (256, 1024)), DTYPES)
    param_names = ("name", "(batch, n)", "dtype")
    unit = "times NumPy"

    def setup(self, name, shape, dtype):
        self.forward = getattr(kernels, f"{name}_forward")
        self.backward = getattr(kernels, f"{name}_backward")
        self.numpy_forward = getattr(self, f"_numpy_{name}")
        self.a = normal(*shape, dtype=dtype, seed=0)
        self.dh = normal(*shape, dtype=dtype, seed=1)
        self.h, self.da = np.empty_like(self.a), np.empty_like(self.a)
        want = getattr(reference, f"{name}_forward")(self.a.astype("f8"))
        self.numpy_forward()
        assert_equal("NumPy's h", self.h, want)
        self.h.fill(np.nan)
        self.time_forward()
        self.time_backward()
        assert_equal("h", self.h, want)
        want = getattr(reference, f"{name}_backward")(want, self.dh.astype("f8"))
        assert_equal("da", self.da, want)

    def time_forward(self, *_):
        self.forward(self.a, out=self.h)

    def time_backward(self, *_):
        self.backward(self.h, self.dh, out=self.da)

    def track_forward_over_numpy(self, *_):
        return ratio(self.time_forward, self.numpy_forward)

    def _numpy_relu(self):
        np.maximum(self.a, 0, out=self.h)

    def _numpy_tanh(self):
        np.tanh(self.a, out=self.h)

    def _numpy_sigmoid(self):
        np.negative(self.a, out=self.h)
        np.exp(self.h, out=self.h)
        self.h += 1
        np.reciprocal(self.h, out=self.h)

"""Softmax and its cross-entropy: E3 and E5 in one pass."""

import numpy as np

from fastbp import kernels, reference

from .common import DTYPES, assert_equal, normal, ratio


class Softmax:
    """Softmax, and losses with delta, for classes and for rows of probabilities."""

    version = "1"
    params = (((1, 3), (64, 10), (4096, 10), (512, 1000)), DTYPES)
    param_names = ("(batch, n_out)", "dtype")
    unit = "times NumPy"

    def setup(self, shape, dtype):
        batch, n_out = shape
        self.a = normal(batch, n_out, dtype=dtype, seed=0) * 3
        self.y_hat, self.delta = np.empty_like(self.a), np.empty_like(self.a)
        self.classes = np.random.default_rng(1).integers(0, n_out, batch)
        self.rows = reference.softmax(normal(batch, n_out, dtype=dtype, seed=2))
        self.index = np.arange(batch)
        self.loss = np.empty(batch)  # only NumPy's; the kernel returns its own

        a = self.a.astype("f8")
        self.time_softmax()
        assert_equal("y_hat", self.y_hat, reference.softmax(a))
        for targets, call in [
            (self.classes, self.time_loss_and_delta_classes),
            (self.rows.astype("f8"), self.time_loss_and_delta_rows),
            (self.classes, self._numpy_loss_and_delta_classes),
        ]:
            self.delta.fill(np.nan)
            loss = call()
            # losses are summed in double from logits of this dtype
            assert_equal("loss", loss.astype(dtype), reference.softmax_cross_entropy(a, targets))
            want = reference.softmax_cross_entropy_backward(a, targets)
            assert_equal("delta", self.delta, want)

    def time_softmax(self, *_):
        kernels.softmax(self.a, out=self.y_hat)

    def time_loss_and_delta_classes(self, *_):
        return kernels.softmax_cross_entropy(self.a, self.classes, self.delta)

    def peakmem_loss_and_delta_classes(self, *_):
        self.time_loss_and_delta_classes()

    def time_loss_and_delta_rows(self, *_):
        return kernels.softmax_cross_entropy(self.a, self.rows, self.delta)

    def track_loss_and_delta_over_numpy(self, *_):
        return ratio(self.time_loss_and_delta_classes, self._numpy_loss_and_delta_classes)

    def _numpy_loss_and_delta_classes(self):
        delta, index, classes = self.delta, self.index, self.classes
        np.subtract(self.a, self.a.max(axis=1, keepdims=True), out=delta)
        self.loss[:] = delta[index, classes]
        np.exp(delta, out=delta)
        total = delta.sum(axis=1, keepdims=True)
        np.subtract(np.log(total[:, 0]), self.loss, out=self.loss)
        delta /= total
        delta[index, classes] -= 1
        return self.loss

"""The whole chain as users call it: forward, loss, backward, update."""

import numpy as np

import fastbp as bp

from .common import (
    DTYPES,
    NETS,
    allocated,
    assert_equal,
    assert_network,
    clear_rows,
    flat,
    flat_gradient,
    layers_of,
    problem,
    ratio,
)

SGD = bp.SGD(1e-3)  # small, because the same batch is stepped on thousands of times


class Step:
    """Time of one training step, and of its parts, for every network of NETS."""

    version = "1"
    params = (NETS, DTYPES)
    param_names = ("net/batch", "dtype")

    def setup(self, net, dtype):
        self.net, self.X, self.y = problem(net, dtype)
        assert_network(self.net, self.X, self.y)
        self.out = np.empty((len(self.X), self.net.n_out), dtype)

    def time_step(self, *_):
        self.net.step(self.X, self.y, SGD)

    def time_forward(self, *_):
        self.net.forward(self.X, out=self.out)

    def time_gradients(self, *_):
        self.net.gradients(self.X, self.y)  # the factors only

    def time_gradients_flat(self, *_):
        return self.net.gradients(self.X, self.y).flat  # with every weight gradient formed


class StepOverNumPy:
    """One training step beside the same step written in NumPy, float32."""

    version = "1"
    params = (NETS,)
    param_names = ("net/batch",)
    unit = "times NumPy"

    def setup(self, net):
        self.net, X, y = problem(net, "float32")
        assert_network(self.net, X, y)
        layers = layers_of(self.net)
        rows = clear_rows(X, layers)
        once = NumPyStep(layers, X[rows], y[rows], lr=1.0)
        once()
        taken = (flat(layers) - flat(once.layers)).astype("f4")
        assert_equal("NumPy's step", taken, flat_gradient(X[rows], y[rows], layers)[1], slack=10)
        self.step = lambda: self.net.step(X, y, SGD)
        self.numpy_step = NumPyStep(layers, X, y, SGD.lr)

    def track_step_over_numpy(self, *_):
        return ratio(self.step, self.numpy_step)


class StepMemory:
    """Peak memory of the process at 784-256-128-10; compared on few rows, which leave no mark."""

    version = "1"
    params = ((64, 16384),)
    param_names = ("batch",)

    def setup(self, batch):
        self.net, self.X, self.y = problem("784-256-128-10/64", "float32", batch)
        assert_network(self.net, self.X[:64], self.y[:64])
        self.out = np.empty((batch, 10), "f4")

    def peakmem_step(self, *_):
        self.net.step(self.X, self.y, SGD)

    def peakmem_forward_out(self, *_):
        self.net.forward(self.X, out=self.out)

    def peakmem_gradients_flat(self, *_):
        return self.net.gradients(self.X, self.y).flat


class ForwardAllocation:
    """Bytes that net.forward(X, out=out) allocates; an error when they grow with the batch."""

    version = "1"
    params = ((64, 16384),)
    param_names = ("batch",)
    unit = "bytes"

    def setup(self, batch):
        self.net, X, y = problem("64-32-10/1", "float32", batch)
        assert_network(self.net, X[:64], y[:64])

    def track_forward_out_allocation(self, batch):
        held = self._allocated(batch)
        # under a byte per row: a row of anything takes 4, the list of row blocks a fraction
        if held - self._allocated(1) >= batch:
            raise AssertionError(f"forward(out=) allocates {held} bytes at batch {batch}")
        return held

    def _allocated(self, batch):
        _, X, _ = problem("64-32-10/1", "float32", batch)
        out = np.empty((batch, 10), "f4")
        return allocated(lambda: self.net.forward(X, out=out))


class NumPyStep:
    """A step of SGD as one writes it in NumPy, in place where that is faster; forms no loss."""

    def __init__(self, layers, X, y, lr):
        self.layers = [(W.astype(X.dtype), b.astype(X.dtype)) for W, b, _ in layers]
        self.X, self.y, self.lr, self.index = X, y, X.dtype.type(lr), np.arange(len(X))

    def __call__(self):
        h, lr, last = [self.X], self.lr, len(self.layers) - 1
        for k, (W, b) in enumerate(self.layers):
            a = h[k] @ W.T
            a += b
            h.append(np.maximum(a, 0, out=a) if k < last else a)
        delta = h.pop()
        delta -= delta.max(axis=1, keepdims=True)
        np.exp(delta, out=delta)
        delta /= delta.sum(axis=1, keepdims=True)
        delta[self.index, self.y] -= 1
        delta /= len(delta)
        for k in range(last, -1, -1):
            W, b = self.layers[k]
            dW, db = delta.T @ h[k], delta.sum(axis=0)
            if k:
                delta = delta @ W
                delta *= h[k] > 0
            dW *= lr
            W -= dW
            db *= lr
            b -= db

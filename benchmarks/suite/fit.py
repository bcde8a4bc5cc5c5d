"""Whole training on the bundled digits: 1347 rows of 64 pixels, network 64-100-10."""

import numpy as np

import fastbp as bp

from .common import assert_equal, flat_gradient, layers_of

SIZES = [64, 100, 10]
OPTIMIZERS = {"sgd": bp.SGD(0.1), "adam": bp.Adam(1e-3)}


def digits():
    """The training rows and the held-out rows, (X, y) each."""
    X, y = bp.data.digits()
    train, test = bp.data.split(y)
    return (X[train], y[train]), (X[test], y[test])


class Fit:
    """One epoch of fit, from the same parameters each time."""

    version = "1"
    params = ((200, 32), ("sgd", "adam"))
    param_names = ("batch_size", "optimizer")

    def setup(self, batch_size, optimizer):
        (self.X, self.y), _ = digits()
        self.optimizer = OPTIMIZERS[optimizer]
        assert_epoch(self.X, self.y, batch_size, self.optimizer)
        self.net = bp.mlp(SIZES, rng=0)
        self.start = self.net.flat.copy()

    def time_epoch(self, batch_size, *_):
        self.net.flat[:] = self.start
        self.net.reset_optimizer()
        self.net.fit(self.X, self.y, **self._arguments(batch_size))

    def peakmem_epoch(self, batch_size, *_):
        self.net.fit(self.X, self.y, **self._arguments(batch_size))

    def _arguments(self, batch_size):
        return {
            "optimizer": self.optimizer, "epochs": 1, "batch_size": batch_size, "progress": False
        }  # fmt: skip


class HeldOut:
    """What training reaches: speed must not be bought with it."""

    version = "1"
    unit = "held-out error"

    def setup(self):
        self.train, self.test = digits()
        assert_epoch(*self.train, 32, OPTIMIZERS["adam"])

    def track_held_out_error(self):
        """Share of wrong answers on the held-out quarter after 20 epochs, mean of seeds 0-4."""
        errors = []
        for seed in range(5):
            net = bp.mlp(SIZES, rng=seed)
            net.fit(*self.train, optimizer=bp.Adam(1e-3), epochs=20, batch_size=32, progress=False)
            errors.append(np.mean(net.predict(self.test[0]) != self.test[1]))
        return float(np.mean(errors))


def assert_epoch(X, y, batch_size, optimizer):
    """Raise unless an epoch in order, in float64, ends where the reference's gradients lead."""
    X = X.astype("f8")
    net = bp.mlp(SIZES, dtype="float64", rng=0)
    theta, m, v = net.flat.copy(), np.zeros_like(net.flat), np.zeros_like(net.flat)
    view = net.copy()  # theta in the shapes that the reference takes
    for t, start in enumerate(range(0, len(X), batch_size), start=1):
        view.flat[:] = theta
        rows = slice(start, start + batch_size)
        _, g = flat_gradient(X[rows], y[rows], layers_of(view))
        if isinstance(optimizer, bp.SGD):
            theta -= optimizer.lr * g
            continue
        beta1, beta2 = optimizer.beta1, optimizer.beta2
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        theta -= optimizer.lr * m_hat / (np.sqrt(v_hat) + optimizer.eps)
    net.fit(
        X, y, optimizer=optimizer, epochs=1, batch_size=batch_size, shuffle=False, progress=False
    )
    assert_equal("parameters after an epoch", net.flat, theta, slack=1000)

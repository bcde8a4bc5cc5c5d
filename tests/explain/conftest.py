"""Random networks to walk through, and the same networks by others' means."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import fastbp as bp

ACTIVATIONS = {"relu": bp.ReLU, "tanh": bp.Tanh, "sigmoid": bp.Sigmoid, None: None}
LOSSES = ("softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error")


def random_problem(seed):
    """A network of 1 to 5 affine layers, widths 1 to 70, with three rows, a row and a weight."""
    rng = np.random.default_rng([7, seed])
    L, loss = int(rng.integers(1, 6)), LOSSES[seed % 3]
    widths = rng.integers(1, 71, L + 1)
    widths[L] += loss == "softmax_cross_entropy" and widths[L] == 1
    layers, biases = [], rng.random(L) < 0.8
    for k in range(1, L + 1):
        layers.append(bp.Dense(int(widths[k]), bias=bool(biases[k - 1])))
        kinds = [*ACTIVATIONS] if k < L or rng.random() < 0.3 else [None]
        g = kinds[rng.integers(len(kinds))]
        if g:
            layers.append(ACTIVATIONS[g]())
    dtype = ("float32", "float64")[int(rng.integers(2))]
    l2 = 0.0 if rng.random() < 0.5 else 0.1
    net = bp.Network(int(widths[0]), layers, loss=loss, dtype=dtype, rng=seed, l2=l2)
    for name, array in net.params.items():
        if name.endswith("b"):
            array[...] = 0.3 * rng.standard_normal(array.shape)
    X, n_out = rng.standard_normal((3, widths[0])), int(widths[L])
    rows = rng.random((3, n_out)) + 1e-3
    y = {
        "softmax_cross_entropy": [rng.integers(0, n_out, 3), rows / rows.sum(1, keepdims=True)],
        "sigmoid_cross_entropy": [rng.integers(0, 2, (3, n_out)), rng.random((3, n_out))],
        "squared_error": [rng.standard_normal((3, n_out))] * 2,
    }[loss][int(rng.integers(2))]
    k = int(rng.integers(1, L + 1))
    i, j = int(rng.integers(widths[k])), int(rng.integers(widths[k - 1]))
    weight = (f"dense{k}.W", i, j)
    if biases[k - 1] and rng.random() < 0.3:
        weight, j = (f"dense{k}.b", i), None
    row = int(rng.integers(3))
    return SimpleNamespace(net=net, X=X, y=y, row=row, weight=weight, loss=loss, k=k, i=i, j=j)


@pytest.fixture(scope="session", name="random_problem")
def _random_problem():
    return random_problem

"""Steps through wide layers beside the reference."""

import itertools

import numpy as np

import fastbp as bp
from fastbp import reference

rng = np.random.default_rng(3)
# E6 in several blocks of its depth, whose last panel of columns is part of a register, and others
shapes = [[100, 300, 260, 7], [5, 50, 700, 3], [70, 200, 300, 193, 2], [9, 60, 580, 5]]
shapes += [[*rng.integers(4, 330, 3), 10] for _ in range(16)]
# the first step, along g or g / (|g| + eps)
optimizers = [(bp.SGD(1.0), None), (bp.SGD(1.0, momentum=0.9), None), (bp.Adam(1.0, eps=0.1), 0.1)]
for number, sizes in enumerate(shapes):
    for dtype, (optimizer, eps) in itertools.product(("float32", "float64"), optimizers):
        sizes, batch = [int(n) for n in sizes], int(rng.choice([1, rng.integers(2, 70)]))
        net = bp.mlp(sizes, dtype=dtype, rng=number)
        X = rng.standard_normal((batch, sizes[0])).astype(dtype)
        y = rng.integers(0, sizes[-1], batch)
        before = {name: value.astype(float) for name, value in net.params.items()}
        k = len(sizes) - 1
        chain = [
            (before[f"dense{i}.W"], before[f"dense{i}.b"], "relu" if i < k else None)
            for i in range(1, k + 1)
        ]
        exact = reference.gradients(X.astype(float), y, chain)
        net.step(X, y, optimizer)
        for i in range(1, k + 1):
            for name, g in (("W", exact.W[i]), ("b", exact.b[i])):
                went = before[f"dense{i}.{name}"] - net.params[f"dense{i}.{name}"]
                error = np.abs(went - (g if eps is None else g / (np.abs(g) + eps))).max()
                case = sizes, batch, dtype, optimizer, i, name, error
                assert error < 64 * np.finfo(dtype).eps, case

"""Zeros are skipped to the same bits on any number of threads."""

import os

import numpy as np

import fastbp as bp
from fastbp.kernels.product import instruction_set

assert instruction_set() == os.environ["FASTBP_ISA"]


def trained(threads, sizes, batch, dtype, optimizer):
    rng = np.random.default_rng(4)
    net = bp.mlp(sizes, "relu", dtype=dtype, rng=5)
    net.flat[:] *= 1 + (rng.random(net.flat.size) < 0.1)
    X = rng.standard_normal((batch, sizes[0])) * (rng.random((batch, sizes[0])) < 0.4)
    y = rng.integers(0, sizes[-1], batch)
    for _ in range(4):
        net.step(X.astype(dtype), y, optimizer, threads=threads)
    return net.flat


for sizes, batch in [((300, 200, 150, 5), 131), ((150, 400, 10), 257), ((784, 129, 131, 10), 64)]:
    for dtype in ("float32", "float64"):
        for optimizer in (bp.SGD(0.05), bp.Adam(0.01)):
            one, *more = (trained(n, sizes, batch, dtype, optimizer) for n in (1, 2, 3, 5))
            for other in more:  # other rows make other chunks, and others that are not worth it
                assert np.array_equal(one, other), (sizes, batch, dtype)

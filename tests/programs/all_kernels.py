"""Bits of every kernel; FASTBP_ISA is set to the argument after the import."""

import os
import sys

import numpy as np

import fastbp as bp
from fastbp import kernels
from fastbp.commands.info import collect
from fastbp.kernels.product import instruction_set

if sys.argv[1]:
    os.environ["FASTBP_ISA"] = sys.argv[1]
for dtype in (np.float32, np.float64):
    rng = np.random.default_rng(3)
    x, W, y = (rng.standard_normal((n, 37)).astype(dtype) for n in (20, 90, 20))
    print(kernels.dense_forward(x, W).tobytes().hex())
    print(kernels.outer_sum(x, y).tobytes().hex(), kernels.bias_sum(x).tobytes().hex())
    for g in (kernels.relu_forward, kernels.tanh_forward, kernels.sigmoid_forward):
        print(g(x).tobytes().hex())
    print(kernels.softmax(x).tobytes().hex())
    for optimizer in (bp.SGD(0.1, momentum=0.9), bp.Adam(0.1)):
        net = bp.mlp([37, 50, 4], activation="tanh", dtype=np.dtype(dtype), rng=0)
        for _ in range(2):
            print(net.step(x, rng.integers(0, 4, 20), optimizer))
        print(net.flat.tobytes().hex())
print(instruction_set(), collect()["instruction_set"])

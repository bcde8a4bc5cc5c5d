"""Products that skip zeros, beside long double and beside products that do not."""

import itertools
import os

import numpy as np

from fastbp.kernels import dense_backward, dense_forward, outer_sum
from fastbp.kernels.product import instruction_set

assert instruction_set() == os.environ["FASTBP_ISA"]
np.seterr(invalid="ignore")
rng = np.random.default_rng(3)
# (m, n, k) of C (m, n) = A (m, k) B (k, n): words and blocks of marks, chunks of rows and panels
# that are filled, and that are not
shapes = [
    (16, 48, 16),
    (100, 64, 32),
    (33, 100, 64),
    (31, 113, 65),
    (127, 97, 63),
    (150, 130, 200),
    (129, 515, 193),
    (300, 60, 40),
    (48, 200, 700),
    (40, 60, 600),
    (64, 40, 700),
    (70, 200, 200),
]
products = {
    "E8": lambda A, B, bias: outer_sum(np.ascontiguousarray(A.T), B),
    "E6": lambda A, B, bias: dense_backward(A, B),
    "E1": lambda A, B, bias: dense_forward(A, np.ascontiguousarray(B.T), bias),
}
for dtype, (m, n, k), kept in itertools.product(
    (np.float32, np.float64), shapes, (0.0, 0.2, 0.5, 0.7, 1.0)
):
    A = (rng.standard_normal((m, k)) * (rng.random((m, k)) < kept)).astype(dtype)
    A[m // 2 :] *= rng.random((m - m // 2, 1)) < 0.5  # whole rows, as of units that never fire
    B = rng.standard_normal((k, n)).astype(dtype)
    bias = rng.standard_normal(n).astype(dtype)
    case = dtype.__name__, m, n, k, kept
    exact = A.astype(np.longdouble) @ B.astype(np.longdouble)
    size = np.abs(A).astype(np.longdouble) @ np.abs(B).astype(np.longdouble)
    everywhere = {name: product(A, B, bias) for name, product in products.items()}
    for name, got in everywhere.items():
        wanted = exact + bias if name == "E1" else exact
        bound = (k + 2) * np.finfo(dtype).eps * (size + np.abs(bias))
        assert (np.abs(got - wanted) <= bound).all(), (name, case)
    for bad in (np.nan, -np.inf):
        spoilt, column, row = B.copy(), rng.integers(n), rng.integers(k)
        spoilt[row, column] = bad
        others = np.arange(n) != column
        for name, product in products.items():
            got = product(A, spoilt, bias)
            assert np.array_equal(got[:, others], everywhere[name][:, others]), (name, case)
            # 0 times what is not finite is NaN: skipping must not hide it
            wanted = A[:, row] * dtype(bad)
            assert np.array_equal(np.isnan(got[:, column]), np.isnan(wanted)), (name, case)

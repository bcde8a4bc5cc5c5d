"""Products that skip zeros: beside long double, and beside products that do not, to the bit.

A column of B that is not finite sends its whole panel through tiles, which skip nothing; the other
columns of that panel must not change for it.
"""

import pytest

from fastbp.kernels.product import instruction_sets

ZEROS = """
import itertools, os
import numpy as np
from fastbp.kernels import dense_backward, dense_forward, outer_sum
from fastbp.kernels.product import instruction_set
assert instruction_set() == os.environ["FASTBP_ISA"]
np.seterr(invalid="ignore")
rng = np.random.default_rng(3)
# (m, n, k) of C (m, n) = A (m, k) B (k, n): words and blocks of marks, chunks of rows and panels
# that are filled, and that are not
shapes = [(16, 48, 16), (100, 64, 32), (33, 100, 64), (31, 113, 65), (127, 97, 63), (150, 130, 200),
          (129, 515, 193), (300, 60, 40), (48, 200, 700), (40, 60, 600), (64, 40, 700),
          (70, 200, 200)]
for dtype, (m, n, k), kept in itertools.product(
        (np.float32, np.float64), shapes, (0.0, 0.2, 0.5, 0.7, 1.0)):
    A = (rng.standard_normal((m, k)) * (rng.random((m, k)) < kept)).astype(dtype)
    A[m // 2:] *= rng.random((m - m // 2, 1)) < 0.5  # whole rows, as of units that never fire
    B = rng.standard_normal((k, n)).astype(dtype)
    bias = rng.standard_normal(n).astype(dtype)
    case = dtype.__name__, m, n, k, kept
    products = {
        "E8": lambda B: outer_sum(np.ascontiguousarray(A.T), B),
        "E6": lambda B: dense_backward(A, B),
        "E1": lambda B: dense_forward(A, np.ascontiguousarray(B.T), bias),
    }
    exact = A.astype(np.longdouble) @ B.astype(np.longdouble)
    size = np.abs(A).astype(np.longdouble) @ np.abs(B).astype(np.longdouble)
    everywhere = {name: product(B) for name, product in products.items()}
    for name, got in everywhere.items():
        wanted = exact + bias if name == "E1" else exact
        bound = (k + 2) * np.finfo(dtype).eps * (size + np.abs(bias))
        assert (np.abs(got - wanted) <= bound).all(), (name, case)
    for bad in (np.nan, -np.inf):
        spoilt, column, row = B.copy(), rng.integers(n), rng.integers(k)
        spoilt[row, column] = bad
        others = np.arange(n) != column
        for name, product in products.items():
            got = product(spoilt)
            assert np.array_equal(got[:, others], everywhere[name][:, others]), (name, case)
            # 0 times what is not finite is NaN: skipping must not hide it
            wanted = A[:, row] * dtype(bad)
            assert np.array_equal(np.isnan(got[:, column]), np.isnan(wanted)), (name, case)
"""

UNDERFLOW = """
import numpy as np
from fastbp.kernels import dense_backward, dense_forward, outer_sum
# Products that underflow leave -0, to which zeros are added, or not where they are skipped: in a
# block of rows alone, and where the rows after it are full.
rng = np.random.default_rng(0)
for dtype, tiny in ((np.float32, 1e-30), (np.float64, 1e-200)):
    A = np.zeros((256, 64), dtype)
    A[140:] = rng.standard_normal((116, 64))
    A[:, 0] = tiny
    B = np.ones((64, 256), dtype)
    B[0] = -tiny
    for product in dense_backward, lambda A, B: outer_sum(np.ascontiguousarray(A.T), B):
        whole, parts = product(A, B), [product(A[:120].copy(), B), product(A[120:].copy(), B)]
        assert whole.tobytes() == b"".join(part.tobytes() for part in parts), dtype.__name__
        assert not np.signbit(whole[:140]).any()
    # and of E1, whose bias may be -0
    bias, W = np.full(256, -0.0, dtype), np.ascontiguousarray(B.T)
    for rows in 256, 120, 20, 1:
        assert not np.signbit(dense_forward(A[:rows].copy(), W, bias)[:140]).any(), rows
    # nothing is added to the few products of one row, where there is no bias
    for n, k in (6, 3), (4, 1), (5, 20):
        x, few = np.full((1, k), tiny, dtype), np.full((n, k), -tiny, dtype)
        for b in None, np.full(n, -0.0, dtype):
            assert not np.signbit(dense_forward(x, few, b)).any(), (n, k)
"""

RELU_OVER_THREADS = """
import os
import numpy as np, fastbp as bp
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
"""


@pytest.mark.parametrize("isa", instruction_sets())
def test_products_with_zeros_are_the_products(isa, python):
    done = python(ZEROS, FASTBP_ISA=isa)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("isa", instruction_sets())
def test_a_zero_has_one_sign_whether_zeros_are_skipped_or_not(isa, python):
    done = python(UNDERFLOW, FASTBP_ISA=isa)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("isa", instruction_sets())
def test_zeros_are_skipped_to_the_same_bits_on_any_number_of_threads(isa, python):
    done = python(RELU_OVER_THREADS, FASTBP_ISA=isa, FASTBP_NUM_THREADS="5")
    assert done.returncode == 0, done.stderr

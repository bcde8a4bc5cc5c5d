"""A zero has one sign, whether zeros are skipped or not."""

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

"""Products beyond every crossover: blocks of A packed, panels of B packed, W turned."""

import numpy as np

from fastbp.kernels import dense_backward, dense_forward, outer_sum

rng = np.random.default_rng(0)
for dtype, wide in ((np.float32, np.float64), (np.float64, np.longdouble)):
    x, W, delta = (
        rng.standard_normal(shape).astype(dtype) for shape in ((290, 530), (610, 530), (290, 610))
    )
    for got, a, b in (
        (dense_forward(x, W), x, W.T),
        (dense_backward(delta, W), delta, W),
        (outer_sum(delta, x), delta.T, x),
    ):
        bound = a.shape[1] * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b))
        assert (np.abs(got - a.astype(wide) @ b.astype(wide)) <= bound).all(), (dtype, a.shape)

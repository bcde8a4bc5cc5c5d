"""Products around every register width, tile height and depth block."""

import itertools
import os

import numpy as np

from fastbp.kernels import dense_backward, dense_forward, outer_sum
from fastbp.kernels.product import instruction_set

assert instruction_set() == os.environ["FASTBP_ISA"]


def close(got, terms, wanted):
    """Each entry lies within the bound that any order of summation keeps."""
    bound = (len(terms.shape) + terms.shape[0]) * np.finfo(got.dtype).eps * np.abs(terms).sum(0)
    assert got.dtype == dtype, case
    assert got.shape == wanted.shape, case
    assert (np.abs(got - wanted) <= bound).all(), case


rng = np.random.default_rng(0)
sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 33, 47, 48, 49, 65]
shapes = [tuple(rng.choice(sizes, 3)) for _ in range(150)]
shapes += [(1, 3, 255), (2, 5, 256), (3, 4, 257), (257, 6, 9), (50, 257, 3), (1, 1, 513)]
shapes += [(0, 3, 4), (3, 4, 0)]
for dtype, (batch, n_out, n_in) in itertools.product((np.float32, np.float64), shapes):
    case = dtype, batch, n_out, n_in
    x, W, b, delta = (
        rng.standard_normal(shape).astype(dtype)
        for shape in ((batch, n_in), (n_out, n_in), n_out, (batch, n_out))
    )

    wide = np.longdouble
    terms = x.T[:, :, None].astype(wide) * W.T[:, None, :].astype(wide)
    terms = np.concatenate([terms, np.broadcast_to(b.astype(wide), (1, batch, n_out))])
    close(dense_forward(x, W, b), terms, terms.sum(0))
    terms = delta.T[:, :, None].astype(wide) * W[:, None, :].astype(wide)
    close(dense_backward(delta, W), terms, terms.sum(0))
    terms = delta[:, :, None].astype(wide) * x[:, None, :].astype(wide)
    close(outer_sum(delta, x), terms, terms.sum(0))

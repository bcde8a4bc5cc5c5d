"""tanh, the logistic function and softmax of float32 within a unit in the last place.

Against long double, for every exponent with random digits. benchmarks/ulp.py tries all floats.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from fastbp.kernels import sigmoid_forward, tanh_forward
from fastbp.kernels.product import instruction_sets

CODE = """
import sys
import numpy as np
from fastbp import kernels
x = np.load(sys.argv[1])
pairs = np.stack([np.zeros_like(x), np.minimum(x, 0)], axis=1)
h = [kernels.tanh_forward(x), kernels.sigmoid_forward(x), kernels.softmax(pairs)[:, 1].copy()]
for shift in range(1, 40):  # no bit depends on where a number stands
    for f, want in zip((kernels.tanh_forward, kernels.sigmoid_forward), h):
        assert f(x[shift : 3 * shift].copy()).tobytes() == want[shift : 3 * shift].tobytes()
np.save(sys.argv[2], h)
"""


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    exponents = np.repeat(np.arange(255, dtype=np.uint32) << 23, 200)
    x = (exponents | rng.integers(0, 1 << 23, exponents.size, np.uint32)).view(np.float32)
    dense = rng.uniform(0, 120, 50_000).astype(np.float32)
    return np.unique(np.concatenate([x, -x, dense, -dense, np.float32([0, 3e38])]))


def logistic(x):
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


@pytest.mark.parametrize("isa", instruction_sets())
def test_a_unit_in_the_last_place(isa, sample, tmp_path):
    np.save(tmp_path / "x.npy", sample)
    subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "x.npy"), str(tmp_path / "h.npy")],
        env={**os.environ, "FASTBP_ISA": isa},
        check=True,
    )
    assert sample.dtype == np.float32
    x = sample.astype(np.longdouble)
    truths = np.tanh(x), logistic(x), logistic(np.minimum(x, 0))
    for h, truth in zip(np.load(tmp_path / "h.npy"), truths, strict=True):
        # 1 unit is 2^-149 for the denormal numbers: these may be off by 1 of it too
        unit = np.spacing(np.maximum(abs(truth).astype(np.float32), np.finfo(np.float32).tiny))
        unit = np.minimum(unit, np.ldexp(np.longdouble(1), np.frexp(truth)[1] - 24))
        unit = np.maximum(unit, np.finfo(np.float32).smallest_subnormal)
        assert (abs(h - truth) / unit).max() <= 1
        assert (np.diff(h) >= 0).all()  # the sample is in order
        assert np.isfinite(h).all()


def test_zeros_keep_their_sign():

    for dtype in (np.float32, np.float64):
        h = tanh_forward(np.array([-0.0, 0.0], dtype))
        assert np.signbit(h).tolist() == [True, False]


def test_nan_and_infinity_in_every_place(dtype):

    for n in (1, 7, 16, 33):
        for i in range(n):
            a = np.zeros(n, dtype)
            for value, tanh, sigmoid in ((np.nan,) * 3, (np.inf, 1, 1), (-np.inf, -1, 0)):
                a[i] = value
                np.testing.assert_array_equal(tanh_forward(a)[i], tanh)
                np.testing.assert_array_equal(sigmoid_forward(a)[i], sigmoid)
                assert np.isfinite(np.delete(tanh_forward(a), i)).all()

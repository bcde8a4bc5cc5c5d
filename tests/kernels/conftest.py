"""What the kernels' tests share: both float types, arrays of any kind of badness, error bounds."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def _within(got, want, bound):
    """Every entry of `got` lies within `bound` of `want` (both may be wider than `got`)."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    excess = np.abs(got.astype(np.longdouble) - want) - bound
    assert np.all(excess <= 0), f"off by {excess.max()} more than allowed"


@pytest.fixture(scope="session")
def within():
    return _within

"""Leaky ReLU, a layer for fastbp."""

import numpy as np

import fastbp as bp


class LeakyReLU(bp.layers.Elementwise):
    """h = a where a > 0, else slope · a; 0 < slope < 1."""

    needs_x = False  # y has the sign of x, so y alone tells the slope

    def __init__(self, slope=0.01, name=None):
        if not 0 < slope < 1:
            raise bp.ConfigError(f"slope: got {slope!r}; wanted a number between 0 and 1")
        self.slope, self.name = slope, name

    @property
    def derivative(self):  # in letters, for net.explain
        return f"1 where a > 0, else {self.slope}"

    def f(self, x, y):
        np.multiply(x, self.slope, out=y)
        np.maximum(x, y, out=y)

    def df(self, x, y, out):
        out[...] = np.where(y > 0, 1, self.slope)

"""Maxout's time in a network, and what it adds to one. See README.md for the command."""

from fastbp_maxout import Maxout

from fastbp.testing import benchmarks


class MaxoutOf64(benchmarks.LayerBenchmark):
    layer = Maxout(64, pieces=3)

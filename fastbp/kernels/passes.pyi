from typing_extensions import disjoint_base

from fastbp.kernels.chain import Chain

@disjoint_base
class Passes(Chain):
    most_threads: int

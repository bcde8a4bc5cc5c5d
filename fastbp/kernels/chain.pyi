from typing_extensions import disjoint_base

from fastbp.kernels.callbacks import Callbacks

@disjoint_base
class Chain(Callbacks): ...

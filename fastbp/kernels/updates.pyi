from typing_extensions import disjoint_base

from fastbp.kernels.passes import Passes

@disjoint_base
class Updates(Passes): ...

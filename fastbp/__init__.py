"""fastbp: exact gradients and training of dense networks at the speed of the CPU."""

try:
    from fastbp import kernels as kernels
except ModuleNotFoundError as exc:
    if not (exc.name or "").startswith("fastbp.kernels."):
        raise
    raise ImportError(
        "fastbp's compiled part is missing here, most likely because this is its source folder: "
        "run `pip install -e .` in it, or start Python in another folder to use an installed fastbp"
    ) from None

from fastbp import data as data
from fastbp import errors as errors
from fastbp import layers as layers
from fastbp import losses as losses
from fastbp import optimizers as optimizers
from fastbp import plugins as plugins
from fastbp import reference as reference
from fastbp.errors import CheckpointError as CheckpointError
from fastbp.errors import ConfigError as ConfigError
from fastbp.errors import DtypeError as DtypeError
from fastbp.errors import FastbpError as FastbpError
from fastbp.errors import LabelError as LabelError
from fastbp.errors import NonFiniteError as NonFiniteError
from fastbp.errors import OptimizerError as OptimizerError
from fastbp.errors import PluginCallError as PluginCallError
from fastbp.errors import PluginError as PluginError
from fastbp.errors import ShapeError as ShapeError
from fastbp.errors import UnknownNameError as UnknownNameError
from fastbp.explain import Explanation as Explanation
from fastbp.gradients import Gradients as Gradients
from fastbp.layers import Dense as Dense
from fastbp.layers import Layer as Layer
from fastbp.layers import ReLU as ReLU
from fastbp.layers import Sigmoid as Sigmoid
from fastbp.layers import Tanh as Tanh
from fastbp.losses import Loss as Loss
from fastbp.losses import SigmoidCrossEntropy as SigmoidCrossEntropy
from fastbp.losses import SoftmaxCrossEntropy as SoftmaxCrossEntropy
from fastbp.losses import SquaredError as SquaredError
from fastbp.network import Network as Network
from fastbp.network import load as load
from fastbp.network import mlp as mlp
from fastbp.optimizers import SGD as SGD
from fastbp.optimizers import Adam as Adam
from fastbp.optimizers import Optimizer as Optimizer
from fastbp.plugins import get_include as get_include
from fastbp.plugins import layer as layer
from fastbp.plugins import loss as loss
from fastbp.threads.limits import thread_limit as thread_limit
from fastbp.training import History as History

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adam",
    "CheckpointError",
    "ConfigError",
    "Dense",
    "DtypeError",
    "Explanation",
    "FastbpError",
    "Gradients",
    "History",
    "LabelError",
    "Layer",
    "Loss",
    "Network",
    "NonFiniteError",
    "Optimizer",
    "OptimizerError",
    "PluginCallError",
    "PluginError",
    "ReLU",
    "ShapeError",
    "Sigmoid",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "Tanh",
    "UnknownNameError",
    "__version__",
    "data",
    "errors",
    "get_include",
    "kernels",
    "layer",
    "layers",
    "load",
    "loss",
    "losses",
    "mlp",
    "optimizers",
    "plugins",
    "reference",
    "thread_limit",
]


def __dir__() -> list[str]:
    """What ``dir(fastbp)`` and completion list: the public names, not the modules they are from."""
    here = globals()
    return sorted({*__all__, *(name for name in here if name == "testing" or name[:2] == "__")})

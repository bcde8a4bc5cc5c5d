"""Optimizers: frozen values that say how parameters follow a gradient."""

from fastbp.optimizers.adam import Adam as Adam
from fastbp.optimizers.base import Optimizer as Optimizer
from fastbp.optimizers.base import OptimizerState as OptimizerState
from fastbp.optimizers.sgd import SGD as SGD

__all__ = ["SGD", "Adam", "Optimizer", "OptimizerState"]

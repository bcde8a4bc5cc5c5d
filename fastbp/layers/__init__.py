"""Layers: E1 and E6 (Dense), E2 and E7 (the activations)."""

from fastbp.kernels.context import Context as Context
from fastbp.layers.base import Elementwise as Elementwise
from fastbp.layers.base import Layer as Layer
from fastbp.layers.base import LayerSpec as LayerSpec
from fastbp.layers.dense import Dense as Dense
from fastbp.layers.relu import ReLU as ReLU
from fastbp.layers.sigmoid import Sigmoid as Sigmoid
from fastbp.layers.tanh import Tanh as Tanh

__all__ = ["Context", "Dense", "Elementwise", "Layer", "LayerSpec", "ReLU", "Sigmoid", "Tanh"]

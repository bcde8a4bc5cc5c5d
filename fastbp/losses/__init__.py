"""Losses: E3 to E5 (softmax cross-entropy), its sigmoid twin, and E10 (squared error)."""

from fastbp.losses.base import Formulas as Formulas
from fastbp.losses.base import Loss as Loss
from fastbp.losses.sigmoid_cross_entropy import SigmoidCrossEntropy as SigmoidCrossEntropy
from fastbp.losses.softmax_cross_entropy import SoftmaxCrossEntropy as SoftmaxCrossEntropy
from fastbp.losses.squared_error import SquaredError as SquaredError

__all__ = ["Formulas", "Loss", "SigmoidCrossEntropy", "SoftmaxCrossEntropy", "SquaredError"]

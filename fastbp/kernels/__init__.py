"""The lecture's equations as compiled functions on NumPy arrays, each with its checks.

One module per family, forward and backward side by side. The functions here check their arguments
once and then run without the interpreter lock; they copy nothing.
"""

from fastbp.kernels.activations import relu_backward as relu_backward
from fastbp.kernels.activations import relu_forward as relu_forward
from fastbp.kernels.activations import sigmoid_backward as sigmoid_backward
from fastbp.kernels.activations import sigmoid_forward as sigmoid_forward
from fastbp.kernels.activations import tanh_backward as tanh_backward
from fastbp.kernels.activations import tanh_forward as tanh_forward
from fastbp.kernels.blas import axpy as axpy
from fastbp.kernels.blas import gemm as gemm
from fastbp.kernels.blas import gemv as gemv
from fastbp.kernels.blas import ger as ger
from fastbp.kernels.dense import dense_backward as dense_backward
from fastbp.kernels.dense import dense_forward as dense_forward
from fastbp.kernels.outer import bias_sum as bias_sum
from fastbp.kernels.outer import outer_sum as outer_sum
from fastbp.kernels.sigmoid_cross_entropy import sigmoid_cross_entropy as sigmoid_cross_entropy
from fastbp.kernels.softmax_cross_entropy import softmax as softmax
from fastbp.kernels.softmax_cross_entropy import softmax_cross_entropy as softmax_cross_entropy
from fastbp.kernels.squared_error import squared_error as squared_error
from fastbp.kernels.update import adam_update as adam_update
from fastbp.kernels.update import momentum_update as momentum_update
from fastbp.kernels.update import sgd_update as sgd_update

__all__ = [
    "adam_update",
    "axpy",
    "bias_sum",
    "dense_backward",
    "dense_forward",
    "gemm",
    "gemv",
    "ger",
    "momentum_update",
    "outer_sum",
    "relu_backward",
    "relu_forward",
    "sgd_update",
    "sigmoid_backward",
    "sigmoid_cross_entropy",
    "sigmoid_forward",
    "softmax",
    "softmax_cross_entropy",
    "squared_error",
    "tanh_backward",
    "tanh_forward",
]

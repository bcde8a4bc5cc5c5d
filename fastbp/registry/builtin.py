"""The built-in parts by their names, as strings: asking for one costs no look at what is installed.

They stand as entry points in pyproject.toml too; a test proves the two tables equal.
"""

from __future__ import annotations

from fastbp.errors import ConfigError

CONTRACT = 1  # the version of the contract that this fastbp keeps
GROUPS = {"layer": "fastbp.layers", "loss": "fastbp.losses"}
BASES = {"layer": "fastbp.layers.base:Layer", "loss": "fastbp.losses.base:Loss"}
BUILTIN: dict[str, dict[str, str]] = {
    "layer": {
        "dense": "fastbp.layers.dense:Dense",
        "relu": "fastbp.layers.relu:ReLU",
        "sigmoid": "fastbp.layers.sigmoid:Sigmoid",
        "tanh": "fastbp.layers.tanh:Tanh",
    },
    "loss": {
        "sigmoid_cross_entropy": "fastbp.losses.sigmoid_cross_entropy:SigmoidCrossEntropy",
        "softmax_cross_entropy": "fastbp.losses.softmax_cross_entropy:SoftmaxCrossEntropy",
        "squared_error": "fastbp.losses.squared_error:SquaredError",
    },
}

# What other libraries call these, without case and "_"; the last are layers that fastbp has not.
ELSEWHERE: dict[str, dict[str, str]] = {
    "layer": {
        "'dense'": "linear fullyconnected fc affine innerproduct",
        "'relu'": "rectifier rectifiedlinear",
        "'sigmoid'": "logistic expit",
        "'tanh'": "hyperbolictangent",
        "no layer: a Dense alone is linear": "identity none",
        "no layer: loss='softmax_cross_entropy' holds it": "softmax logsoftmax",
    },
    "loss": {
        "'sigmoid_cross_entropy'": "bce bceloss bcewithlogits bcewithlogitsloss binarycrossentropy "
        "binarycrossentropywithlogits multilabelsoftmarginloss logistic",
        "'softmax_cross_entropy'": "crossentropy crossentropyloss categoricalcrossentropy nll "
        "sparsecategoricalcrossentropy nllloss negativeloglikelihood logloss softmax",
        "'squared_error'": "mse mseloss meansquarederror l2loss leastsquares",
    },
}


def builtin(kind: str) -> dict[str, str]:
    """The built-in parts of a kind: name to "module:class"."""
    if not isinstance(kind, str) or kind not in BUILTIN:
        raise ConfigError(f"kind: got {kind!r}; wanted {' or '.join(map(repr, BUILTIN))}")
    return BUILTIN[kind]

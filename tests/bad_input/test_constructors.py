"""Networks, layers, losses and optimizers that make no sense."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import fastbp as bp

WHOLE = "{}: got {}; wanted a whole number >= {}"
WIDTHS = {"zero": 0, "negative": -3, "a float": 2.0, "a bool": True, "text": "3", "None": None}


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_widths(refuses, width):
    n_in, n_out = WHOLE.format("n_in", repr(width), 1), WHOLE.format("n_out", repr(width), 1)
    refuses(None, bp.ConfigError, n_in, lambda: bp.Network(width, [bp.Dense(2)]))
    refuses(None, bp.ConfigError, n_out, lambda: bp.Dense(width))
    refuses(None, bp.ConfigError, n_in, lambda: bp.mlp([width, 4, 2]))
    refuses(None, bp.ConfigError, n_out, lambda: bp.mlp([3, width, 2]))
    refuses(None, bp.ConfigError, n_out, lambda: bp.mlp([3, 4, width]))


def network(layers=None, **keywords):
    return lambda: bp.Network(3, [bp.Dense(2)] if layers is None else layers, **keywords)


NAME = "name: got {}; wanted text without a dot"
NAMES = "name: got two layers named {}; wanted different names"
LIST = "layers: got {}; wanted a list of layers"
SIZES = "sizes: got {}; wanted two widths or more, [n_in, ..., n_out]"
ONE_OUTPUT = (
    "loss: got softmax_cross_entropy on 1 output; wanted 2 or more outputs, or "
    "loss='sigmoid_cross_entropy'"
)
DTYPE = "dtype: got {}; wanted float32 or float64"
RNG = "rng: got {}; wanted None, an int, a SeedSequence or a Generator"
L2 = "l2: got {}; wanted a finite number >= 0"
BAD = {
    "no layers": (
        network([]),
        bp.ConfigError,
        "layers: got an empty list; wanted one layer or more",
    ),
    "None for layers": (lambda: bp.Network(3, None), bp.ConfigError, LIST.format("None")),
    "one layer": (network(bp.Dense(2)), bp.ConfigError, LIST.format("Dense(2)")),
    "a name for layers": (network("relu"), bp.ConfigError, LIST.format("'relu'")),
    "layers by a generator": (
        network(layer for layer in ()),
        bp.ConfigError,
        LIST.format("<generator ...>"),
    ),
    "a class for a layer": (
        network([bp.Dense(2), bp.ReLU]),
        bp.ConfigError,
        "layer: got the class ReLU; pass ReLU(...)",
    ),
    "a number for a layer": (
        network([256]),
        bp.ConfigError,
        "layer: got int 256; wanted a Layer or a name",
    ),
    "a loss for a layer": (
        network([bp.SquaredError()]),
        bp.ConfigError,
        "layer: got SquaredError SquaredError(); wanted a Layer or a name",
    ),
    "an unknown layer": (
        network(["rleu"]),
        bp.UnknownNameError,
        "layer: got 'rleu'; wanted one of dense, relu, sigmoid, tanh; did you mean 'relu'?",
    ),
    "a layer that needs arguments": (
        network(["dense"]),
        bp.ConfigError,
        "layer: got 'dense', which needs arguments (...); pass Dense(...)",
    ),
    "softmax with one output": (network([bp.Dense(1)]), bp.ShapeError, ONE_OUTPUT),
    "softmax with one output, by mlp": (lambda: bp.mlp([3, 4, 1]), bp.ShapeError, ONE_OUTPUT),
    "a class for a loss": (
        network(loss=bp.SquaredError),
        bp.ConfigError,
        "loss: got the class SquaredError; pass SquaredError(...)",
    ),
    "None for a loss": (
        network(loss=None),
        bp.ConfigError,
        "loss: got NoneType None; wanted a Loss or a name",
    ),
    "an unknown loss": (
        network(loss="squared_eror"),
        bp.UnknownNameError,
        "loss: got 'squared_eror'; wanted one of ...; did you mean 'squared_error'?",
    ),
    "a layer's name for a loss": (
        network(loss="relu"),
        bp.UnknownNameError,
        "loss: got 'relu'; wanted one of sigmoid_cross_entropy, ...",
    ),
    "float16": (network(dtype="float16"), bp.DtypeError, DTYPE.format("'float16'")),
    "byte-swapped": (network(dtype=">f8"), bp.DtypeError, DTYPE.format("'>f8'")),
    "int": (network(dtype=int), bp.DtypeError, DTYPE.format("<class 'int'>")),
    "complex": (network(dtype=np.complex64), bp.DtypeError, DTYPE.format("<class ...complex64'>")),
    "no dtype": (network(dtype="single precision"), bp.DtypeError, DTYPE.format("'single ...'")),
    "None for dtype": (network(dtype=None), bp.DtypeError, DTYPE.format("None")),
    "negative seed": (network(rng=-1), bp.ConfigError, WHOLE.format("rng", -1, 0)),
    "a bool for rng": (network(rng=True), bp.DtypeError, RNG.format("True")),
    "a float for rng": (network(rng=1.0), bp.DtypeError, RNG.format("1.0")),
    "text for rng": (network(rng="seed"), bp.DtypeError, RNG.format("'seed'")),
    "a legacy generator": (
        network(rng=np.random.RandomState(0)),
        bp.DtypeError,
        RNG.format("RandomState(...)..."),
    ),
    "negative l2": (network(l2=-0.1), bp.ConfigError, L2.format("-0.1")),
    "nan for l2": (network(l2=np.nan), bp.ConfigError, L2.format("nan")),
    "inf for l2": (network(l2=np.inf), bp.ConfigError, L2.format("inf")),
    "text for l2": (network(l2="0.1"), bp.ConfigError, L2.format("'0.1'")),
    "None for l2": (network(l2=None), bp.ConfigError, L2.format("None")),
    "an array for l2": (network(l2=np.ones(1)), bp.ConfigError, L2.format("array([1.])")),
    "an empty name": (network([bp.Dense(2, name="")]), bp.ConfigError, NAME.format("''")),
    "a name with a dot": (network([bp.Dense(2, name="a.b")]), bp.ConfigError, NAME.format("'a.b'")),
    "a number for a name": (network([bp.Dense(2, name=1)]), bp.ConfigError, NAME.format("1")),
    "one name twice": (
        network([bp.Dense(2, name="a"), bp.ReLU(name="a")]),
        bp.ConfigError,
        NAMES.format("'a'"),
    ),
    "a name that counting gives": (
        network([bp.Dense(2), bp.Dense(2, name="dense1")]),
        bp.ConfigError,
        NAMES.format("'dense1'"),
    ),
    "two widths, as PyTorch's": (
        lambda: bp.Dense(64, 32),
        bp.ConfigError,
        "bias: got 32; wanted True or False; Dense takes its number of outputs alone, as Dense(32)",
    ),
    "an activation, as Keras's": (
        lambda: bp.Dense(64, "relu"),
        bp.ConfigError,
        "bias: got 'relu'; wanted True or False; an activation is a layer of its own",
    ),
    "None for bias": (
        lambda: bp.Dense(2, bias=None),
        bp.ConfigError,
        "bias: got None; wanted True or False",
    ),
    "an unknown init": (
        lambda: bp.Dense(2, init="xavier"),
        bp.ConfigError,
        "init: got 'xavier'; wanted one of auto, he, glorot, lecun, zeros",
    ),
    "one size": (lambda: bp.mlp([3]), bp.ConfigError, SIZES.format("[3]")),
    "no sizes": (lambda: bp.mlp([]), bp.ConfigError, SIZES.format("[]")),
    "a number for sizes": (lambda: bp.mlp(3), bp.ConfigError, SIZES.format("3")),
    "text for sizes": (lambda: bp.mlp("34"), bp.ConfigError, SIZES.format("'34'")),
    "None for activation": (
        lambda: bp.mlp([3, 4, 2], activation=None),
        bp.ConfigError,
        "layer: got NoneType None; wanted a Layer or a name",
    ),
    "a class for activation": (
        lambda: bp.mlp([3, 4, 2], activation=bp.Tanh),
        bp.ConfigError,
        "layer: got the class Tanh; pass Tanh(...)",
    ),
    "an unknown activation": (
        lambda: bp.mlp([3, 4, 2], activation="tahn"),
        bp.UnknownNameError,
        "layer: got 'tahn'; wanted one of ...; did you mean 'tanh'?",
    ),
}


@pytest.mark.parametrize("width", [2**48 + 1, 2**62, 2**63, 10**30])
def test_a_width_beyond_any_memory(refuses, width):
    """Of a layer without parameters, of which there would be too many else."""
    message = f"layers: got a width of {width}; wanted <= {2**48}"
    refuses(None, bp.ConfigError, message, lambda: bp.Network(width, [bp.ReLU()]))


@pytest.mark.parametrize(("function", "error", "message"), BAD.values(), ids=BAD)
def test_networks(refuses, function, error, message):
    refuses(None, error, message, function)


def test_the_callers_generator_is_not_drawn_from(refuses):
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    refuses(None, bp.ShapeError, ONE_OUTPUT, lambda: bp.mlp([3, 1], rng=rng))
    refuses(None, bp.ConfigError, L2.format("-1"), lambda: bp.mlp([3, 2], rng=rng, l2=-1))
    assert rng.bit_generator.state == before


OPEN, CLOSED, PART = "> 0", ">= 0", ">= 0 and < 1"
RANGES = {
    "SGD lr": (lambda lr: bp.SGD(lr), "lr", OPEN),
    "SGD momentum": (lambda value: bp.SGD(0.1, momentum=value), "momentum", PART),
    "SGD decay": (lambda value: bp.SGD(0.1, weight_decay=value), "weight_decay", CLOSED),
    "Adam lr": (lambda lr: bp.Adam(lr), "lr", OPEN),
    "Adam beta1": (lambda value: bp.Adam(beta1=value), "beta1", PART),
    "Adam beta2": (lambda value: bp.Adam(beta2=value), "beta2", PART),
    "Adam eps": (lambda value: bp.Adam(eps=value), "eps", OPEN),
    "Adam decay": (lambda value: bp.Adam(weight_decay=value), "weight_decay", CLOSED),
}
NEVER = [
    -1,
    -1e-300,
    np.nan,
    np.inf,
    -np.inf,
    "0.1",
    None,
    True,
    1j,
    10**400,
    Decimal("0.1"),
    [0.1],
]


@pytest.mark.parametrize("value", NEVER, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize(("function", "name", "wanted"), RANGES.values(), ids=RANGES)
def test_numbers_of_optimizers(refuses, function, name, wanted, value):
    message = f"{name}: got {value!r}; wanted a finite number {wanted}"
    refuses(None, bp.ConfigError, message, lambda: function(value))


@pytest.mark.parametrize("nothing", [0, 0.0, Fraction(1, 10**400)], ids=["0", "0.0", "to 0"])
@pytest.mark.parametrize(("function", "name", "wanted"), RANGES.values(), ids=RANGES)
def test_zero(refuses, function, name, wanted, nothing):
    if wanted == OPEN:
        message = f"{name}: got {nothing!r}; wanted a finite number > 0"
        refuses(None, bp.ConfigError, message, lambda: function(nothing))
    else:
        assert getattr(function(nothing), name) == 0


def test_one_is_no_momentum(refuses):
    for name in ("SGD momentum", "Adam beta1", "Adam beta2"):
        function, argument, wanted = RANGES[name]
        message = f"{argument}: got 1.0; wanted a finite number {wanted}"
        refuses(None, bp.ConfigError, message, lambda function=function: function(1.0))


def test_nesterov_needs_momentum(refuses):
    message = "nesterov: got True with momentum 0; wanted momentum > 0"
    refuses(None, bp.ConfigError, message, lambda: bp.SGD(0.1, nesterov=True))
    message = "nesterov: got 1; wanted True or False"
    refuses(None, bp.ConfigError, message, lambda: bp.SGD(0.1, momentum=0.5, nesterov=1))


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.int64(1), Fraction(1, 2)])
def test_any_real_number_is_kept_as_a_float(number):
    lr = bp.SGD(number).lr
    assert type(lr) is float
    assert lr == number

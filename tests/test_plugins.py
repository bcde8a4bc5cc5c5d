"""From a name to a part: the table of built-in names, and what is said of unknown ones."""

import re
import subprocess
import sys

import pytest

import fastbp as bp
from fastbp import plugins, registry
from fastbp.registry import builtin

LAYERS = {"dense": bp.Dense, "relu": bp.ReLU, "sigmoid": bp.Sigmoid, "tanh": bp.Tanh}
LOSSES = {
    "sigmoid_cross_entropy": bp.SigmoidCrossEntropy,
    "softmax_cross_entropy": bp.SoftmaxCrossEntropy,
    "squared_error": bp.SquaredError,
}
BY_KIND = {"layer": LAYERS, "loss": LOSSES}
BASE = {"layer": bp.Layer, "loss": bp.Loss}


@pytest.fixture(autouse=True)
def _built_in_parts_alone(monkeypatch):
    """Whatever plugins are installed here, these tests are of the names that fastbp brings."""
    monkeypatch.setenv("FASTBP_DISABLE_PLUGINS", "all")


@pytest.mark.parametrize("kind", BY_KIND)
def test_available_is_the_sorted_table(kind):
    assert plugins.available(kind) == sorted(BY_KIND[kind])
    assert plugins.available(kind) is not plugins.available(kind)  # nobody's list but the caller's


def test_names_are_well_formed():
    for table in registry.BUILTIN.values():
        for name in table:
            assert re.fullmatch(r"[a-z][a-z0-9_]*", name)


@pytest.mark.parametrize("kind", BY_KIND)
def test_get_returns_the_class_and_name_of_the_name(kind):
    for name, cls in BY_KIND[kind].items():
        assert plugins.get(kind, name) is cls
        assert issubclass(cls, BASE[kind])
        part = cls(3) if cls is bp.Dense else cls()
        assert registry.name_of(part) == name


def test_each_built_in_part_stands_in_a_file_of_its_own_name():
    for table in registry.BUILTIN.values():
        for name, value in table.items():
            assert value.partition(":")[0].rpartition(".")[2] == name


def test_name_of_a_subclass_is_not_that_of_its_base():
    class ReLU(bp.ReLU):
        pass

    assert registry.name_of(ReLU()) is None


@pytest.mark.parametrize(
    ("kind", "name", "close"),
    [
        ("layer", "rleu", "relu"),
        ("layer", "tanhh", "tanh"),
        ("layer", "sigmoyd", "sigmoid"),
        ("loss", "softmax_crossentropy", "softmax_cross_entropy"),
        ("loss", "square_error", "squared_error"),
    ],
)
def test_unknown_name_gets_its_close_match(kind, name, close):
    with pytest.raises(bp.UnknownNameError) as caught:
        plugins.get(kind, name)
    message = str(caught.value)
    assert message.startswith(f"{kind}: got {name!r}; wanted one of ")
    assert f"did you mean {close!r}?" in message
    for known in BY_KIND[kind]:
        assert known in message


@pytest.mark.parametrize(
    ("kind", "name", "ours"),
    [
        ("loss", "binary_cross_entropy", "'sigmoid_cross_entropy'"),
        ("loss", "binary_crossentropy", "'sigmoid_cross_entropy'"),
        ("loss", "BCEWithLogitsLoss", "'sigmoid_cross_entropy'"),
        ("loss", "bce", "'sigmoid_cross_entropy'"),
        ("loss", "logistic", "'sigmoid_cross_entropy'"),
        ("loss", "cross_entropy", "'softmax_cross_entropy'"),
        ("loss", "CrossEntropyLoss", "'softmax_cross_entropy'"),
        ("loss", "categorical_crossentropy", "'softmax_cross_entropy'"),
        ("loss", "sparse_categorical_crossentropy", "'softmax_cross_entropy'"),
        ("loss", "nll", "'softmax_cross_entropy'"),
        ("loss", "log_loss", "'softmax_cross_entropy'"),
        ("loss", "mse", "'squared_error'"),
        ("loss", "MSELoss", "'squared_error'"),
        ("loss", "mean_squared_error", "'squared_error'"),
        ("layer", "logistic", "'sigmoid'"),
        ("layer", "Linear", "'dense', and no layer where an activation is wanted"),
        ("layer", "identity", "no layer: a Dense alone is linear"),
        ("layer", "softmax", "no layer: loss='softmax_cross_entropy' holds it"),
    ],
)
def test_names_of_other_libraries(kind, name, ours):
    with pytest.raises(bp.UnknownNameError) as caught:
        plugins.get(kind, name)
    message = str(caught.value)
    assert message.startswith(f"{kind}: got {name!r}; wanted one of ")
    assert message.endswith(f"; here that is {ours}")
    assert "did you mean" not in message
    assert ours.split(",")[0].strip("'") in plugins.available(kind) or ours.startswith("no layer")


def test_no_name_of_another_library_hides_a_part_or_stands_twice():
    for kind, table in builtin.ELSEWHERE.items():
        words = [word for line in table.values() for word in line.split()]
        assert len(words) == len({*words})
        assert not {*words} & {name.replace("_", "") for name in plugins.available(kind)}


@pytest.mark.parametrize("name", ["", "conv2d", "RELU ", 3, None, ["relu"]])
def test_unknown_name_without_a_close_match_lists_all(name):
    with pytest.raises(bp.UnknownNameError, match="wanted one of dense, relu, sigmoid, tanh"):
        plugins.get("layer", name)


def test_unknown_names_are_lookup_and_value_errors():
    for kind in (LookupError, ValueError, bp.FastbpError):
        with pytest.raises(kind):
            plugins.get("loss", "hinge")


@pytest.mark.parametrize("kind", ["optimizer", "layers", "", None, 1, ["layer"]])
def test_unknown_kind(kind):
    with pytest.raises(bp.ConfigError, match=r"kind: got .*; wanted 'layer' or 'loss'"):
        plugins.available(kind)
    with pytest.raises(bp.ConfigError, match=r"kind: got .*; wanted 'layer' or 'loss'"):
        plugins.get(kind, "relu")


def test_resolve_takes_instances_as_they_are_and_names_without_arguments():
    part = bp.Tanh()
    assert registry.resolve("layer", part, bp.Layer) is part
    assert registry.resolve("layer", "tanh", bp.Layer) == bp.Tanh()
    assert registry.resolve("loss", "squared_error", bp.Loss) == bp.SquaredError()


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (bp.ReLU, r"got the class ReLU; pass ReLU\(...\)"),
        ("dense", r"got 'dense', which needs arguments .*; pass Dense\(...\)"),
        (bp.SquaredError(), r"got SquaredError SquaredError\(\); wanted a Layer or a name"),
        (64, "got int 64; wanted a Layer or a name"),
        (None, "got NoneType None; wanted a Layer or a name"),
        (int, "got type <class 'int'>; wanted a Layer or a name"),
    ],
)
def test_resolve_refuses_the_rest(part, words):
    with pytest.raises(bp.ConfigError, match=f"^layer: {words}"):
        registry.resolve("layer", part, bp.Layer)


def test_names_work_wherever_a_network_takes_parts():
    net = bp.Network(2, [bp.Dense(3), "relu", bp.Dense(1)], loss="squared_error")
    assert net.layers[1] == bp.ReLU()
    assert net.loss_function == bp.SquaredError()
    assert bp.mlp([2, 3, 2], activation="sigmoid").layers[1] == bp.Sigmoid()
    with pytest.raises(bp.UnknownNameError, match=r"^layer: got 'rleu'.*did you mean 'relu'"):
        bp.Network(2, ["rleu"])
    with pytest.raises(bp.UnknownNameError, match=r"^loss: got 'squared'.*"):
        bp.mlp([2, 1], loss="squared")
    with pytest.raises(bp.ConfigError, match=r"^layer: got the class Tanh"):
        bp.mlp([2, 3, 2], activation=bp.Tanh)


def test_built_in_names_cost_no_look_at_what_is_installed():
    code = (
        "import importlib.metadata as m\n"
        "m.entry_points = m.distributions = None  # calling either would fail\n"
        "import fastbp as bp\n"
        "bp.plugins.get('loss', 'squared_error'), bp.layer('dense', n_out=3)\n"
        "repr(bp.mlp([2, 3, 2], activation='tanh').params)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

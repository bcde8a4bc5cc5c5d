"""A part (layer, loss, optimizer) is immutable configuration."""

import copy
import json
import pickle

import numpy as np
import pytest

import fastbp as bp
from fastbp.registry.part import Part

PARTS = [
    bp.Dense(3),
    bp.Dense(3, bias=False, init="he", name="enc"),
    bp.ReLU(),
    bp.Tanh(name="squash"),
    bp.Sigmoid(),
    bp.SoftmaxCrossEntropy(),
    bp.SigmoidCrossEntropy(),
    bp.SquaredError(),
    bp.SGD(0.1),
    bp.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
    bp.Adam(),
    bp.Adam(0.01, beta1=0.5, beta2=0.9, eps=1e-6, weight_decay=0.1),
]
each_part = pytest.mark.parametrize("part", PARTS, ids=repr)


class Scaled(bp.layers.Elementwise):
    """Somebody's own part, with a constructor over a constructor."""

    def __init__(self, factor=1.0, name=None):
        super().__init__(name)
        self.factor = factor


class Twice(Scaled):
    def __init__(self, name=None):
        super().__init__(2.0, name)
        self.checked = True  # still inside a constructor, three deep


@each_part
def test_config_makes_an_equal_part_and_is_json(part):
    config = part.config()
    again = type(part)(**json.loads(json.dumps(config)))
    assert again == part
    assert again.config() == config


@each_part
def test_repr_is_the_call_that_makes_it(part):
    names = {name: getattr(bp, name) for name in bp.__all__}
    assert eval(repr(part), names) == part


def test_repr_leaves_defaults_out():
    assert repr(bp.Dense(3)) == "Dense(3)"
    assert repr(bp.Dense(3, bias=False, name="enc")) == "Dense(3, bias=False, name='enc')"
    assert repr(bp.SGD(0.5, momentum=0.9)) == "SGD(0.5, momentum=0.9)"
    assert repr(bp.Adam(0.001)) == "Adam()"
    assert repr(Scaled(3, name="s")) == "Scaled(factor=3, name='s')"


@each_part
@pytest.mark.parametrize(
    "through", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))]
)
def test_copies_and_pickles_are_equal_and_as_immutable(part, through):
    twin = through(part)
    assert type(twin) is type(part)
    assert twin == part
    assert hash(twin) == hash(part)
    with pytest.raises(AttributeError, match="does not change"):
        twin.name = "other"


@each_part
def test_no_attribute_can_be_set_or_added(part):
    before = dict(vars(part))
    kind = type(part).__name__
    for name in [*part.config(), "anything"]:
        with pytest.raises(AttributeError, match=rf"{kind}\.{name}: a {kind} does not change"):
            setattr(part, name, 1)
    assert vars(part) == before


def test_no_attribute_can_be_deleted():
    part = bp.Dense(3)
    with pytest.raises(AttributeError, match="a Dense does not change"):
        del part.n_out
    assert part.n_out == 3


def test_equality_is_of_class_and_configuration():
    for i, one in enumerate(PARTS):
        for j, other in enumerate(PARTS):
            assert (one == other) == (i == j)
    assert bp.Dense(3) != 3
    assert bp.Dense(3) == bp.Dense(3, True, "auto", None)
    assert Scaled(2.0) != Twice()  # same numbers, another class


def test_equal_parts_have_equal_hashes():
    assert len({bp.Dense(3), bp.Dense(3), bp.ReLU(), bp.ReLU(), bp.SGD(1), bp.SGD(1.0)}) == 3
    assert Scaled(2) == Scaled(2.0)
    assert hash(Scaled(2)) == hash(Scaled(2.0))


def test_a_part_is_sealed_after_its_whole_constructor():
    part = Twice()
    assert (part.factor, part.checked) == (2.0, True)
    assert part.config() == {"name": None}  # Twice's own arguments, not those of its base
    with pytest.raises(AttributeError, match=r"Twice\.factor: a Twice does not change"):
        part.factor = 3.0


def test_a_constructor_that_fails_leaves_nothing():
    with pytest.raises(bp.ConfigError):
        bp.Dense(0)
    with pytest.raises(TypeError):
        bp.Dense(units=3)


def test_everything_that_goes_into_a_network_is_a_part():
    for base in (bp.Layer, bp.Loss, bp.Optimizer):
        assert issubclass(base, Part)


class Holds(bp.layers.Elementwise):
    """Somebody's own part, with an argument of any kind."""

    def __init__(self, what=None, name=None):
        super().__init__(name)
        self.what = what


class HoldsByDefault(Holds):
    def __init__(self, what=np.array([1.0, 2.0]), name=None):  # noqa: B008  # never written into
        super().__init__(what, name)


def test_a_part_with_an_array_has_a_repr():
    table = np.array([1.0, 2.0])
    assert repr(Holds(table)) == "Holds(what=array([1., 2.]))"
    assert repr(Holds([table, None])) == "Holds(what=[array([1., 2.]), None])"
    assert repr(HoldsByDefault()) == "HoldsByDefault()"
    assert repr(HoldsByDefault(table)) == "HoldsByDefault()"
    assert repr(HoldsByDefault(None)) == "HoldsByDefault(what=None)"
    assert repr(HoldsByDefault(np.array([1.0, 3.0]))) == "HoldsByDefault(what=array([1., 3.]))"
    net = bp.Network(2, [bp.Dense(2), Holds(table)], loss="squared_error")
    assert "Holds(what=array([1., 2.]))" in repr(net)


class Never:
    """Equal to nothing, so only as one and the same object."""

    def __eq__(self, other):
        return False

    __hash__ = None


@pytest.mark.parametrize(
    "make",
    [
        lambda: float("nan"),
        lambda: np.float32("nan"),
        lambda: [float("nan"), 1],
        lambda: {"a": (float("nan"),)},
        lambda: np.array([1.0, np.nan]),
        lambda: np.array([float("nan"), None, "a"], dtype=object),
        lambda: np.array(["a", "b"]),
        lambda: np.array([complex("nan"), 1j]),
    ],
)
def test_nan_is_equal_to_nan(make):
    assert Holds(make()) == Holds(make())
    for other in (
        1.0,
        None,
        [1.0, 1],
        np.array([1.0, 2.0]),
        np.array([1.0, np.nan, 3.0]),
        [[1], 2],
        {},
    ):
        assert Holds(make()) != Holds(other)
        assert Holds(other) != Holds(make())


def test_one_object_is_equal_to_itself():
    never = Never()
    assert Holds(never) == Holds(never)
    assert Holds([never]) == Holds([never])
    assert Holds(never) != Holds(Never())


def test_an_optimizer_with_a_nan_goes_on_with_its_own_state():
    class Limited(bp.SGD):
        def __init__(self, lr, limit=None):
            super().__init__(lr)
            self.limit = limit

    X, y = np.eye(3), np.array([0, 1, 1])
    net = bp.mlp([3, 2], rng=0)
    for _ in range(3):
        net.step(X, y, Limited(0.1, float("nan")))
    assert net.optimizer_state.steps == 3
    with pytest.raises(bp.OptimizerError, match="trained by"):
        net.step(X, y, Limited(0.1, 1.0))

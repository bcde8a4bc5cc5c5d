"""Where everything of a network lives: widths, names, places in the flat vector."""

import numpy as np
import pytest

import fastbp as bp
from fastbp.layers import LayerSpec
from fastbp.layout import Layout, Named

F32 = np.dtype(np.float32)


class Layer_Norm(bp.Layer):
    """Unregistered: named after its class, in small letters and without underscores."""

    def build(self, n_in, dtype):
        return LayerSpec(
            n_out=n_in,
            params={"gamma": (n_in,), "beta": (n_in,)},
            buffers={"mean": (n_in,), "count": ()},
            saved={"rstd": ()},
        )


@pytest.fixture
def layout():
    return Layout(
        5, [bp.Dense(4), Layer_Norm(), bp.ReLU(), bp.Dense(3, bias=False), bp.Dense(2)], F32
    )


def test_widths(layout):
    assert layout.widths == (5, 4, 4, 4, 3, 2)
    assert (layout.n_in, layout.n_out) == (5, 2)
    assert layout.affine == (0, 3, 4)


def test_slots_follow_each_other_in_the_layers_order(layout):
    assert {name: slot.shape for name, slot in layout.slots.items()} == {
        "dense1.W": (4, 5), "dense1.b": (4,), "layernorm1.gamma": (4,), "layernorm1.beta": (4,),
        "dense2.W": (3, 4), "dense3.W": (2, 3), "dense3.b": (2,),
    }  # fmt: skip
    end = 0
    for slot in layout.slots.values():
        assert slot.start == end
        assert slot.stop - slot.start == np.prod(slot.shape)
        end = slot.stop
    assert layout.size == end == 20 + 4 + 8 + 12 + 6 + 2
    assert [slot.layer for slot in layout.slots.values()] == [0, 0, 1, 1, 3, 4, 4]


def test_views_are_all_of_flat_and_nothing_twice(layout):
    flat = np.zeros(layout.size, np.float32)
    for views in layout.views(flat):
        for view in views.values():
            assert view.base is flat
            assert view.flags.c_contiguous
            view += 1
    np.testing.assert_array_equal(flat, 1)


def test_weights_are_what_l2_acts_on(layout):
    flat = np.zeros(layout.size)
    for W in layout.weights(flat):
        W += 1
    views = layout.views(flat)
    assert [(i, key) for i, view in enumerate(views) for key, a in view.items() if a.all()] == [
        (0, "W"), (3, "W"), (4, "W")
    ]  # fmt: skip
    assert flat.sum() == 20 + 12 + 6


def test_buffers_are_new_and_zero_each_time(layout):
    one, other = layout.buffers(), layout.buffers()
    assert [{key: array.shape for key, array in buffers.items()} for buffers in one] == [
        {}, {"mean": (4,), "count": ()}, {}, {}, {}
    ]  # fmt: skip
    one[1]["mean"] += 1
    assert not other[1]["mean"].any()
    assert other[1]["mean"].dtype == F32


def test_names_count_from_1_per_kind():
    layers = [bp.Dense(2), bp.ReLU(), bp.Dense(2), bp.Tanh(), bp.ReLU(), Layer_Norm()]
    assert Layout(2, layers, F32).names == (
        "dense1", "relu1", "dense2", "tanh1", "relu2", "layernorm1"
    )  # fmt: skip


def test_a_given_name_does_not_count():
    layers = [bp.Dense(2), bp.Dense(2, name="enc"), bp.Dense(2), bp.ReLU(name="gate")]
    assert Layout(2, layers, F32).names == ("dense1", "enc", "dense2", "gate")


@pytest.mark.parametrize(
    "layers",
    [
        [bp.Dense(2, name="enc"), bp.Dense(2, name="enc")],
        [bp.Dense(2, name="enc"), bp.ReLU(name="enc")],
        [bp.Dense(2), bp.Dense(2, name="dense1")],
    ],
)
def test_names_are_different(layers):
    with pytest.raises(bp.ConfigError, match=r"name: got two layers named '(enc|dense1)'"):
        Layout(2, layers, F32)


@pytest.mark.parametrize("name", ["", "a.b", ".", 3, ("a",)])
def test_bad_names(name):
    with pytest.raises(bp.ConfigError, match=r"name: got .*; wanted text without a dot"):
        Layout(2, [bp.Dense(2, name=name)], F32)


@pytest.mark.parametrize("layers", [bp.Dense(2), "relu", None, 3, iter([bp.Dense(2)]), {}])
def test_layers_are_a_list(layers):
    with pytest.raises(bp.ConfigError, match=r"layers: got .*; wanted a list of layers"):
        Layout(2, layers, F32)


def test_no_layers_are_no_network():
    with pytest.raises(bp.ConfigError, match="layers: got an empty list; wanted one layer or more"):
        Layout(2, [], F32)


@pytest.mark.parametrize("n_in", [0, -1, 2.0, True, "2", None])
def test_n_in_is_a_positive_whole_number(n_in):
    with pytest.raises(bp.ConfigError, match=r"n_in: got .*; wanted a whole number >= 1"):
        Layout(n_in, [bp.Dense(2)], F32)


def test_one_layer_object_may_stand_in_many_places():
    dense = bp.Dense(3)
    layout = Layout(3, (dense, dense), F32)  # a tuple will do
    assert layout.names == ("dense1", "dense2")
    assert layout.size == 2 * 12


def test_a_network_without_parameters():
    layout = Layout(3, ["relu"], F32)
    assert layout.slots == {}
    assert (layout.size, layout.n_out, layout.affine) == (0, 3, ())


# Arrays by name


@pytest.fixture
def named():
    return Named("net", {"W": np.zeros((2, 3)), "b": np.zeros(3, np.float32)})


def test_named_is_a_mapping(named):
    assert list(named) == ["W", "b"]
    assert len(named) == 2
    assert "W" in named
    assert "c" not in named
    assert named.get("c") is None
    assert named["W"].shape == (2, 3)
    assert {**named}["b"] is named["b"]
    assert repr(named) == "{'W': (2, 3), 'b': (3,)}"


def test_assignment_writes_into_the_array(named):
    W = named["W"]
    named["W"] = [[1, 2, 3], [4, 5, 6]]
    assert named["W"] is W
    named["W"] -= 1
    named["W"][0, 0] = 7
    assert named["W"] is W
    np.testing.assert_array_equal(W, [[7, 1, 2], [3, 4, 5]])
    named["b"] = np.array([1.0, 2.0, 3.0])
    assert named["b"].dtype == np.float32


def test_what_does_not_fit_is_refused_and_nothing_written(named):
    with pytest.raises(bp.ShapeError, match=r"W: got shape \(3,\); wanted \(2, 3\)"):
        named["W"] = [1, 2, 3]  # never broadcast
    with pytest.raises(bp.ShapeError, match=r"W: got shape \(\); wanted \(2, 3\)"):
        named["W"] = 1.0
    with pytest.raises(bp.DtypeError, match="b: got dtype complex128; wanted real numbers"):
        named["b"] = np.ones(3, complex)
    with pytest.raises(bp.NonFiniteError, match=r"b: got 1e.300 at row 1, which overflows float32"):
        named["b"] = [0.0, 1e300, 0.0]
    with pytest.raises(bp.UnknownNameError, match="got 'c'; wanted one of W, b"):
        named["c"] = np.zeros(3)
    with pytest.raises(bp.UnknownNameError, match="got 'c'; wanted one of W, b"):
        named["c"]
    assert not named["W"].any()
    assert not named["b"].any()


def test_nothing_can_be_removed(named):
    with pytest.raises((TypeError, AttributeError)):
        del named["W"]
    assert len(named) == 2
    assert not hasattr(named, "pop")


def test_unhashable_names(named):
    with pytest.raises(bp.UnknownNameError, match="wanted one of W, b"):
        named[["W"]]
    with pytest.raises(bp.UnknownNameError, match="wanted one of W, b"):
        named[["W"]] = np.zeros((2, 3))

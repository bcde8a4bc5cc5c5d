"""Arrays on cache lines: the arena itself, and what networks keep."""

import pickle

import numpy as np
import pytest

import fastbp as bp
from fastbp.memory import LINE, arena, zeros


def on_a_line(array):
    return array.ctypes.data % LINE == 0


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_arrays_of_an_arena_are_apart_and_on_lines(dtype):
    shapes = [(3,), (), (2, 5), (0, 7), (65, 1, 2)]
    arrays = arena(shapes, np.dtype(dtype))
    assert [array.shape for array in arrays] == shapes
    for number, array in enumerate(arrays):
        assert array.dtype == dtype
        assert array.flags.carray
        assert array.size == 0 or on_a_line(array)
        array[...] = number
    assert all((array == number).all() for number, array in enumerate(arrays))


def test_zeros():
    vector = zeros(1000, np.dtype(np.float32))
    assert on_a_line(vector)
    assert vector.shape == (1000,)
    assert not vector.any()


@pytest.mark.parametrize("change", ["none", "pickle", "copy", "load"])
def test_parameters_and_the_optimizers_memory_are_on_lines(change, tmp_path):
    net = bp.mlp([7, 5, 3], rng=0)
    if change == "pickle":
        net = pickle.loads(pickle.dumps(net))
    elif change == "copy":
        net = net.copy()
    elif change == "load":
        net.save(tmp_path / "net.npz")
        net = bp.load(tmp_path / "net.npz")
    net.step(np.ones((2, 7)), [0, 1], bp.Adam(0.1))
    assert on_a_line(net.flat)
    assert all(on_a_line(array) for array in net.optimizer_state.arrays.values())

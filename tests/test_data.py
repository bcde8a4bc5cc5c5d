"""The bundled digits and the split that holds out a quarter."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastbp as bp


def test_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    X, y = bp.data.digits()
    np.testing.assert_array_equal(X * 16, theirs.data)
    np.testing.assert_array_equal(y, theirs.target)


def test_digits_have_the_promised_form():
    X, y = bp.data.digits()
    assert X.dtype == np.float32
    assert X.shape == (1797, 64)
    assert X.flags.c_contiguous
    assert (X.min(), X.max()) == (0, 1)
    assert y.dtype == np.int64
    assert y.shape == (1797,)
    assert set(y) == set(range(10))


def test_each_call_returns_arrays_of_its_own():
    X, y = bp.data.digits()
    X[:], y[:] = 7, 7
    X, y = bp.data.digits()
    assert X.max() == 1
    assert len(set(y)) == 10


def test_the_file_is_small_and_attributed():
    folder = Path(bp.data.__file__).parent
    assert (folder / "digits.npz").stat().st_size < 100_000
    attribution = (folder / "ATTRIBUTION.txt").read_text(encoding="utf-8")
    for words in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0"):
        assert words in attribution


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(0, 3))
def test_split_takes_a_quarter_of_each_class(labels, seed):
    y = np.array(labels)
    train, held_out = bp.data.split(y, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), np.arange(len(y)))
    assert len(held_out) == -(-len(y) // 4)
    for c in np.unique(y):
        assert abs((y[held_out] == c).sum() - (y == c).sum() / 4) < 1


def test_split_is_the_same_on_every_machine():
    _, held_out = bp.data.split(np.arange(20) % 3)
    assert held_out.tolist() == [0, 2, 7, 18, 19]
    _, held_out = bp.data.split(bp.data.digits()[1])
    assert held_out[:5].tolist() == [7, 10, 11, 14, 20]
    assert (len(held_out), int(held_out.sum())) == (450, 396175)


def test_another_seed_gives_another_split():
    y = bp.data.digits()[1]
    assert not np.array_equal(bp.data.split(y, 0)[1], bp.data.split(y, 1)[1])


def test_values_are_split_by_row_number_alone():
    _, of_floats = bp.data.split(np.linspace(0, 1, 20))
    _, of_rows = bp.data.split(np.zeros((20, 3)))
    np.testing.assert_array_equal(of_floats, of_rows)
    assert len(of_floats) == 5


@pytest.mark.parametrize("y", [[], [1], 3])
def test_too_few_rows_to_split(y):
    with pytest.raises(bp.ShapeError, match="at least 2 rows"):
        bp.data.split(y)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, None, "1"])
def test_a_seed_that_is_none(seed):
    with pytest.raises(bp.ConfigError, match=r"seed: got .*; wanted a whole number >= 0"):
        bp.data.split([0, 1, 1], seed)


@pytest.mark.parametrize("y", [[0, 1], np.array([0, 1]), np.eye(2), np.array(3)])
def test_y_in_the_place_of_the_seed(y):
    """As in scikit-learn's train_test_split(X, y), which returns rows and not their numbers."""
    with pytest.raises(bp.ConfigError, match=r"seed: got .*train, held_out = split\(y\)"):
        bp.data.split(np.eye(2), y)


def test_rows_of_different_lengths_cannot_be_split():
    with pytest.raises(bp.ShapeError, match="y: got list"):
        bp.data.split([[1, 2], [3], [4]])


def test_text_and_frames_are_split_by_row_number():
    pandas = pytest.importorskip("pandas")
    want = bp.data.split(np.zeros(3))
    for y in (["a", "b", "a"], pandas.Series(["a", "b", "a"]), pandas.DataFrame(np.eye(3))):
        for got, rows in zip(bp.data.split(y), want, strict=True):
            np.testing.assert_array_equal(got, rows)


def test_two_rows_are_split_into_one_and_one():
    assert [len(part) for part in bp.data.split([0, 0])] == [1, 1]

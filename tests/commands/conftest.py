"""What the tests of the commands share: the command in this process, its complaints, some data."""

import numpy as np
import pytest

import fastbp as bp
from fastbp.cli import main


@pytest.fixture
def run(capsys):
    """Run the command: (exit code, stdout, stderr)."""

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def complains(run):
    """Run the command, and check its exit code and the words of its one line of complaint."""

    def call(code, words, *arguments, out=""):
        got, said, err = run(*arguments)
        assert got == code, err
        assert out is None or said == out
        assert err.startswith("fastbp: error: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        for word in words:
            assert word in err

    return call


@pytest.fixture
def save(tmp_path):
    """Write arrays into an .npz file and return its path."""

    def write(name, **arrays):
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return write


@pytest.fixture
def classes(save):
    """60 rows of three well separated classes."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 20)
    return save("classes.npz", X=rng.normal(size=(60, 4)) + 3 * y[:, None], y=y)


@pytest.fixture
def values(save):
    """80 rows and a linear function of them."""
    X = np.random.default_rng(0).normal(size=(80, 3))
    return save("values.npz", X=X, y=X @ [1.0, -2.0, 0.5])


@pytest.fixture
def model(tmp_path):
    """A network that takes the rows of `classes`."""
    path = tmp_path / "model.npz"
    bp.mlp([4, 3], rng=0).save(path)
    return path

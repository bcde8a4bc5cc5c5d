"""Memory, file handles or the disk give up: told as what it is, and not as a fault of the file."""

from __future__ import annotations

import contextlib
import errno
import os
import resource

import numpy as np
import pytest

import fastbp as bp
from fastbp import archive
from fastbp.commands import files


@pytest.fixture
def path(net, tmp_path):
    """The network's file; the network has changed since."""
    path = tmp_path / "net.npz"
    net.save(path)
    net.flat[:] = net.flat + 1
    return path


@contextlib.contextmanager
def no_handles():
    """Nothing can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_handle_to_load(path, refuses):
    def load():
        with no_handles():
            bp.load(path)

    message = f"{path}: could not be read (Too many open files)"
    error = refuses(None, bp.CheckpointError, message, load)
    assert (error.errno, error.filename) == (errno.EMFILE, str(path))
    bp.load(path)


def test_no_handle_to_save(net, path, refuses):
    def save():
        with no_handles():
            net.save(path)

    message = f"{path}: could not be saved (Too many open files); the old file is as before"
    error = refuses(net, bp.CheckpointError, message, save)
    assert (error.errno, error.filename) == (errno.EMFILE, str(path))


@pytest.mark.parametrize("after", [0, 1, 3, 6, 10])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOMEM, errno.ESTALE], ids=os.strerror)
def test_a_file_that_stops_to_be_readable(path, refuses, monkeypatch, number, after):
    real, reads = archive._Pieces.read, []

    def read(file, size=-1):
        reads.append(size)
        if len(reads) > after:
            raise OSError(number, os.strerror(number))
        return real(file, size)

    monkeypatch.setattr(archive._Pieces, "read", read)
    message = f"{path}: could not be read ({os.strerror(number)})"
    error = refuses(None, bp.CheckpointError, message, lambda: bp.load(path))
    assert error.errno == number


def fail(*arguments, **keywords):
    raise MemoryError("no memory")


READING = ["numpy.lib.format.read_array", "zipfile.ZipFile", "json.loads", "fastbp.memory.zeros"]
SAVING = ["fastbp.layers.Dense.config", "json.dumps", "numpy.savez", "os.fsync"]


@pytest.mark.parametrize("function", READING)
def test_no_memory_to_load(path, monkeypatch, function):
    with monkeypatch.context() as patch:
        patch.setattr(function, fail)
        with pytest.raises(MemoryError, match="no memory"):
            bp.load(path)
    bp.load(path)


@pytest.mark.parametrize("function", SAVING)
def test_no_memory_to_save(net, path, snapshot, monkeypatch, function):
    before = snapshot(net)
    with monkeypatch.context() as patch:
        patch.setattr(function, fail)
        with pytest.raises(MemoryError, match="no memory"):
            net.save(path)
    assert snapshot(net) == before


class Large(bp.ReLU):
    """Takes memory that is not there once `enough` is False."""

    enough = True

    def __init__(self, name=None):
        if not self.enough:
            raise MemoryError("no memory")
        super().__init__(name)


def test_no_memory_for_a_part(path, monkeypatch):
    bp.Network(3, [bp.Dense(2), Large()]).save(path)
    monkeypatch.setattr(Large, "enough", False)
    with pytest.raises(MemoryError, match="no memory"):
        bp.load(path, parts={"large": Large})


def test_a_stack_that_is_used_up_is_the_callers(path):
    def deeper(levels):
        return bp.load(path) if levels == 0 else deeper(levels - 1)

    def depth():
        try:
            return 1 + depth()
        except RecursionError:
            return 0

    for left in range(5, 40, 5):  # where in `load` it ends depends on what is left
        with contextlib.suppress(RecursionError):
            deeper(depth() - left)


def test_no_memory_for_the_command_lines_arrays(tmp_path, monkeypatch):
    np.savez(tmp_path / "data.npz", X=np.ones(3))
    monkeypatch.setattr("numpy.load", fail)
    with pytest.raises(MemoryError, match="no memory"):
        files.read_arrays(str(tmp_path / "data.npz"), ("X",))

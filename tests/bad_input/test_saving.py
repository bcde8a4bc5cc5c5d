"""Saving that fails, or is killed: the old file stays as it is, and nothing else is left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastbp as bp

FAILED = "{}: could not be saved ({}); the old file is as before"


@pytest.fixture
def path(net, tmp_path):
    """The network's file; the network has changed since."""
    path = tmp_path / "net.npz"
    net.save(path)
    net.flat[:] = net.flat + 1
    return path


SYSTEM = ["builtins.open", "os.open", "numpy.savez", "os.fsync", "os.fchmod", "os.replace"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=os.strerror)
@pytest.mark.parametrize("function", SYSTEM)
def test_a_failing_system_call(net, path, refuses, monkeypatch, function, number):
    def fail(*arguments, **keywords):
        raise OSError(number, os.strerror(number))

    def save():
        with monkeypatch.context() as patch:
            patch.setattr(function, fail)
            net.save(path)

    message = FAILED.format(path, os.strerror(number))
    error = refuses(net, bp.CheckpointError, message, save)
    assert (error.errno, error.filename) == (number, str(path))


@contextlib.contextmanager
def largest_file(size):
    """Writing past `size` bytes fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("hidden", [4, 3000])  # within one buffer, and more
def test_a_full_disk(tmp_path, refuses, hidden):
    net, path = bp.mlp([3, hidden, 3], rng=0), tmp_path / "net.npz"
    net.step(np.eye(3), [0, 1, 2], bp.Adam())
    net.save(path)
    size = path.stat().st_size
    net.step(np.eye(3), [0, 1, 2], bp.Adam())

    def save(limit):
        with largest_file(limit):
            net.save(path)

    message = FAILED.format(path, os.strerror(errno.EFBIG))
    for limit in [*range(0, size, size // 40 + 1), size - 1]:
        refuses(net, bp.CheckpointError, message, lambda limit=limit: save(limit))
    net.save(path)
    assert bp.load(path).flat.tobytes() == net.flat.tobytes()


def test_an_interrupt_leaves_nothing(net, path, snapshot, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    before = snapshot(net)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            net.save(path)
    assert snapshot(net) == before


def test_a_folder_that_cannot_be_synced_is_no_failure(net, path, monkeypatch):
    def fsync(handle):
        if os.path.isdir(f"/dev/fd/{handle}"):
            raise OSError(errno.EINVAL, "no such thing here")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fsync)
        net.save(path)
    assert bp.load(path).flat.tobytes() == net.flat.tobytes()


def test_missing_folder(net, tmp_path, refuses):
    path = tmp_path / "missing" / "net.npz"
    message = FAILED.format(path, "No such file or directory")
    refuses(net, bp.CheckpointError, message, lambda: net.save(path))


def test_a_file_for_a_folder(net, path, refuses):
    below = path / "net.npz"
    message = FAILED.format(below, "Not a directory")
    refuses(net, bp.CheckpointError, message, lambda: net.save(below))


def test_no_regular_file(net, path, tmp_path, refuses):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name in ("fifo", "folder"):  # a device is like a fifo
        message = FAILED.format(tmp_path / name, "it is there and no regular file")
        refuses(net, bp.CheckpointError, message, lambda name=name: net.save(tmp_path / name))


def test_names_that_the_system_refuses(net, path, tmp_path, refuses):
    long, null = tmp_path / ("n" * 300), str(tmp_path / "a\0b")
    message = FAILED.format(long, "File name too long")
    refuses(net, bp.CheckpointError, message, lambda: net.save(long))
    message = FAILED.format(null, "...embedded null ...")  # Python's words, which change
    refuses(net, bp.CheckpointError, message, lambda: net.save(null))


@pytest.fixture
def powerless(tmp_path):
    """powerless(): a context in which tmp_path cannot be written to."""

    @contextlib.contextmanager
    def powerless():
        tmp_path.chmod(0o500)
        user = os.geteuid()
        try:
            if user == 0:  # whom no permission stops
                try:
                    os.seteuid(65534)
                except OSError as exc:
                    pytest.skip(f"root cannot become anybody else here: {exc}")
            yield
        finally:
            os.seteuid(user)
            tmp_path.chmod(0o700)

    return powerless


@pytest.mark.parametrize("name", ["net.npz", "new.npz"])
def test_unwritable_folder(net, path, tmp_path, refuses, powerless, name):
    target = tmp_path / name

    def save():
        with powerless():
            net.save(target)

    message = FAILED.format(target, "Permission denied")
    refuses(net, bp.CheckpointError, message, save)


def test_unreadable_file(net, path, refuses, powerless):
    def load():
        with powerless():
            bp.load(path)

    path.chmod(0)
    message = f"{path}: could not be read (Permission denied)"
    refuses(net, bp.CheckpointError, message, load)


UNNAMED = (
    "{}: got a part of {}, a class that is neither registered nor at the top level of a module, so "
    "a file cannot name it"
)


def test_classes_that_a_file_cannot_name(tmp_path, path, refuses, monkeypatch):
    class Own(bp.ReLU):
        pass

    class OwnLoss(bp.SquaredError):
        pass

    monkeypatch.setattr("builtins.open", None)  # nothing is to be opened
    monkeypatch.setattr("os.open", None)
    for net, kind, cls in (
        (bp.Network(3, [bp.Dense(2), Own()]), "layer", Own),
        (bp.mlp([3, 2], loss=OwnLoss()), "loss", OwnLoss),
    ):
        message = UNNAMED.format(kind, cls.__qualname__)
        for target in (path, tmp_path / "new.npz"):
            refuses(net, bp.ConfigError, message, lambda net=net, t=target: net.save(t))


def test_constants_that_are_no_json(net, path, refuses):
    class Odd(bp.SGD):
        def constants(self):
            return {"schedule": np.ones(2)}

    net.reset_optimizer()
    net.step(np.eye(3), [0, 1, 2], Odd(0.1))
    message = "save: got a part with arguments that are not JSON (...)"
    refuses(net, bp.ConfigError, message, lambda: net.save(path))


KILL = """
import os, signal, sys, zipfile
import numpy as np
import fastbp as bp

path, where, call = sys.argv[1], sys.argv[2], int(sys.argv[3])
owner, name = {"member": (zipfile.ZipFile, "open"), "fsync": (os, "fsync"),
               "replace": (os, "replace")}[where]
net, real, calls = bp.load(path), getattr(owner, name), []
net.flat[:] = 0

def kill(*arguments, **keywords):
    calls.append(1)
    if len(calls) == call:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **keywords)

setattr(owner, name, kill)
net.save(path)
"""


@pytest.mark.parametrize(("where", "call"), [("member", 3), ("fsync", 1), ("replace", 1)])
def test_killed_while_saving(net, path, tmp_path, where, call):
    before = path.read_bytes()
    command = [sys.executable, "-c", KILL, path, where, str(call)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.read_bytes() == before
    net.save(path)  # and what was left behind goes
    assert os.listdir(tmp_path) == ["net.npz"]
    assert bp.load(path).flat.tobytes() == net.flat.tobytes()


LOOP = """
import itertools, sys
import fastbp as bp

net = bp.mlp([30, 300, 3], rng=0)
for value in itertools.count():
    net.flat[:] = value
    net.save(sys.argv[1])
    if value == 1:
        print("saving", flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_time(tmp_path, seed):
    path = tmp_path / "net.npz"
    command = [sys.executable, "-c", LOOP, path]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"saving\n"
        time.sleep(np.random.default_rng(seed).uniform(0, 0.1))
        process.kill()
    flat = bp.load(path).flat
    assert flat[0] >= 1
    assert (flat == flat[0]).all()

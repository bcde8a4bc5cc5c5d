"""A file that is replaced: who may read it while it is written, and what is left when that ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

import fastbp as bp
from fastbp.replacing import replacing

FAILED = "{}: could not be saved ({}); the old file is as before"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "net.npz"
    path.write_bytes(b"old")
    for folder in tmp_path.parents:
        if folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o711)  # so that another user comes to it
    return path


def write(path, content=b"new"):
    with replacing(str(path)) as file:
        file.write(content)


def names(folder):
    return sorted(os.listdir(folder))


@contextlib.contextmanager
def user(number, group=None):
    """As another user than root, who has no other groups."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes somebody else")
    before, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(group or number)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before)
        os.setgroups(groups)


# Permissions and owners


@pytest.mark.parametrize("umask", [0, 0o022, 0o077], ids=oct)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660, 0o644, 0o666, 0o200, 0o602], ids=oct)
def test_never_more_open_than_the_old_file(path, tmp_path, mode, umask):
    path.chmod(mode)
    before = os.umask(umask)
    try:
        with replacing(str(path)) as file:
            (temporary,) = set(names(tmp_path)) - {"net.npz"}
            status = (tmp_path / temporary).stat()
            assert status.st_size == 0, "nothing was written yet"
            assert stat.S_IMODE(status.st_mode) == mode
            file.write(b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    path.chmod(0o600)
    assert path.read_bytes() == b"new"


def test_no_moment_is_more_open(path, monkeypatch):
    """Each call that makes the file or changes it, with what the file is open to after it."""
    path.chmod(0o640)
    seen, own = [], os.getegid()

    def watched(name, real):
        def spy(*arguments):
            result = real(*arguments)
            status = os.fstat(result if name == "open" else arguments[0])
            if status.st_ino != path.stat().st_ino and stat.S_ISREG(status.st_mode):
                seen.append((name, stat.S_IMODE(status.st_mode), status.st_gid))
            return result

        return spy

    for name in ("open", "fchown", "fchmod"):
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
        own = 23456
    write(path)
    assert [mode for _, mode, _ in seen[:-1]] == [0o600] * (len(seen) - 1)
    assert seen[-1] == ("fchmod", 0o640, own)


def test_root_keeps_the_owner(path):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(path, 12345, 23456)
    write(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(("mode", "kept"), [(0o666, 0o666), (0o662, 0o622), (0o626, 0o626)])
def test_anothers_file_that_we_may_write(path, tmp_path, mode, kept):
    """It becomes ours; to our group it is open only where it was open to all."""
    path.chmod(mode)
    tmp_path.chmod(0o777)
    with user(12345):
        write(path)
        status = path.stat()
    assert (status.st_uid, status.st_gid) == (12345, 12345)
    assert stat.S_IMODE(status.st_mode) == kept
    assert path.read_bytes() == b"new"


def test_anothers_file_of_our_group(path, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(path, 0, 23456)
    path.chmod(0o660)
    tmp_path.chmod(0o777)
    with user(12345, 23456):
        write(path)
    status = path.stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)
    assert stat.S_IMODE(status.st_mode) == 0o660


@pytest.mark.parametrize("mode", [0o444, 0o400, 0o555, 0], ids=oct)
def test_a_read_only_file_is_kept(path, tmp_path, mode):
    """From root too, whom the system would not stop."""
    path.chmod(mode)
    before = path.stat()
    with pytest.raises(bp.CheckpointError) as caught:
        write(path)
    assert str(caught.value) == FAILED.format(path, "it is read-only")
    assert caught.value.errno == errno.EACCES
    assert path.stat() == before
    assert names(tmp_path) == ["net.npz"]


def test_a_file_that_is_not_ours_to_write(path, tmp_path):
    path.chmod(0o644)
    tmp_path.chmod(0o777)
    before = path.stat()
    with user(12345), pytest.raises(bp.CheckpointError) as caught:
        write(path)
    assert str(caught.value) == FAILED.format(path, "Permission denied")
    assert path.stat() == before
    assert names(tmp_path) == ["net.npz"]


def test_a_folder_that_is_not_ours_to_write(path, tmp_path):
    path.chmod(0o666)
    tmp_path.chmod(0o755)
    with user(12345), pytest.raises(bp.CheckpointError) as caught:
        write(path)
    assert str(caught.value) == FAILED.format(path, "Permission denied")
    assert path.read_bytes() == b"old"


def test_a_folder_that_may_not_be_listed(path, tmp_path):
    tmp_path.chmod(0o733)
    path.chmod(0o666)
    try:
        with user(12345):
            write(path)
    finally:
        tmp_path.chmod(0o755)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["net.npz"]


# What a killed process leaves


KILLED = """
import os, signal, sys
from fastbp.replacing import replacing
with replacing(sys.argv[1]) as file:
    file.write(b"torn")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_one(path):
    """A save that is killed; the name of what it leaves."""
    before = set(names(path.parent))
    done = subprocess.run([sys.executable, "-c", KILLED, path], capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr
    (left,) = set(names(path.parent)) - before
    return left


def test_the_next_save_removes_it(path, tmp_path):
    left = kill_one(path)
    assert path.read_bytes() == b"old"
    other = kill_one(tmp_path / "other.npz")
    write(tmp_path / "third.npz")
    assert left in names(tmp_path), "only the next save to the same path looks for it"
    write(path)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == sorted(["net.npz", "third.npz", other])


def test_a_save_that_fails_removes_it_too(path, tmp_path):
    kill_one(path)
    with pytest.raises(bp.CheckpointError), replacing(str(path)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(tmp_path) == ["net.npz"]


def test_what_a_living_save_writes_stays(path, tmp_path):
    with replacing(str(path)) as file:
        file.write(b"slow")
        assert len(names(tmp_path)) == 2
        write(path, b"quick")
        assert path.read_bytes() == b"quick"
        assert len(names(tmp_path)) == 2
    assert path.read_bytes() == b"slow"
    assert names(tmp_path) == ["net.npz"]


def test_a_file_taken_for_leavings_before_it_is_locked(path, tmp_path, monkeypatch):
    """The other save comes between the file's making and its lock: another file is made."""
    real, calls = fcntl.flock, []

    def flock(file, flags):
        calls.append(flags)
        if len(calls) == 1:
            write(path, b"first")  # it removes what it finds unlocked
        return real(file, flags)

    monkeypatch.setattr(fcntl, "flock", flock)
    write(path, b"second")
    assert path.read_bytes() == b"second"
    assert names(tmp_path) == ["net.npz"]


def test_a_file_that_is_being_looked_at(path, tmp_path, monkeypatch):
    """The other save holds the lock of the file that it is about to remove."""
    real, held = fcntl.flock, []

    def flock(file, flags):
        if not held:
            held.append(os.open(file.name, os.O_RDWR))
            real(held[0], flags)
        return real(file, flags)

    monkeypatch.setattr(fcntl, "flock", flock)
    write(path)
    os.close(held[0])
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["net.npz"]


def test_a_file_system_without_locks(path, tmp_path, monkeypatch):
    def flock(file, flags):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    left = kill_one(path)
    monkeypatch.setattr(fcntl, "flock", flock)
    write(path)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == sorted(["net.npz", left])  # who knows whose it is


def test_names_that_only_look_like_leavings(path, tmp_path):
    left = kill_one(path)
    (tmp_path / "kept").write_bytes(b"kept")
    (tmp_path / left).unlink()
    (tmp_path / left).symlink_to("kept")
    os.mkdir(tmp_path / f"{left}0")
    write(path)
    assert (tmp_path / "kept").read_bytes() == b"kept"
    assert (tmp_path / f"{left}0").is_dir()


@pytest.mark.parametrize("length", [1, 200, 255])
def test_leavings_fit_where_the_name_does(tmp_path, length):
    path = tmp_path / ("n" * length)
    kill_one(path)
    write(path)
    assert names(tmp_path) == [path.name]


def test_threads_and_processes_that_save_to_one_path_at_once(tmp_path):
    path, errors = tmp_path / "net.npz", []
    code = (
        "import sys, fastbp as bp\n"
        "net = bp.mlp([3, 500, 3], rng=0)\n"
        "for value in range(15):\n"
        "    net.flat[:] = value\n"
        "    net.save(sys.argv[1])\n"
    )

    def work(value):
        net = bp.mlp([3, 500, 3], rng=0)
        net.flat[:] = value
        try:
            for _ in range(15):
                net.save(path)
                flat = bp.load(path).flat
                assert (flat == flat[0]).all()
        except BaseException as exc:
            errors.append(exc)

    command = [sys.executable, "-c", code, path]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    threads = [threading.Thread(target=work, args=(value,)) for value in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        assert process.communicate(timeout=60)[1] == b""
    assert not errors
    assert names(tmp_path) == ["net.npz"]
    assert np.ptp(bp.load(path).flat) == 0

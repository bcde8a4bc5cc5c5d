"""A file is replaced as a whole: written beside its place, and renamed onto it when it is complete.

What is written is locked, so that the next save to the same path can tell the leavings of a killed
process, which it removes, from what a living one is writing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fastbp.errors import CheckpointError


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """A file to write to, which is at `path` once the block has ended without an error.

    Raises
    ------
    CheckpointError
        The file could not be written. The old file is as before.
    """
    temporary, folder = None, None
    try:
        target = Path(os.path.realpath(path))  # a symbolic link stays one
        old = _old(target)
        folder = _opened(target.parent)
        # a short name, which fits wherever the target's does
        name = hashlib.blake2b(os.fsencode(target.name), digest_size=8).hexdigest()
        beside = str(target.parent / f".fastbp-{name}-")
        _remove_leavings(beside)
        file = _new(beside, old)
        temporary = file.name
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, target)  # before it is closed, which ends the lock
            temporary = None  # nothing below asks for memory: an error says the old file is there
    except (OSError, ValueError) as exc:  # ValueError: a path with a null character
        number, text = getattr(exc, "errno", None), getattr(exc, "strerror", None)
        why = f"could not be saved ({text or exc}); the old file is as before"
        raise CheckpointError(number, why, path) from exc
    finally:
        if temporary is not None:
            _discard(temporary)
        if folder is not None:
            try:  # noqa: SIM105  # suppress() asks for memory
                os.fsync(folder)  # make the rename last through a power cut, where the system can
            except OSError:
                pass
            os.close(folder)


def _old(target: Path) -> os.stat_result | None:
    """The file to replace, if there is one: a regular file, which we may write to."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EEXIST, "it is there and no regular file")
    if not old.st_mode & 0o222:  # to replace it the folder's permissions would do, and root's
        raise OSError(errno.EACCES, "it is read-only")
    os.close(os.open(target, os.O_WRONLY | os.O_CLOEXEC))
    return old


def _new(beside: str, old: os.stat_result | None) -> BinaryIO:
    """A new file, locked, whose name begins like this; never more open than the old one."""
    mode = 0o666 if old is None else old.st_mode & 0o700

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, mode)

    while True:  # until no other save takes it for leavings before it is locked
        name = beside + secrets.token_hex(8)
        with contextlib.ExitStack() as undo:
            undo.callback(_discard, name)  # beforehand: afterwards there may be no memory for it
            file = undo.enter_context(open(name, "x+b", opener=opener))
            if old is not None:
                _inherit(file, old)
            if _lock(file):
                undo.pop_all()
                return file


def _discard(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _lock(file: BinaryIO) -> bool:
    """Lock a new file; False if it was removed before."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, where nobody takes a file for leavings
        pass
    return os.fstat(file.fileno()).st_nlink > 0


def _inherit(file: BinaryIO, old: os.stat_result) -> None:
    """Take over the old file's owner, group and permissions, as far as we may give them."""
    mode, handle, new = old.st_mode & 0o777, file.fileno(), os.fstat(file.fileno())
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(handle, old.st_uid, old.st_gid)
        except OSError:  # another's file, which this user may write to
            try:
                os.fchown(handle, -1, old.st_gid)
            except OSError:
                mode &= ~0o070 | mode << 3  # to another group only what was open to all
    os.fchmod(handle, mode)


def _remove_leavings(beside: str) -> None:
    """Remove the files whose name begins like this and which no living process writes to."""
    folder, start = os.path.split(beside)
    with contextlib.suppress(OSError):  # a folder that may not be listed
        for name in os.listdir(folder):
            if name.startswith(start):
                with contextlib.suppress(OSError):
                    _remove_if_left(os.path.join(folder, name))


def _remove_if_left(path: str) -> None:
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(handle)


def _opened(folder: Path) -> int | None:
    with contextlib.suppress(OSError):
        return os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    return None

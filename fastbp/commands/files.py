"""The files that users name on the command line."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastbp.checks import Array
from fastbp.commands import formats
from fastbp.errors import ConfigError, FastbpError
from fastbp.network import Network, load


def read_arrays(path: str, names: tuple[str, ...]) -> list[Array]:
    """The named arrays of an .npz file.

    Raises
    ------
    ConfigError
        The file is not there, is no intact .npz file, or lacks one of the arrays.
    """
    try:
        other = formats.describe(path, names)
        if other is not None:
            raise ConfigError(other)
        # opened here, because np.load leaves a torn file open
        with Path(path).open("rb") as file:
            return _read(path, np.load(file, allow_pickle=False), names)
    except (ConfigError, MemoryError):
        raise
    except OSError as error:
        told = describe(error)
        raise ConfigError(told if error.filename is not None else f"{path}: {told}") from error
    except Exception as error:  # a damaged file fails in zipfile, zlib, NumPy or struct
        raise ConfigError(f"{path}: no intact .npz file of plain arrays ({error})") from error


def _read(path: str, loaded: Any, names: tuple[str, ...]) -> list[Array]:
    for name in names:
        if name not in loaded:
            there = ", ".join(loaded.files) or "nothing"
            if {"header", "flat"} <= {*loaded.files}:
                there += ": it is a network that fastbp saved"
            raise ConfigError(f"{path}: no array {name}; it holds {there}")
    return [_plain(path, name, loaded) for name in names]


def _plain(path: str, name: str, loaded: Any) -> Array:
    try:
        return np.asarray(loaded[name])
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        # to load them is to run what the file says: no advice for a file from anywhere
        raise ConfigError(
            f"{path}: got an array {name} of Python objects; wanted plain numbers (save "
            f"{name}.astype(float), .astype(int), or .astype(str) for labels that are text)"
        ) from error


def read_network(path: str) -> Network:
    """The network that `fastbp train --out` saved.

    Raises
    ------
    ConfigError
        The file is not there, or holds no network.
    """
    try:
        return load(path)
    except OSError as error:  # a CheckpointError too: here it is input that is bad
        what = formats.kind(path)[0] or _arrays_in(path) if os.path.isfile(path) else ""
        wanted = f"{path}: got {what}; wanted a network, as fastbp train --out writes it"
        raise ConfigError(wanted if what else describe(error)) from error


def _arrays_in(path: str) -> str:
    """What an .npz file holds that is no network; "" where it cannot be told."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return ""
    if "header" in names or not names:
        return ""
    return f"data (arrays {', '.join(names[:3])}{', ...' if names[3:] else ''})"


def check_out(path: str | None, option: str = "--out", /, **inputs: str | None) -> None:
    """Refuse a file to write that is one of the inputs or cannot be written, before any work.

    A file is written beside and then renamed, so the rights of its folder decide. One whose mode
    lets nobody write is refused all the same: its owner wants it kept, and to root all is open.

    Raises
    ------
    ConfigError
        It would destroy an input, is there and no writable regular file, or its folder lets
        nobody create it.
    """
    if path is None:
        return
    try:
        for name, other in inputs.items():
            if other is not None and _same_file(path, other):
                raise ConfigError(
                    f"{option}: got {path}, the same file as {name}, which would be lost; "
                    "wanted another file"
                )
        _check_writable(path, option)
    except (OSError, ValueError) as error:  # ValueError: a null character
        if isinstance(error, ConfigError):
            raise
        why = describe(error) if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{option}: got {path!r} ({why}); wanted a file to write") from error


def _same_file(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)  # through symbolic and hard links
    except OSError:  # one of the two is not there
        return False


def _check_writable(path: str, option: str) -> None:
    target = Path(os.path.realpath(path))
    if target.is_dir() or path.endswith(("/", os.sep)):
        raise ConfigError(f"{option}: got {path!r}, a folder; wanted a file to write")
    folder = target.parent
    if not folder.is_dir():
        raise ConfigError(f"{option}: got {path}; wanted a path in a folder that is there")
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{option}: got {path}, which is there and no regular file")
        if not mode & 0o222 or not os.access(target, os.W_OK):
            raise ConfigError(f"{option}: got {path}, which is there and read-only")
    with tempfile.TemporaryFile(dir=folder):  # only an attempt knows of every reason against it
        pass


@contextlib.contextmanager
def options_named(options: Mapping[str, str]) -> Iterator[None]:
    """Give errors about an argument the name of the option that it came from."""
    try:
        yield
    except FastbpError as error:
        argument, _, rest = str(error).partition(": ")
        if argument not in options:
            raise
        raise type(error)(f"{options[argument]}: {rest}") from error


def describe(error: OSError) -> str:
    """What went wrong with which file, without the error's number."""
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror

"""The files that users name on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastbp.checks import Array
from fastbp.errors import ConfigError


def read_arrays(path: str, names: tuple[str, ...]) -> list[Array]:
    """The named arrays of an .npz file.

    Raises
    ------
    ConfigError
        The file is not there, is no intact .npz file, or lacks one of the arrays.
    """
    try:
        # opened here, because np.load leaves a torn file open
        with Path(path).open("rb") as file:
            return _read(path, np.load(file, allow_pickle=False), names)
    except (ConfigError, MemoryError):
        raise
    except OSError as error:
        raise ConfigError(describe(error)) from error
    except Exception as error:  # a damaged file fails in zipfile, zlib, NumPy or struct
        raise ConfigError(f"{path}: no intact .npz file of plain arrays ({error})") from error


def _read(path: str, loaded: Any, names: tuple[str, ...]) -> list[Array]:
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ConfigError(f"{path}: holds a single array; wanted an .npz file")
    for name in names:
        if name not in loaded:
            there = ", ".join(loaded.files) or "nothing"
            raise ConfigError(f"{path}: no array {name}; it holds {there}")
    return [np.asarray(loaded[name]) for name in names]


def check_folder(path: str | None) -> None:
    """Refuse a file to write whose folder is not there, before any work is done for it."""
    if path is not None and not Path(path).absolute().parent.is_dir():
        raise ConfigError(f"--out: got {path}; wanted a path in a folder that is there")


def describe(error: OSError) -> str:
    """What went wrong with which file, without the error's number."""
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror

"""Keeping a network: arrays and JSON in an .npz file, without pickle."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp import checks, stored
from fastbp.checks import Array
from fastbp.errors import (
    CheckpointError,
    ConfigError,
    DtypeError,
    FastbpError,
    PluginError,
    ShapeError,
    UnknownNameError,
)
from fastbp.layers import Layer
from fastbp.losses import Loss
from fastbp.optimizers import OptimizerState

if TYPE_CHECKING:
    from fastbp.network import Network
    from fastbp.parameters import Parameters

FORMAT = 1


def load_state_dict(network: Parameters, state: Mapping[str, Any]) -> None:
    """See :meth:`fastbp.Network.load_state_dict`."""
    if not isinstance(state, Mapping):
        raise DtypeError(f"state: got {type(state).__name__}; wanted a mapping of names to arrays")
    arrays = {**network.params, **network.buffers}
    missing, unknown = arrays.keys() - state.keys(), state.keys() - arrays.keys()
    if missing or unknown:
        raise UnknownNameError(
            f"state: got a mapping without {sorted(missing)} and with unknown "
            f"{sorted(unknown, key=str)}; wanted {list(arrays)}"
        )
    new = {}
    for name, array in arrays.items():
        value = checks.as_real(name, state[name])
        if value.shape != array.shape:
            raise ShapeError(f"{name}: got shape {value.shape}; wanted {array.shape}")
        # copied: `state` may hold views of this very network, in another order
        new[name] = checks.cast(name, value, array.dtype, copy=True)
    for name, array in arrays.items():
        array[...] = new[name]


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """See :meth:`fastbp.Network.save`."""
    stored.one_class_per_name([*network.layers, network.loss_function])
    header: dict[str, Any] = {
        "format": FORMAT,
        "n_in": network.n_in,
        "dtype": network.dtype.name,
        "l2": network.l2,
        "layers": [stored.describe("layer", layer) for layer in network.layers],
        "loss": stored.describe("loss", network.loss_function),
        "rng": network._rng.bit_generator.state,
        "seed": network._seed,
        "optimizer": None,
    }
    arrays = {"flat": network.flat}
    arrays |= {f"buffer:{name}": array for name, array in network.buffers.items()}
    state = network.optimizer_state
    if state is not None:
        header["optimizer"] = {
            "name": state.name,
            "constants": state.constants,
            "steps": state.steps,
            "arrays": list(state.arrays),
        }
        arrays |= {f"optimizer:{name}": array for name, array in state.arrays.items()}
    try:
        text = json.dumps(header).encode()
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"save: got a part with arguments that are not JSON ({exc})") from exc
    write_npz(path, {"header": np.frombuffer(text, np.uint8), **arrays})


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays to exactly this path: beside it first, then renamed onto it.

    Raises
    ------
    CheckpointError
        The file could not be written. The old file is as before.
    """
    name, temporary, folder = _path(path), None, None
    try:
        target = Path(os.path.realpath(name))  # a symbolic link stays one
        mode = _mode(target)
        folder = _opened(target.parent)
        # a short name, which fits wherever the target's does
        temporary = target.parent / f".fastbp-{secrets.token_hex(8)}"
        with open(temporary, "xb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # **kwargs clash with allow_pickle
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, target)
        temporary = None  # nothing below asks for memory: an error says that the old file is there
    except (OSError, ValueError) as exc:  # ValueError: a path with a null character
        _raise_memory_error(exc)
        number, text = getattr(exc, "errno", None), getattr(exc, "strerror", None)
        why = f"could not be saved ({text or exc}); the old file is as before"
        raise CheckpointError(number, why, name) from exc
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if folder is not None:
            try:  # noqa: SIM105  # suppress() asks for memory
                os.fsync(folder)  # make the rename last through a power cut, where the system can
            except OSError:
                pass
            os.close(folder)


def read(path: str | os.PathLike[str], parts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All that a file says of a network, as keyword arguments of its making, checked."""
    name, given = _path(path), stored.check_parts(parts)
    try:
        with zipfile.ZipFile(name) as file:
            return _network(file, given)
    except (FileNotFoundError, PluginError, UnknownNameError, MemoryError):
        raise
    except (IsADirectoryError, PermissionError) as exc:
        raise CheckpointError(exc.errno, f"could not be read ({exc.strerror})", name) from exc
    except Exception as exc:  # a damaged file fails in zipfile, zlib, struct, NumPy, json or here
        _raise_memory_error(exc)
        raise damaged(name, exc) from exc


def _network(file: zipfile.ZipFile, parts: Mapping[str, Any]) -> dict[str, Any]:
    header = json.loads(_member(file, "header").tobytes())
    if header.get("format") != FORMAT:
        raise ValueError(f"it is of format {header.get('format')}; wanted {FORMAT}")
    optimizer, state = header["optimizer"], None
    if optimizer is not None:
        arrays = {name: _member(file, f"optimizer:{name}") for name in optimizer["arrays"]}
        steps = checks.integer("steps", optimizer["steps"], low=0)
        state = OptimizerState(optimizer["name"], optimizer["constants"], steps, arrays)
    rng = np.random.Generator(np.random.PCG64())
    rng.bit_generator.state = header["rng"]
    names = [name.removesuffix(".npy") for name in file.namelist()]
    return {
        "n_in": header["n_in"],
        "layers": [stored.rebuild("layer", part, Layer, parts) for part in header["layers"]],
        "loss": stored.rebuild("loss", header["loss"], Loss, parts),
        "dtype": checks.float_dtype("dtype", header["dtype"]),
        "l2": checks.number("l2", header["l2"]),
        "flat": _member(file, "flat"),
        "buffers": {
            name.removeprefix("buffer:"): _member(file, name)
            for name in names
            if name.startswith("buffer:")
        },
        "optimizer_state": state,
        "rng": rng,
        "seed": checks.integer("seed", header["seed"], low=0),
    }


def _member(file: zipfile.ZipFile, name: str) -> Array:
    _check_size(file, name)
    with file.open(f"{name}.npy") as member:
        array: Array = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):  # zipfile compares its checksum only at the member's very end
            raise ValueError(f"{name} is longer than it says")
    return array


def _check_size(file: zipfile.ZipFile, name: str) -> None:
    """A member does not say that it has more than it has: NumPy would ask for memory for that."""
    info = file.getinfo(f"{name}.npy")
    with file.open(info) as member:
        old = np.lib.format.read_magic(member) == (1, 0)
        header = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(member)
        says, holds = math.prod(shape) * dtype.itemsize, info.file_size - member.tell()
    if says > holds:
        raise ValueError(f"{name} is shorter than it says")


def damaged(path: str | os.PathLike[str], why: Exception) -> CheckpointError:
    """The error for a file that is no intact network."""
    # a KeyError alone says little
    reason = str(why) if isinstance(why, FastbpError) else f"{type(why).__name__}: {why}"
    return CheckpointError(None, f"is no intact fastbp network ({reason})", str(path))


def _raise_memory_error(exc: Exception) -> None:
    """The MemoryError behind an error: zipfile, closing, complains of what that left."""
    behind = exc.__cause__ or exc.__context__
    if isinstance(behind, MemoryError):
        raise behind


def _path(path: Any) -> str:
    try:
        name = os.fspath(path)
    except TypeError:
        name = None
    if not isinstance(name, str):
        raise DtypeError(f"path: got {path!r}; wanted a str or a path-like object")
    return name


def _mode(target: Path) -> int | None:
    """The old file's permissions, or None; a device or a folder is not to be replaced."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EEXIST, "it is there and no regular file")
    return stat.S_IMODE(mode) & 0o777


def _opened(folder: Path) -> int | None:
    with contextlib.suppress(OSError):
        return os.open(folder, os.O_RDONLY)
    return None

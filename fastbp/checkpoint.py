"""Keeping a network: arrays and JSON in an .npz file, without pickle."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp import checks, plugins
from fastbp.checks import Array
from fastbp.errors import CheckpointError, ConfigError, FastbpError, ShapeError, UnknownNameError
from fastbp.layers import Layer
from fastbp.losses import Loss
from fastbp.optimizers import OptimizerState

if TYPE_CHECKING:
    from fastbp.network import Network

FORMAT = 1


def load_state_dict(network: Network, state: Mapping[str, Any]) -> None:
    """See :meth:`fastbp.Network.load_state_dict`."""
    arrays = {**network.params, **network.buffers}
    missing, unknown = arrays.keys() - state.keys(), state.keys() - arrays.keys()
    if missing or unknown:
        raise UnknownNameError(
            f"state: missing {sorted(missing)}, unknown {sorted(unknown)}; wanted {list(arrays)}"
        )
    new = {}
    for name, array in arrays.items():
        value = checks.as_real(name, state[name])
        if value.shape != array.shape:
            raise ShapeError(f"{name}: got shape {value.shape}; wanted {array.shape}")
        new[name] = checks.cast(name, value, array.dtype)
    for name, array in arrays.items():
        array[...] = new[name]


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """See :meth:`fastbp.Network.save`."""
    header: dict[str, Any] = {
        "format": FORMAT,
        "n_in": network.n_in,
        "dtype": network.dtype.name,
        "l2": network.l2,
        "layers": [_describe("layer", layer) for layer in network.layers],
        "loss": _describe("loss", network.loss_function),
        "rng": network._rng.bit_generator.state,
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
    text = json.dumps(header).encode()
    write_npz(path, {"header": np.frombuffer(text, np.uint8), **arrays})


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays to exactly this path: beside it first, then renamed onto it.

    Raises
    ------
    CheckpointError
        The file could not be written. The old file is as before.
    """
    target = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # **kwargs clash with allow_pickle
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
    except OSError as exc:
        raise CheckpointError(
            exc.errno, f"could not be saved ({exc.strerror}); the old file is as before", str(path)
        ) from exc
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    _sync_folder(target.parent)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """All that a file says of a network, as keyword arguments of its making, checked."""
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
        header = json.loads(stored.pop("header").tobytes())
        if header["format"] != FORMAT:
            raise CheckpointError(
                None, f"is of format {header['format']}; wanted {FORMAT}", str(path)
            )
        dtype = checks.float_dtype("dtype", header["dtype"])
        optimizer = header["optimizer"]
        state = None
        if optimizer is not None:
            slots = {name: stored[f"optimizer:{name}"] for name in optimizer["arrays"]}
            state = OptimizerState(
                optimizer["name"], optimizer["constants"], int(optimizer["steps"]), slots
            )
        rng = np.random.Generator(np.random.PCG64())
        rng.bit_generator.state = header["rng"]
        return {
            "n_in": header["n_in"],
            "layers": [_rebuild("layer", entry, Layer) for entry in header["layers"]],
            "loss": _rebuild("loss", header["loss"], Loss),
            "dtype": dtype,
            "l2": checks.number("l2", header["l2"]),
            "flat": stored["flat"],
            "buffers": {
                name.removeprefix("buffer:"): array
                for name, array in stored.items()
                if name.startswith("buffer:")
            },
            "optimizer_state": state,
            "rng": rng,
        }
    except (FileNotFoundError, IsADirectoryError, PermissionError, UnknownNameError):
        raise
    except FastbpError:
        raise
    except _DAMAGE as exc:
        raise damaged(path, exc) from exc


_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, TypeError,
    AttributeError, IndexError, NotImplementedError, MemoryError, OverflowError,
)  # fmt: skip


def damaged(path: str | os.PathLike[str], why: object) -> CheckpointError:
    """The error for a file that is no intact network."""
    return CheckpointError(None, f"is no intact fastbp network ({why})", str(path))


def _describe(kind: str, part: Layer | Loss) -> dict[str, Any]:
    name = plugins.name_of(part)
    if name is None:
        raise ConfigError(
            f"{kind}: got {part!r}, whose class is not registered, so a file cannot name it"
        )
    return {"name": name, "contract": part.contract, "config": part.config()}


def _rebuild(kind: str, entry: dict[str, Any], base: type[Any]) -> Any:
    part = plugins.get(kind, entry["name"])(**entry["config"])
    assert isinstance(part, base)
    return part


def _mode(target: Path) -> int:
    """The permissions of the old file, or those any new file gets."""
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def _sync_folder(folder: Path) -> None:
    """Make the rename last through a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

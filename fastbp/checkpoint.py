"""Keeping a network: arrays and JSON in an .npz file, without pickle."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp import checks, plugins
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
    _one_class_per_name([*network.layers, network.loss_function])
    header: dict[str, Any] = {
        "format": FORMAT,
        "n_in": network.n_in,
        "dtype": network.dtype.name,
        "l2": network.l2,
        "layers": [_describe("layer", layer) for layer in network.layers],
        "loss": _describe("loss", network.loss_function),
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
    name, temporary = _path(path), None
    try:
        target = Path(os.path.realpath(name))  # a symbolic link stays one
        mode = _mode(target)
        # a short name, which fits wherever the target's does
        temporary = target.parent / f".fastbp-{secrets.token_hex(8)}"
        with open(temporary, "xb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # **kwargs clash with allow_pickle
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except (OSError, ValueError) as exc:  # ValueError: a path with a null character
        number, text = getattr(exc, "errno", None), getattr(exc, "strerror", None)
        why = f"could not be saved ({text or exc}); the old file is as before"
        raise CheckpointError(number, why, name) from exc
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
    _sync_folder(target.parent)


def read(path: str | os.PathLike[str], parts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All that a file says of a network, as keyword arguments of its making, checked."""
    name, given = _path(path), _check_parts(parts)
    try:
        with zipfile.ZipFile(name) as file:
            return _network(file, given)
    except (FileNotFoundError, PluginError, UnknownNameError):
        raise
    except (IsADirectoryError, PermissionError) as exc:
        raise CheckpointError(exc.errno, f"could not be read ({exc.strerror})", name) from exc
    except Exception as exc:  # a damaged file fails in zipfile, zlib, struct, NumPy, json or here
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
        "layers": [_rebuild("layer", stored, Layer, parts) for stored in header["layers"]],
        "loss": _rebuild("loss", header["loss"], Loss, parts),
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
    with file.open(f"{name}.npy") as member:
        array: Array = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):  # zipfile compares its checksum only at the member's very end
            raise ValueError(f"{name} is longer than it says")
    return array


def damaged(path: str | os.PathLike[str], why: Exception) -> CheckpointError:
    """The error for a file that is no intact network."""
    # a KeyError alone says little
    reason = str(why) if isinstance(why, FastbpError) else f"{type(why).__name__}: {why}"
    return CheckpointError(None, f"is no intact fastbp network ({reason})", str(path))


def _describe(kind: str, part: Layer | Loss) -> dict[str, Any]:
    """What a file says of a part: who brings its class, and the arguments to make it with."""
    entry = plugins.entry_of(part)
    if entry is None and not type(part).__qualname__.isidentifier():
        raise ConfigError(
            f"{kind}: got a part of {type(part).__qualname__}, a class that is neither registered "
            "nor at the top level of a module, so a file cannot name it"
        )
    try:
        config = json.loads(json.dumps(part.config()))
        equal = bool(type(part)(**config) == part)
    except Exception as exc:
        raise ConfigError(
            f"{kind}: got {plugins.label(part)}, whose config() a file cannot keep or make it "
            f"from ({type(exc).__name__}: {exc})"
        ) from exc
    if not equal:
        raise ConfigError(
            f"{kind}: got {plugins.label(part)}, which is not equal to what is made from its "
            f"config() after a way through JSON, {config}"
        )
    return {
        "name": entry.name if entry is not None else _own_name(type(part)),
        "distribution": entry.distribution if entry is not None else None,
        "version": entry.version if entry is not None else None,
        "contract": part.contract,
        "config": config,
    }


def _own_name(cls: type[Any]) -> str:
    """The name in files of a class that nobody registered: MyLoss is my_loss."""
    words = re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__)
    return words.lower()


def _one_class_per_name(parts: list[Layer | Loss]) -> None:
    classes: dict[str, type[Any]] = {}
    for cls in (type(part) for part in parts if plugins.entry_of(part) is None):
        other = classes.setdefault(_own_name(cls), cls)
        if other is not cls:
            raise ConfigError(
                f"save: got the classes {other.__module__}.{other.__qualname__} and "
                f"{cls.__module__}.{cls.__qualname__}, which are both {_own_name(cls)!r} in a file"
            )


def _check_parts(parts: Any) -> Mapping[str, Any]:
    if parts is None:
        return {}
    if not isinstance(parts, Mapping):
        raise ConfigError(f"parts: got {parts!r}; wanted a mapping of names to classes")
    for name, cls in parts.items():
        if not (isinstance(cls, type) and issubclass(cls, Layer | Loss)):
            raise ConfigError(f"parts: got {name!r}: {cls!r}; wanted a class of layer or loss")
    return parts


def _rebuild(kind: str, stored: Any, base: type[Any], parts: Mapping[str, Any]) -> Any:
    name, config = stored["name"], dict(stored["config"])
    distribution = stored.get("distribution", "fastbp")
    if distribution == "fastbp":
        part = _builtin(kind, name, stored)(**config)
        assert isinstance(part, base)
        return part
    key = name if distribution is None else f"{distribution}:{name}"
    if key in parts:
        cls, source = parts[key], f"parts: {key!r}: {parts[key].__qualname__}"
        if not issubclass(cls, base):
            raise PluginError(f"{source} is no {base.__name__}, as the file's {kind} {name!r} is")
    elif distribution is None:
        raise UnknownNameError(
            f"{kind} {name!r} in the file is of a class that no package registers; hand it over: "
            f"load(path, parts={{{name!r}: <the class>}})"
        )
    else:
        cls = _plugin(kind, key, stored)
        source = f"{kind} {name!r} = {cls.__module__}:{cls.__qualname__} of {distribution}"
    origin = "" if distribution is None else f" by {distribution} {stored['version']}"
    if cls.contract != stored["contract"]:
        raise PluginError(
            f"{source} keeps contract {cls.contract!r}; the file's was saved{origin} with contract "
            f"{stored['contract']!r}"
        )
    try:
        return cls(**config)
    except Exception as exc:
        raise PluginError(
            f"{source} cannot be made with {config}, what was saved{origin} "
            f"({type(exc).__name__}: {exc})"
        ) from exc


def _builtin(kind: str, name: str, stored: Any) -> type[Any]:
    if name not in plugins.BUILTIN[kind]:
        version = stored.get("version")
        by = f"; the file is of fastbp {version}: pip install fastbp=={version}" if version else ""
        known = ", ".join(sorted(plugins.BUILTIN[kind]))
        raise UnknownNameError(f"{kind}: got {name!r}; wanted one of {known}{by}")
    return plugins.get(kind, name)


def _plugin(kind: str, key: str, stored: Any) -> type[Any]:
    """The class of a plugin's part, or an error that says what to install."""
    try:
        return plugins.get(kind, key)
    except UnknownNameError as exc:
        distribution, version = stored["distribution"], stored["version"]
        wanted = f"{kind} {stored['name']!r} in the file is of {distribution} {version}, which "
        raise UnknownNameError(wanted + _missing(kind, key, distribution, version)) from exc


def _missing(kind: str, key: str, distribution: str, version: str) -> str:
    here = [row for row in plugins.describe() if plugins.same(row.distribution, distribution)]
    if any(row.state == "disabled" for row in here):
        return "FASTBP_DISABLE_PLUGINS disables"
    if not here:
        return f"is not installed: pip install {distribution}=={version}"
    return (
        f"brought it; {distribution} {here[0].version}, which is installed, does not: "
        f"pip install {distribution}=={version}"
    )


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


def _sync_folder(folder: Path) -> None:
    """Make the rename last through a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

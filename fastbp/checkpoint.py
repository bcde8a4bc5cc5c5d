"""Keeping a network: arrays and JSON in an .npz file, without pickle."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp import archive, checks, replacing, stored
from fastbp.checks import Array
from fastbp.errors import (
    CheckpointError,
    ConfigError,
    DtypeError,
    FastbpError,
    OptimizerError,
    PluginCallError,
    PluginError,
    ShapeError,
    UnknownNameError,
)
from fastbp.kernels.optimizer_state import restored
from fastbp.layers import Layer
from fastbp.layout import Layout
from fastbp.losses import Loss
from fastbp.optimizers import OptimizerState

if TYPE_CHECKING:
    from fastbp.network import Network
    from fastbp.parameters import Parameters

FORMAT = 1
LAYERS = 10_000  # in a file; as many take a second to load
SLOTS = 1000  # arrays of an optimizer; Adam has 2


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
    for named in (network.params, network.buffers):
        for name in named:
            named.check_writeable(name)
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
    if len(network.layers) > LAYERS:
        got = len(network.layers)
        raise ConfigError(f"save: got {got} layers; wanted at most {LAYERS}, which a file keeps")
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
        check_state(network, state)
        header["optimizer"] = {
            "name": state.name,
            "constants": state.constants,
            "steps": state.steps,
            "arrays": list(state._arrays),
        }
        arrays |= {f"optimizer:{name}": array for name, array in state._arrays.items()}
    try:
        text = json.dumps(header).encode()
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"save: got a part with arguments that are not JSON ({exc})") from exc
    try:  # what `read` will ask for
        archive.parse(text)
        archive.check_names(arrays)
    except ValueError as exc:
        raise ConfigError(f"save: got a network that no file keeps ({exc})") from exc
    write_npz(path, {"header": np.frombuffer(text, np.uint8), **arrays})


def check_state(network: Parameters, state: Any) -> None:
    """A state of the optimizer that a file can keep: a user may have put anything in its place."""
    if not isinstance(state, OptimizerState):
        raise OptimizerError(f"optimizer_state: got {state!r}; wanted an OptimizerState or None")
    for slot, array in state._arrays.items():
        where = f"optimizer_state.arrays[{slot!r}]"
        try:
            checks.operand(where, array, network.flat.shape, network.dtype)
            checks.finite(where, array)
        except FastbpError as exc:
            raise OptimizerError(str(exc)) from exc
        if (state.name, slot) == ("Adam", "v") and (array < 0).any():
            raise OptimizerError(f"{where}: got {array.min()}; wanted mean squares, numbers >= 0")


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays to exactly this path: beside it first, then renamed onto it.

    Raises
    ------
    CheckpointError
        The file could not be written. The old file is as before.
    """
    with replacing.replacing(checks.path("path", path)) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # **kwargs clash with allow_pickle


def read(path: str | os.PathLike[str], parts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All that a file says of a network, checked."""
    name, given = checks.path("path", path), stored.check_parts(parts)
    try:
        with archive.opened(name) as file:
            return _network(file, given)
    except (FileNotFoundError, MemoryError, RecursionError):
        raise
    except (PluginError, PluginCallError, UnknownNameError):  # a part, not the file, is at fault
        raise
    except Exception as exc:  # a damaged file fails in zipfile, zlib, struct, NumPy, json or here
        # EINVAL: a place in the file that cannot be
        if isinstance(exc, OSError) and exc.errno not in (None, errno.EINVAL):
            raise CheckpointError(exc.errno, f"could not be read ({exc.strerror})", name) from exc
        if isinstance(
            exc.__context__, MemoryError
        ):  # zipfile, closing, complains of what that left
            raise MemoryError(f"{name}: could not be read") from exc
        raise damaged(name, exc) from exc


def _network(file: archive.Archive, parts: Mapping[str, Any]) -> dict[str, Any]:
    header = file.header()
    known = isinstance(header, dict) and type(header.get("format")) is int  # not true, which is 1
    if not known or header["format"] != FORMAT:
        found = header.get("format") if isinstance(header, dict) else type(header).__name__
        raise ValueError(f"it is of format {found}; wanted {FORMAT}")
    dtype = np.dtype(checks.choice("dtype", header["dtype"], ("float32", "float64")))
    if len(header["layers"]) > LAYERS:
        raise ValueError(f"it has {len(header['layers'])} layers; wanted at most {LAYERS}")
    layers = [stored.rebuild("layer", part, Layer, parts) for part in header["layers"]]
    layout, state = Layout(header["n_in"], layers, dtype), _optimizer(header["optimizer"])
    buffers, slots = _buffers(layout), [*state._arrays] if state is not None else []
    file.check(
        {"flat": (layout.size,)}
        | {f"buffer:{name}": shape for name, shape in buffers.items()}
        | {f"optimizer:{slot}": (layout.size,) for slot in slots},
        dtype,
    )
    network = {
        "layout": layout,
        "loss": stored.rebuild("loss", header["loss"], Loss, parts),
        "l2": checks.number("l2", header["l2"]),
        "rng": _generator(header["rng"]),
        "seed": _count("seed", header["seed"], 2**64),
        "optimizer_state": None,
        "flat": file.array("flat"),
        "buffers": {name: file.array(f"buffer:{name}") for name in buffers},
    }
    arrays = {slot: file.array(f"optimizer:{slot}") for slot in slots}
    for slot, array in arrays.items():
        checks.finite(f"optimizer:{slot}", array)
    if state is not None:
        if state.name == "Adam" and (arrays.get("v", np.zeros(0)) < 0).any():
            raise ValueError("optimizer:v: got numbers below 0; wanted mean squares")
        network["optimizer_state"] = restored(state.name, state.constants, state.steps, arrays)
    return network


def _buffers(layout: Layout) -> dict[str, tuple[int, ...]]:
    """The shape of each buffer by its full name."""
    return {
        f"{name}.{key}": tuple(map(int, shape))
        for name, spec in zip(layout.names, layout.specs, strict=True)
        for key, shape in spec.buffers.items()
    }


def _optimizer(stored: Any) -> OptimizerState | None:
    """The optimizer's state, without the numbers in its arrays."""
    if stored is None:
        return None
    name, constants, slots = stored["name"], stored["constants"], stored["arrays"]
    if not (isinstance(name, str) and isinstance(constants, dict) and isinstance(slots, list)):
        raise ValueError(f"optimizer: got {name!r} with constants {constants!r}, arrays {slots!r}")
    if len(slots) > SLOTS or not all(isinstance(slot, str) for slot in slots):
        raise ValueError(f"optimizer: got arrays {slots!r}; wanted at most {SLOTS} names")
    arrays = {slot: np.empty(0) for slot in slots}
    return OptimizerState(name, constants, _count("steps", stored["steps"], 2**62), arrays)


def _generator(stored: Any) -> np.random.Generator:
    bits = np.random.PCG64(0)
    bits.state = stored
    odd, half = stored["state"]["inc"] % 2 == 1, stored["has_uint32"] in (0, 1)
    if not (bits.state == stored and odd and half):  # or some of its bits were ignored
        raise ValueError("rng: got numbers that are no state of PCG64")
    return np.random.Generator(bits)


def _count(name: str, value: Any, limit: int) -> int:
    """A whole number from 0 that has room to count on, below a power of two."""
    count = checks.integer(name, value, low=0)
    if count >= limit:
        raise ValueError(f"{name}: got {count}; wanted a whole number below {limit}")
    return count


def damaged(path: str | os.PathLike[str], why: Exception) -> CheckpointError:
    """The error for a file that is no intact network."""
    # a KeyError alone says little; and what is wrong may be as long as the file
    reason = str(why) if isinstance(why, FastbpError) else f"{type(why).__name__}: {why}"
    reason = reason if len(reason) < 1000 else f"{reason[:1000]}..."
    return CheckpointError(None, f"is no intact fastbp network ({reason})", str(path))

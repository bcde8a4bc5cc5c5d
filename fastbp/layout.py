"""Where everything of a network lives: widths, names, and places in the flat parameter vector."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp import checks, registry
from fastbp.checks import Array
from fastbp.errors import ConfigError, PluginCallError, ShapeError, UnknownNameError
from fastbp.layers import Layer, LayerSpec

Views = list[dict[str, Array]]  # for each layer its arrays by name


@dataclass(frozen=True)
class Slot:
    """One parameter: its layer (from 0), its name there, its shape and its first entry in flat."""

    layer: int
    key: str
    shape: tuple[int, ...]
    start: int

    @property
    def stop(self) -> int:
        size = 1
        for n in self.shape:
            size *= n
        return self.start + size


class Layout:
    """The structure of a network, without any of its numbers.

    Attributes
    ----------
    widths : tuple of int
        n_in and each layer's n_out.
    specs : tuple of LayerSpec
        What each layer asked for.
    names : tuple of str
        Name of each layer: its own, or its registered name and a count from 1.
    slots : dict of str to Slot
        Every parameter by its full name, in the order of the flat vector.
    affine : tuple of int
        Positions of the layers that are counted k = 1..L.
    size : int
        Length of the flat vector.
    """

    def __init__(self, n_in: int, layers: Sequence[Any], dtype: np.dtype[Any]) -> None:
        self.n_in = checks.integer("n_in", n_in, low=1)
        if isinstance(layers, Layer | str) or not isinstance(layers, Sequence):
            raise ConfigError(f"layers: got {layers!r}; wanted a list of layers")
        if not layers:
            raise ConfigError("layers: got an empty list; wanted one layer or more")
        self.layers: tuple[Layer, ...] = tuple(
            registry.resolve("layer", layer, Layer) for layer in layers
        )
        self.dtype = dtype
        self.specs: tuple[LayerSpec, ...] = tuple(self._build())
        self.widths = (self.n_in, *(spec.n_out for spec in self.specs))
        self.n_out = self.widths[-1]
        self.names = _names(self.layers)
        self.affine = tuple(i for i, layer in enumerate(self.layers) if layer.affine)
        self.slots: dict[str, Slot] = {}
        start = 0
        for i, (name, spec) in enumerate(zip(self.names, self.specs, strict=True)):
            for key, shape in spec.params.items():
                slot = Slot(i, key, tuple(shape), start)
                self.slots[f"{name}.{key}"] = slot
                start = slot.stop
        self.size = start

    def _build(self) -> Iterator[LayerSpec]:
        n = self.n_in
        for layer in self.layers:
            with registry.blamed(layer, "build"):
                spec = layer.build(n, self.dtype)
            try:
                _check_spec(spec)
                if layer.affine:
                    _check_affine(spec, n)
                if hasattr(layer, "__fastbp_elementwise__"):
                    _check_elementwise(spec, n)
            except (TypeError, ConfigError) as exc:
                name = registry.label(layer)
                raise PluginCallError(
                    f"{name}: build failed (it returned {spec!r}; {exc})"
                ) from exc
            yield spec
            n = spec.n_out

    def gain(self, layer: Layer) -> float:
        """A layer's gain, for the initialiser of the one before it, who is not to be blamed."""
        name = registry.label(layer)
        with registry.blamed(layer, "gain"):
            gain = layer.gain
        return checks.number(f"{name}.gain", gain, high=float(np.finfo(self.dtype).max) / 2)

    def views(self, flat: Array) -> Views:
        """For each layer its parameters, as views of a flat vector."""
        views: Views = [{} for _ in self.layers]
        for slot in self.slots.values():
            views[slot.layer][slot.key] = flat[slot.start : slot.stop].reshape(slot.shape)
        return views

    def weights(self, flat: Array) -> Iterator[Array]:
        """W of each affine layer, as views of a flat vector: what L2 acts on."""
        for slot in self.slots.values():
            if slot.key == "W" and self.layers[slot.layer].affine:
                yield flat[slot.start : slot.stop]

    def buffers(self) -> Views:
        """For each layer its buffers, new and zero."""
        return [
            {key: np.zeros(shape, self.dtype) for key, shape in spec.buffers.items()}
            for spec in self.specs
        ]


def _check_spec(spec: Any) -> None:
    """What `build` returned makes sense; a layer by anybody may come here."""
    if not isinstance(spec, LayerSpec):
        raise TypeError("wanted a LayerSpec")
    checks.integer("n_out", spec.n_out, low=1)
    for field in ("params", "buffers", "saved"):
        shapes = getattr(spec, field)
        if not isinstance(shapes, Mapping):
            raise TypeError(f"{field}: got {shapes!r}; wanted a mapping of names to shapes")
        for key, shape in shapes.items():
            if not isinstance(key, str) or not key or "." in key:
                raise ConfigError(f"{field}: got name {key!r}; wanted text without a dot")
            if not isinstance(shape, tuple):
                raise TypeError(f"{field}[{key!r}]: got {shape!r}; wanted a tuple of sizes")
            for n in shape:
                checks.integer(f"{field}[{key!r}]", n, low=0)
    twice = spec.params.keys() & spec.buffers.keys()
    if twice:
        raise ConfigError(f"buffers: got {sorted(twice)}, which are parameters too")


def _check_elementwise(spec: LayerSpec, n_in: int) -> None:
    """A layer with an elementwise table puts out as much as it takes in."""
    if spec.n_out != n_in:
        raise ConfigError(f"n_out: got {spec.n_out}; an elementwise layer has {n_in}")


def _check_affine(spec: LayerSpec, n_in: int) -> None:
    """An affine layer has W (n_out, n_in) and, if any, b (n_out,): the host computes with them."""
    wanted = {"W": (spec.n_out, n_in), "b": (spec.n_out,)}
    for key, shape in spec.params.items():
        if shape != wanted.get(key):
            raise ConfigError(f"params[{key!r}]: got {shape}; an affine layer has {wanted}")
    if "W" not in spec.params:
        raise ConfigError(f"params: got no 'W'; an affine layer has {wanted}")


class Named(Mapping[str, Array]):
    """Arrays by name. Writing to an entry writes into the array; none can be added or removed."""

    def __init__(self, symbol: str, arrays: dict[str, Array], whole: Array | None = None) -> None:
        self._symbol, self._arrays = symbol, arrays
        self._whole = whole  # what they are views of

    def __getitem__(self, name: str) -> Array:
        if not isinstance(name, str) or name not in self._arrays:
            known = ", ".join(self._arrays)
            raise UnknownNameError(f"{self._symbol}: got {name!r}; wanted one of {known}")
        return self._arrays[name]

    def __setitem__(self, name: str, value: Any) -> None:
        array = self[name]
        if value is not array:  # what `params[name] -= ...` ends with
            new = checks.as_real(name, value)
            if new.shape != array.shape:
                raise ShapeError(f"{name}: got shape {new.shape}; wanted {array.shape}")
            self.check_writeable(name)
            array[...] = checks.cast(name, new, array.dtype)

    def check_writeable(self, name: str) -> None:
        """Refuse to write into an array that its user has made read-only, alone or as a whole."""
        if self._whole is not None and not self._whole.flags.writeable:
            raise ConfigError(f"{name}: net.flat is a read-only array; wanted one to write to")
        if not self[name].flags.writeable:
            raise ConfigError(f"{name}: is a read-only array; wanted one to write to")

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name!r}: {array.shape}" for name, array in self._arrays.items())
        return f"{{{shapes}}}"


def _names(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    given = [layer.name for layer in layers if layer.name is not None]
    for name in given:
        if not isinstance(name, str) or not name or "." in name:
            raise ConfigError(f"name: got {name!r}; wanted text without a dot")
    counts = {stem: itertools.count(1) for stem in map(_stem, layers)}
    names = tuple(
        layer.name if layer.name is not None else f"{_stem(layer)}{next(counts[_stem(layer)])}"
        for layer in layers
    )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"name: got two layers named {twice[0]!r}; wanted different names")
    return names


def _stem(layer: Layer) -> str:
    return (registry.name_of(layer) or type(layer).__name__.lower()).replace("_", "")

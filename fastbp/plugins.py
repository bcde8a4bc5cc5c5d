"""From a name to a part's class: the built-in parts, and those that other packages bring.

A package brings parts by entry points in the groups ``fastbp.layers`` and ``fastbp.losses``.
Listing names loads nothing; a part is loaded when its name is asked for, and one that fails
disturbs no other. The built-in parts stand here as strings, the same ones that stand as entry
points in pyproject.toml, and answer first, so that they cost no look at what is installed.
"""

from __future__ import annotations

import difflib
import errno
import functools
import importlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastbp.errors import ConfigError, FastbpError, PluginCallError, PluginError, UnknownNameError
from fastbp.kernels.modes import kept_mode
from fastbp.parts import Part

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

CONTRACT = 1  # the version of the contract that this fastbp keeps
GROUPS = {"layer": "fastbp.layers", "loss": "fastbp.losses"}
BASES = {"layer": "fastbp.layers.base:Layer", "loss": "fastbp.losses.base:Loss"}
BUILTIN: dict[str, dict[str, str]] = {
    "layer": {
        "dense": "fastbp.layers.dense:Dense",
        "relu": "fastbp.layers.relu:ReLU",
        "sigmoid": "fastbp.layers.sigmoid:Sigmoid",
        "tanh": "fastbp.layers.tanh:Tanh",
    },
    "loss": {
        "sigmoid_cross_entropy": "fastbp.losses.sigmoid_cross_entropy:SigmoidCrossEntropy",
        "softmax_cross_entropy": "fastbp.losses.softmax_cross_entropy:SoftmaxCrossEntropy",
        "squared_error": "fastbp.losses.squared_error:SquaredError",
    },
}

# What other libraries call these, without case and "_"; the last are layers that fastbp has not.
ELSEWHERE: dict[str, dict[str, str]] = {
    "layer": {
        "'dense'": "linear fullyconnected fc affine innerproduct",
        "'relu'": "rectifier rectifiedlinear",
        "'sigmoid'": "logistic expit",
        "'tanh'": "hyperbolictangent",
        "no layer: a Dense alone is linear": "identity none",
        "no layer: loss='softmax_cross_entropy' holds it": "softmax logsoftmax",
    },
    "loss": {
        "'sigmoid_cross_entropy'": "bce bceloss bcewithlogits bcewithlogitsloss binarycrossentropy "
        "binarycrossentropywithlogits multilabelsoftmarginloss logistic",
        "'softmax_cross_entropy'": "crossentropy crossentropyloss categoricalcrossentropy nll "
        "sparsecategoricalcrossentropy nllloss negativeloglikelihood logloss softmax",
        "'squared_error'": "mse mseloss meansquarederror l2loss leastsquares",
    },
}


@dataclass(frozen=True)
class Entry:
    """One part that some distribution offers, loaded or not."""

    kind: str
    name: str
    value: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} = {self.value} of {self.distribution} {self.version}"


@dataclass(frozen=True)
class Description:
    """What is known of a part without loading it.

    Attributes
    ----------
    kind, name : str
    distribution, version : str
        Who brings it.
    contract : int or None
        Version of the contract it was written for; None before it is loaded.
    state : str
        "built-in", "not loaded", "loaded", "disabled", "conflict" (two distributions bring the
        name), "shadowed" (by a built-in part) or "bad name".
    """

    kind: str
    name: str
    distribution: str
    version: str
    contract: int | None
    state: str


def available(kind: str) -> list[str]:
    """The names of all parts of a kind, sorted; nothing is imported.

    Parameters
    ----------
    kind : {"layer", "loss"}

    Returns
    -------
    list of str
        Built-in parts and those of installed, not disabled distributions.

    Raises
    ------
    ConfigError
        There is no such kind.

    Examples
    --------
    >>> import fastbp as bp
    >>> {"dense", "relu"} <= set(bp.plugins.available("layer"))
    True
    """
    names = {found.point.name for found in _enabled(kind)}
    return sorted({name for name in names if _is_name(name)} | _builtin(kind).keys())


def get(kind: str, name: str) -> type[Any]:
    """The class of a part by its name; imports it when it was not yet.

    Parameters
    ----------
    kind : {"layer", "loss"}
    name : str
        A name from :func:`available`, or ``"distribution:name"`` to pick one of several.

    Returns
    -------
    type

    Raises
    ------
    UnknownNameError
        No part of that kind goes by the name: close matches, what is installed and what is
        disabled are listed.
    PluginError
        The part could not be loaded, is no part, keeps another contract, or two distributions
        bring the name. The cause is chained; asking again tries again.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.plugins.get("layer", "relu")
    <class 'fastbp.layers.relu.ReLU'>
    """
    if not isinstance(name, str):
        raise UnknownNameError(f"{kind}: got {name!r}; wanted one of {', '.join(available(kind))}")
    if name in _builtin(kind):
        return _import(_builtin(kind)[name])
    distribution, _, short = name.rpartition(":")
    if same(distribution, "fastbp") and short in _builtin(kind):
        return _import(_builtin(kind)[short])
    found = [found for found in _enabled(kind) if found.point.name == short]
    if distribution:
        found = [found for found in found if same(found.entry.distribution, distribution)]
    if not found:
        raise UnknownNameError(_unknown(kind, name))
    entries = [found.entry for found in found]
    if len(found) > 1:
        raise PluginError(
            f"{kind} {short!r} is brought by {' and by '.join(map(str, entries))}; pick one as "
            f"{entries[0].distribution + ':' + short!r}, or disable one with FASTBP_DISABLE_PLUGINS"
        )
    return _load(found[0])


def layer(name: str, **config: Any) -> Any:
    """A layer by the name it is registered under.

    Parameters
    ----------
    name : str
    **config
        The arguments of its class.

    Returns
    -------
    Layer

    Raises
    ------
    UnknownNameError, PluginError, ConfigError
        As :func:`fastbp.plugins.get`; the arguments do not fit.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.layer("dense", n_out=3)
    Dense(3)
    """
    return _make("layer", name, config)


def loss(name: str, **config: Any) -> Any:
    """A loss by the name it is registered under.

    Parameters
    ----------
    name : str
    **config
        The arguments of its class.

    Returns
    -------
    Loss

    Raises
    ------
    UnknownNameError, PluginError, ConfigError
        As :func:`fastbp.plugins.get`; the arguments do not fit.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.loss("squared_error")
    SquaredError()
    """
    return _make("loss", name, config)


def get_include() -> str:
    """The folder to compile C plugins with: ``#include <fastbp/plugin.h>`` is found in it.

    Returns
    -------
    str

    Examples
    --------
    >>> import os, fastbp as bp
    >>> os.path.exists(os.path.join(bp.get_include(), "fastbp", "plugin.h"))
    True
    """
    return str(Path(__file__).parent / "include")


def refresh() -> None:
    """Look again at what is installed: packages may have come or gone since.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.plugins.refresh()
    """
    importlib.invalidate_caches()
    _scan.cache_clear()
    registered.cache_clear()


def describe() -> list[Description]:
    """Every part, built-in ones first, with its distribution and state; nothing is imported.

    Returns
    -------
    list of Description

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.plugins.describe()[0].name
    'dense'
    """
    rows = []
    for kind in GROUPS:
        for name in sorted(_builtin(kind)):
            rows.append(Description(kind, name, "fastbp", _own_version(), CONTRACT, "built-in"))
    for kind in GROUPS:
        enabled = [found.entry for found in _scan(kind) if not _is_disabled(found)]
        entries = [found.entry for found in _scan(kind)]
        for entry in sorted(entries, key=lambda entry: (entry.name, entry.distribution)):
            part = _loaded.get(entry)
            same = [other for other in enabled if other.name == entry.name]
            state = "loaded" if part is not None else "not loaded"
            if entry not in enabled:
                state = "disabled"
            elif not _is_name(entry.name):
                state = "bad name"
            elif entry.name in _builtin(kind):
                state = "shadowed"
            elif len(same) > 1:
                state = "conflict"
            contract = getattr(part, "contract", None)
            rows.append(
                Description(kind, entry.name, entry.distribution, entry.version, contract, state)
            )
    return rows


def name_of(part: Part) -> str | None:
    """The name a part's class is registered under, or None."""
    entry = entry_of(part)
    return entry.name if entry is not None else None


def entry_of(part: Part) -> Entry | None:
    """Who registers a part's class, or None."""
    return registered(type(part))


@functools.cache
def registered(cls: type[Any]) -> Entry | None:
    """Who registers a class, or None."""
    value = f"{cls.__module__}:{cls.__qualname__}"
    for kind, table in BUILTIN.items():
        for name, known in table.items():
            if known == value:
                return Entry(kind, name, value, "fastbp", _own_version())
    for entry, part in _loaded.items():
        if part is cls:
            return entry
    kinds = [kind for kind, base in BASES.items() if issubclass(cls, _import(base))]
    for found in _candidates(kinds, cls):  # imported by its module's name, not through `get`
        try:
            if _load(found) is cls:
                return found.entry
        except PluginError:
            continue  # whoever asks for that one by name is told
    return None


def label(part: Part) -> str:
    """What messages call a part: its name, and who brings it when that is not fastbp."""
    entry = entry_of(part)
    if entry is None:
        return type(part).__qualname__
    return entry.name if entry.distribution == "fastbp" else str(entry)


def same(one: str, other: str) -> bool:
    """Whether two names of a distribution are one: case, "-", "_" and "." do not count."""
    return _plain(one) == _plain(other)


class blamed:
    """Give a failure of a part's function the part's name.

    fastbp's own errors, which are about what the caller handed over, pass as they are; so do Ctrl-C
    and whatever else is no failure, but for SystemExit: a part does not end its user's program. The
    thread keeps its floating-point mode.
    """

    def __init__(self, part: Part, function: str) -> None:
        self._part, self._function, self._mode = part, function, kept_mode()

    def __enter__(self) -> None:
        self._mode.__enter__()

    def __exit__(self, kind: Any, exc: BaseException | None, trace: Any) -> None:
        self._mode.__exit__()
        if not isinstance(exc, Exception | SystemExit) or isinstance(
            exc, FastbpError | MemoryError
        ):
            return
        raise PluginCallError(
            f"{label(self._part)}: {self._function} failed ({type(exc).__name__}: {exc})"
        ) from exc


def resolve(kind: str, part: Any, base: type[Any]) -> Any:
    """An instance of `base` from an instance or from the name of a part without arguments."""
    if isinstance(part, base):
        contract = getattr(part, "contract", None)
        if contract != CONTRACT:
            raise PluginError(
                f"{label(part)} keeps contract {contract!r}; this fastbp keeps {CONTRACT}"
            )
        return part
    if isinstance(part, str):
        return _make(kind, part, {})
    if isinstance(part, type) and issubclass(part, base):
        raise ConfigError(f"{kind}: got the class {part.__name__}; pass {part.__name__}(...)")
    raise ConfigError(
        f"{kind}: got {type(part).__name__} {part!r}; wanted a {base.__name__} or a name"
    )


# Inside

_loaded: dict[Entry, type[Any]] = {}
_warned: set[Entry] = set()


class _Found:
    """An entry point, and its distribution once that is asked for: a file is read for it."""

    def __init__(self, kind: str, point: EntryPoint) -> None:
        self.kind, self.point = kind, point

    @functools.cached_property
    def entry(self) -> Entry:
        try:
            metadata = self.point.dist.metadata  # type: ignore[union-attr]  # None: caught as well
            name, version = metadata["Name"] or "unknown", metadata["Version"] or "unknown"
        except Exception as exc:  # a folder without METADATA, left behind by an installation
            _pass_exhaustion(exc)
            name = version = "unknown"
        return Entry(self.kind, self.point.name, self.point.value, name, version)


def _builtin(kind: str) -> dict[str, str]:
    if not isinstance(kind, str) or kind not in BUILTIN:
        raise ConfigError(f"kind: got {kind!r}; wanted {' or '.join(map(repr, BUILTIN))}")
    return BUILTIN[kind]


def _own_version() -> str:
    return str(importlib.import_module("fastbp").__version__)


def _make(kind: str, name: str, config: dict[str, Any]) -> Any:
    cls = get(kind, name)
    try:
        with kept_mode():
            return cls(**config)
    except TypeError as exc:
        given = f" with {config}" if config else ", which needs arguments"
        raise ConfigError(f"{kind}: got {name!r}{given} ({exc}); pass {cls.__name__}(...)") from exc


def _import(value: str) -> type[Any]:
    module, _, attribute = value.partition(":")
    part: type[Any] = getattr(importlib.import_module(module), attribute)
    return part


@functools.cache
def _scan(kind: str) -> tuple[_Found, ...]:
    """All entry points of a kind but fastbp's own, from one look at the installed packages."""
    own = _builtin(kind)
    points = _entry_points(GROUPS[kind])
    return tuple(_Found(kind, point) for point in points if own.get(point.name) != point.value)


def _entry_points(group: str) -> list[EntryPoint]:
    from importlib.metadata import distributions, entry_points  # 55 ms; built-in names do not pay

    try:
        return list(entry_points(group=group))
    except Exception as exc:  # one damaged entry_points.txt spoils that call; not the others
        _pass_exhaustion(exc)
        found: dict[str, list[EntryPoint]] = {}
        for dist in distributions():
            try:
                found.setdefault(_plain(dist.name), list(dist.entry_points.select(group=group)))
            except Exception as damage:
                _pass_exhaustion(damage)
        return [point for points in found.values() for point in points]


def _pass_exhaustion(exc: BaseException) -> None:
    """Raise what tells of this process and not of a package: it may go well the next time."""
    handles = isinstance(exc, OSError) and exc.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
    if handles or isinstance(exc, MemoryError):
        raise exc


def _is_disabled(found: _Found) -> bool:
    off = {_plain(name) for name in os.environ.get("FASTBP_DISABLE_PLUGINS", "").split(",")} - {""}
    return "all" in off or (bool(off) and _plain(found.entry.distribution) in off)


def _enabled(kind: str) -> list[_Found]:
    own = _builtin(kind)
    enabled = [found for found in _scan(kind) if not _is_disabled(found)]
    for found in enabled:
        if found.point.name in own and found.entry not in _warned:
            entry = found.entry
            _warned.add(entry)
            warnings.warn(
                f"{entry} has the name of a built-in part, which wins; "
                f"{entry.distribution + ':' + entry.name!r} asks for it",
                RuntimeWarning,
                stacklevel=4,
            )
    return enabled


def _load(found: _Found) -> type[Any]:
    entry = found.entry
    if entry in _loaded:
        return _loaded[entry]
    if not _is_name(entry.name):
        raise PluginError(f"{entry}: its name is none; wanted small letters, digits and _")
    part: Any
    try:
        with kept_mode():  # a library made with -ffast-math changes it when it is loaded
            part = found.point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # SystemExit too: a part does not end its user's program
        _pass_exhaustion(exc)
        importlib.invalidate_caches()  # so that the next try sees what was mended
        raise PluginError(f"{entry} could not be loaded ({type(exc).__name__}: {exc})") from exc
    base = _import(BASES[entry.kind])
    if not (isinstance(part, type) and issubclass(part, base)):
        raise PluginError(f"{entry} is {part!r}; wanted a subclass of fastbp's {base.__name__}")
    contract = getattr(part, "contract", None)
    if contract != CONTRACT:
        raise PluginError(f"{entry} keeps contract {contract!r}; this fastbp keeps {CONTRACT}")
    _loaded[entry] = part
    registered.cache_clear()
    return part


def _candidates(kinds: list[str], cls: type[Any]) -> Iterator[_Found]:
    package = cls.__module__.partition(".")[0]
    for kind in kinds:
        for found in _enabled(kind):
            if re.split("[.:]", found.point.value)[0] == package:
                yield found


def _is_name(name: str) -> bool:
    return re.fullmatch("[a-z][a-z0-9_]*", name) is not None


def _plain(distribution: str) -> str:
    return re.sub("[-_.]+", "-", distribution.strip()).lower()  # PEP 503


def _unknown(kind: str, name: str) -> str:
    names = available(kind)
    short = name.rpartition(":")[2].lower()
    close = difflib.get_close_matches(short, names, n=1)
    text = f"{kind}: got {name!r}; wanted one of {', '.join(names)}"
    plain = re.sub("[-_ ]", "", short)
    ours = [ours for ours, words in ELSEWHERE[kind].items() if plain in words.split()]
    if ours:
        text += f"; here that is {ours[0]}"
        if plain == "linear":
            text += ", and no layer where an activation is wanted"
    elif close:
        text += f"; did you mean {close[0]!r}?"
    disabled = [str(found.entry) for found in _scan(kind) if _is_disabled(found)]
    if disabled:
        text += f"; disabled by FASTBP_DISABLE_PLUGINS: {', '.join(disabled)}"
    return text

"""From an entry point to the class behind it, and from a class back to who registers it."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterator
from typing import Any

from fastbp.errors import PluginError
from fastbp.kernels.modes import kept_mode
from fastbp.registry.builtin import BASES, BUILTIN, CONTRACT
from fastbp.registry.entries import Entry, Found, enabled, is_name, own_version, pass_exhaustion
from fastbp.registry.part import Part

loaded: dict[Entry, type[Any]] = {}


def load(found: Found) -> type[Any]:
    entry = found.entry
    if entry in loaded:
        return loaded[entry]
    if not is_name(entry.name):
        raise PluginError(f"{entry}: its name is none; wanted small letters, digits and _")
    part: Any
    try:
        with kept_mode():  # a library made with -ffast-math changes it when it is loaded
            part = found.point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # SystemExit too: a part does not end its user's program
        pass_exhaustion(exc)
        importlib.invalidate_caches()  # so that the next try sees what was mended
        raise PluginError(f"{entry} could not be loaded ({type(exc).__name__}: {exc})") from exc
    base = import_class(BASES[entry.kind])
    if not (isinstance(part, type) and issubclass(part, base)):
        raise PluginError(f"{entry} is {part!r}; wanted a subclass of fastbp's {base.__name__}")
    contract = getattr(part, "contract", None)
    if contract != CONTRACT:
        raise PluginError(f"{entry} keeps contract {contract!r}; this fastbp keeps {CONTRACT}")
    loaded[entry] = part
    registered.cache_clear()
    return part


def import_class(value: str) -> type[Any]:
    module, _, attribute = value.partition(":")
    part: type[Any] = getattr(importlib.import_module(module), attribute)
    return part


@functools.cache
def registered(cls: type[Any]) -> Entry | None:
    """Who registers a class, or None."""
    value = f"{cls.__module__}:{cls.__qualname__}"
    for kind, table in BUILTIN.items():
        for name, known in table.items():
            if known == value:
                return Entry(kind, name, value, "fastbp", own_version())
    for entry, part in loaded.items():
        if part is cls:
            return entry
    kinds = [kind for kind, base in BASES.items() if issubclass(cls, import_class(base))]
    for found in candidates(kinds, cls):  # imported by its module's name, not through `get`
        try:
            if load(found) is cls:
                return found.entry
        except PluginError:
            continue  # whoever asks for that one by name is told
    return None


def candidates(kinds: list[str], cls: type[Any]) -> Iterator[Found]:
    package = cls.__module__.partition(".")[0]
    for kind in kinds:
        for found in enabled(kind):
            if re.split("[.:]", found.point.value)[0] == package:
                yield found


def entry_of(part: Part) -> Entry | None:
    """Who registers a part's class, or None."""
    return registered(type(part))


def name_of(part: Part) -> str | None:
    """The name a part's class is registered under, or None."""
    entry = entry_of(part)
    return entry.name if entry is not None else None

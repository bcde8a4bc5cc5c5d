"""What installed packages offer, by their entry points; nothing of theirs is imported here."""

from __future__ import annotations

import errno
import functools
import importlib
import os
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastbp.registry.builtin import GROUPS, builtin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

warned: set[Entry] = set()


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


class Found:
    """An entry point, and its distribution once that is asked for: a file is read for it."""

    def __init__(self, kind: str, point: EntryPoint) -> None:
        self.kind, self.point = kind, point

    @functools.cached_property
    def entry(self) -> Entry:
        try:
            metadata = self.point.dist.metadata  # type: ignore[union-attr]  # None: caught as well
            name, version = metadata["Name"] or "unknown", metadata["Version"] or "unknown"
        except Exception as exc:  # a folder without METADATA, left behind by an installation
            pass_exhaustion(exc)
            name = version = "unknown"
        return Entry(self.kind, self.point.name, self.point.value, name, version)


@functools.cache
def scan(kind: str) -> tuple[Found, ...]:
    """All entry points of a kind but fastbp's own, from one look at the installed packages."""
    own = builtin(kind)
    points = _entry_points(GROUPS[kind])
    return tuple(Found(kind, point) for point in points if own.get(point.name) != point.value)


def _entry_points(group: str) -> list[EntryPoint]:
    from importlib.metadata import distributions, entry_points  # 55 ms; built-in names do not pay

    try:
        return list(entry_points(group=group))
    except Exception as exc:  # one damaged entry_points.txt spoils that call; not the others
        pass_exhaustion(exc)
        found: dict[str, list[EntryPoint]] = {}
        for dist in distributions():
            try:
                found.setdefault(plain(dist.name), list(dist.entry_points.select(group=group)))
            except Exception as damage:
                pass_exhaustion(damage)
        return [point for points in found.values() for point in points]


def pass_exhaustion(exc: BaseException) -> None:
    """Raise what tells of this process and not of a package: it may go well the next time."""
    handles = isinstance(exc, OSError) and exc.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
    if handles or isinstance(exc, MemoryError):
        raise exc


def is_disabled(found: Found) -> bool:
    off = {plain(name) for name in os.environ.get("FASTBP_DISABLE_PLUGINS", "").split(",")} - {""}
    return "all" in off or (bool(off) and plain(found.entry.distribution) in off)


def enabled(kind: str) -> list[Found]:
    own = builtin(kind)
    enabled = [found for found in scan(kind) if not is_disabled(found)]
    for found in enabled:
        if found.point.name in own and found.entry not in warned:
            entry = found.entry
            warned.add(entry)
            warnings.warn(
                f"{entry} has the name of a built-in part, which wins; "
                f"{entry.distribution + ':' + entry.name!r} asks for it",
                RuntimeWarning,
                stacklevel=4,
            )
    return enabled


def is_name(name: str) -> bool:
    return re.fullmatch("[a-z][a-z0-9_]*", name) is not None


def plain(distribution: str) -> str:
    return re.sub("[-_.]+", "-", distribution.strip()).lower()  # PEP 503


def same(one: str, other: str) -> bool:
    """Whether two names of a distribution are one: case, "-", "_" and "." do not count."""
    return plain(one) == plain(other)


def own_version() -> str:
    return str(importlib.import_module("fastbp").__version__)

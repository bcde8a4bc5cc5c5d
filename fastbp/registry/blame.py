"""Whom to blame: what messages call a part, and failures under its name."""

from __future__ import annotations

from typing import Any

from fastbp.errors import FastbpError, PluginCallError
from fastbp.kernels.modes import kept_mode
from fastbp.registry.loading import entry_of
from fastbp.registry.part import Part


def label(part: Part) -> str:
    """What messages call a part: its name, and who brings it when that is not fastbp."""
    entry = entry_of(part)
    if entry is None:
        return type(part).__qualname__
    return entry.name if entry.distribution == "fastbp" else str(entry)


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

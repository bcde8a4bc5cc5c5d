"""The progress bar of fit: tqdm's when it is installed, else one line of text."""

from __future__ import annotations

import sys
import time
from typing import Any

from fastbp.errors import ConfigError


class Silent:
    """Shows nothing."""

    def advance(self, note: str, steps: int = 1) -> None:
        """So many more steps are done."""

    def close(self) -> None:
        """No step will follow."""


class Bar(Silent):
    """tqdm's bar."""

    def __init__(self, total: int, tqdm: Any) -> None:
        self._bar = tqdm(total=total, unit="step", file=sys.stderr, leave=False)

    def advance(self, note: str, steps: int = 1) -> None:
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(steps)

    def close(self) -> None:
        self._bar.close()


class Line(Silent):
    """A line of text, rewritten ten times a second at most."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._next, self._width = total, 0, 0.0, 0

    def advance(self, note: str, steps: int = 1) -> None:
        self._done += steps
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.1
            text = f"step {self._done}/{self._total} {note}"
            self._width = max(self._width, len(text))
            print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)


def progress_bar(mode: bool | str, total: int) -> Silent:
    """The bar for `total` steps; "auto" shows one when stderr is a terminal."""
    if not (isinstance(mode, bool) or (isinstance(mode, str) and mode == "auto")):
        raise ConfigError(f"progress: got {mode!r}; wanted 'auto', True or False")
    if sys.stderr is None or not (sys.stderr.isatty() if mode == "auto" else mode):
        return Silent()
    try:
        from tqdm import tqdm
    except ImportError:
        return Line(total)
    return Bar(total, tqdm)

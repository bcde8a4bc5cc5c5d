"""The progress bar of fit: tqdm's when it is installed, else one line of text."""

from __future__ import annotations

import os
import sys
import time
import warnings
from typing import Any

from fastbp.errors import ConfigError


class Silent:
    """Shows nothing."""

    def advance(self, *words: str, steps: int = 1) -> None:
        """So many more steps are done; of the words the last say most."""

    def close(self) -> None:
        """No step will follow."""


class Bar(Silent):
    """tqdm's bar, its words before it: what is too long for a line is cut at the end."""

    def __init__(self, total: int, tqdm: Any) -> None:
        self._bar = tqdm(total=total, unit="step", file=sys.stderr, leave=False)

    def advance(self, *words: str, steps: int = 1) -> None:
        self._bar.set_description_str(fitting(*words), refresh=False)
        self._bar.update(steps)

    def close(self) -> None:
        self._bar.close()


class Line(Silent):
    """A line of text, rewritten ten times a second at most."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._next, self._width = total, 0, 0.0, 0

    def advance(self, *words: str, steps: int = 1) -> None:
        self._done += steps
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.1
            text = fitting(f"step {self._done}/{self._total}", *words)
            self._width = max(self._width, len(text))
            print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)


def fitting(*words: str) -> str:
    """The last of the words, as many as have room whole: half a number is a wrong number."""
    try:
        room = os.get_terminal_size(sys.stderr.fileno()).columns - 1
    except (OSError, ValueError, AttributeError):  # no terminal, or a stream of another kind
        room = 0
    if room <= 0:  # nobody has told the terminal its width
        room = 79
    while words and len(" ".join(words)) > room:
        words = words[1:]
    return " ".join(words)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process: its stderr shows, though it is no terminal."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and hasattr(get_ipython(), "kernel")


def progress_bar(mode: bool | str, total: int) -> Silent:
    """The bar for `total` steps; "auto" shows one on a terminal and in a notebook."""
    if not (isinstance(mode, bool) or (isinstance(mode, str) and mode == "auto")):
        raise ConfigError(f"progress: got {mode!r}; wanted 'auto', True or False")
    notebook = in_notebook()
    if sys.stderr is None or not (notebook or _is_terminal() if mode == "auto" else mode):
        return Silent()
    try:
        return Bar(total, _tqdm(notebook))
    except ImportError:
        return Line(total)


def _is_terminal() -> bool:
    return bool(getattr(sys.stderr, "isatty", lambda: False)())


def _tqdm(notebook: bool) -> Any:
    if not notebook:
        from tqdm import tqdm

        return tqdm
    with warnings.catch_warnings():  # where ipywidgets is missing, that the bar is one of text
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm as auto
    return auto

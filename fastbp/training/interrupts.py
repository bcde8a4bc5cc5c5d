"""Ctrl-C, which stops a training between two steps and never within one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C as Python has it, at once, where no step is under way."""
    flagged = signal.getsignal(signal.SIGINT)
    if not isinstance(flagged, _Flag) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, flagged)


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[], None]]:
    """Ctrl-C as a flag, which the function handed out turns into KeyboardInterrupt.

    So that it stops between two steps. Other threads than the main one, and programs with a
    handler of their own, keep what they have.
    """
    flag = _Flag()
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield flag.raise_if_set
        return
    signal.signal(signal.SIGINT, flag)
    try:
        yield flag.raise_if_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    flag.raise_if_set()


class _Flag:
    """A handler of SIGINT that only notes that it came."""

    def __init__(self) -> None:
        self.is_set = False

    def __call__(self, number: int, frame: Any) -> None:
        self.is_set = True

    def raise_if_set(self) -> None:
        if self.is_set:
            raise KeyboardInterrupt

"""Time several things in turn, A B C A B C: only what was measured side by side is compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from statistics import median
from typing import Any, NamedTuple

TURN = 0.03  # seconds; a step that takes longer is made once


class Entry(NamedTuple):
    """Something to call, and a context around each of its turns, entered outside the clock.

    A function or a bound method, which Python calls like those of users: calling an object by its
    class's `__call__` costs 50 ns more, a tenth of the smallest step.
    """

    call: Callable[[], Any]
    context: Callable[[], Any] = nullcontext


def in_turn(entries: Mapping[str, Entry], rounds: int, rest: float = 0.0) -> dict[str, list[float]]:
    """Seconds a call of each entry, by round; `rest` seconds of sleep before each turn."""
    calls = {name: _calls(entry) for name, entry in entries.items()}
    seconds: dict[str, list[float]] = {name: [] for name in entries}
    for _ in range(rounds):
        for name, entry in entries.items():
            time.sleep(rest)
            with entry.context():
                entry.call()  # its arrays into the cache
                seconds[name].append(_seconds(entry.call, calls[name]))
    return seconds


def ratio(above: list[float], below: list[float]) -> float:
    """Median over rounds of the ratio within a round."""
    return median(a / b for a, b in zip(above, below, strict=True))


def _calls(entry: Entry) -> int:
    """Calls that fill a turn; the first ones may compile, allocate or start threads."""
    with entry.context():
        _seconds(entry.call, 3)
        return max(1, int(TURN / max(_seconds(entry.call, 3), 1e-7)))


def _seconds(call: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls

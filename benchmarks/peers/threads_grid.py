"""The same step with one thread and with two, of every library that can be told."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from statistics import median
from types import ModuleType
from typing import Any

from .grid import checked
from .nets import Row
from .peak import Peak
from .timing import Entry, in_turn, ratio


def run(row: Row, modules: Mapping[str, ModuleType], rounds: int, peak: Peak | None) -> Any:
    """Times and the target of one row, as they go into the JSON.

    A library that cannot be told stands under "all": it took the CPUs it found. "cpus" is what
    arithmetic alone gains: multiply-adds on registers by two threads, who share them as they come.
    """
    steps, refused = checked(row, modules)
    entries = {}
    for name, step in steps.items():
        module = modules[name]
        for n in module.COUNTS:
            entries[f"{name} {n}"] = Entry(step.__call__, partial(module.threads, n))
        if not module.COUNTS:
            entries[f"{name} all"] = Entry(step.__call__)
    if peak is not None:
        entries |= {f"peak {n}": Entry(partial(peak.on, n)) for n in (1, 2)}
    # a BLAS library's threads wait awake for up to 30 ms after their last work
    seconds = in_turn(entries, rounds, rest=0.06)
    peaks = [seconds.pop(f"peak {n}") for n in (1, 2)] if peak is not None else None
    speedup = {
        name: ratio(seconds[f"{name} 1"], seconds[f"{name} 2"])
        for name in steps
        if f"{name} 2" in seconds
    }
    ours = speedup.get("fastbp")
    return {
        "name": row.name,
        "seconds": seconds,
        "refused": refused,
        **_best(seconds),
        "speedup": speedup,
        "cpus": ratio(*peaks) if peaks else None,
        "wanted_speedup": row.speedup,
        "holds": ours is not None and ours >= row.speedup and not refused,
    }


def _best(seconds: Mapping[str, list[float]]) -> dict[str, Any]:
    """The fastest other library, on the thread count that suits it, over fastbp on its own."""
    ours = [times for name, times in seconds.items() if name.startswith("fastbp ")]
    others = {name: times for name, times in seconds.items() if not name.startswith("fastbp ")}
    if not others:
        return {"best": None, "ratio": None}
    fastest = [min(times) for times in zip(*others.values(), strict=True)]
    return {
        "best": min(others, key=lambda name: median(others[name])),
        "ratio": ratio(fastest, [min(times) for times in zip(*ours, strict=True)]),
    }

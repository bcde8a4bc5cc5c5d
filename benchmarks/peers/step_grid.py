"""One training step on one CPU, beside the peak measured in the same rounds."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from types import ModuleType
from typing import Any

from .grid import checked
from .nets import Row
from .peak import Peak
from .timing import Entry, in_turn, ratio


def run(row: Row, modules: Mapping[str, ModuleType], rounds: int, peak: Peak | None) -> Any:
    """Times and targets of one row, as they go into the JSON."""
    steps, refused = checked(row, modules)
    entries = {name: Entry(step.__call__) for name, step in steps.items()}
    if peak is not None:
        entries["peak"] = Entry(peak.call)
    seconds = in_turn(entries, rounds)
    peaks = [peak.flops / s for s in seconds.pop("peak")] if peak is not None else None
    return {"name": row.name, "seconds": seconds, "peak": peaks, "refused": refused} | judge(
        row, seconds, peaks, refused
    )


def judge(
    row: Row, seconds: Mapping[str, list[float]], peaks: list[float] | None, refused: Any
) -> dict[str, Any]:
    """Medians of ratios within a round, and whether one of the row's two targets holds."""
    ours = seconds["fastbp"]
    others = {name: times for name, times in seconds.items() if name != "fastbp"}
    best = times_faster = fraction = None
    if others:
        best = min(others, key=lambda name: median(others[name]))
        times_faster = ratio([min(times) for times in zip(*others.values(), strict=True)], ours)
    if peaks is not None:
        fraction = median(row.flops / s / p for s, p in zip(ours, peaks, strict=True))
    wanted = [(times_faster, row.ratio), (fraction, row.fraction)]
    compared = [got >= want for got, want in wanted if got is not None and want is not None]
    return {
        "best": best,
        "ratio": times_faster,
        "wanted_ratio": row.ratio,
        "flops": row.flops,
        "fraction": fraction,
        "wanted_fraction": row.fraction,
        "holds": (any(compared) and not refused) if compared else None,
    }

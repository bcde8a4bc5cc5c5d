"""The results as text, a row as soon as it is measured."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median
from typing import Any

NAME, WIDE = 24, 17
MICRO = 1e6


def header(grid: str, names: Sequence[str]) -> str:
    """Column titles; `names` are the libraries beside fastbp."""
    if grid == "step":
        ends = ["best", "ratio", "wanted", "GFLOP/s", "of peak", "wanted", "holds"]
        return _line("µs per step", ["fastbp", *names, *ends])
    if grid == "fit":
        titles = [t for n in ["fastbp", *names] for t in (f"{n} s", "accuracy")]
        return _line("whole fit", [*titles, "ratio", "wanted", "holds"])
    titles = ["fastbp", *names, "best", "ratio"]
    return _line("µs, 1/2 threads", [*titles, "CPUs", "wanted", "holds"], WIDE)


def line(grid: str, row: dict[str, Any], names: Sequence[str]) -> str:
    """The row as it stands in the JSON."""
    return {"step": _step, "fit": _fit}.get(grid, _threads)(row, ["fastbp", *names])


def _step(row: dict[str, Any], names: Sequence[str]) -> str:
    seconds = row["seconds"]
    gflops = row["flops"] / median(seconds["fastbp"]) / 1e9
    cells = [_number(MICRO * median(seconds[n])) if n in seconds else "refused" for n in names]
    cells += [row["best"] or "-", _number(row["ratio"]), _number(row["wanted_ratio"])]
    cells += [_number(gflops), _number(row["fraction"]), _number(row["wanted_fraction"])]
    return _line(row["name"], [*cells, _verdict(row)])


def _fit(row: dict[str, Any], names: Sequence[str]) -> str:
    cells = []
    for name in names:
        cells += [_number(median(row["seconds"][name])), f"{mean(row['accuracy'][name]):.4f}"]
    return _line(
        row["name"], [*cells, _number(row["ratio"]), str(row["wanted_ratio"]), _verdict(row)]
    )


def _threads(row: dict[str, Any], names: Sequence[str]) -> str:
    seconds, cells = row["seconds"], []
    for name in names:
        counts = [n for n in ("1", "2", "all") if f"{name} {n}" in seconds]
        cell = "/".join(_number(MICRO * median(seconds[f"{name} {n}"])) for n in counts)
        if name in row["speedup"]:
            cell += f" {_times(row['speedup'][name])}"
        cells.append(cell or "refused")
    cells += [row["best"] or "-", _number(row["ratio"])]
    cells += [_times(row["cpus"]), _times(row["wanted_speedup"])]
    return _line(row["name"], [*cells, _verdict(row)], WIDE)


def _line(name: str, cells: Sequence[str], narrow: int = 9) -> str:
    return f"{name:<{NAME}}" + "".join(f"{cell:>{max(narrow, len(cell) + 1)}}" for cell in cells)


def _number(value: float | None) -> str:
    """Three figures, and never an exponent."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{_number(value)}x"


def _verdict(row: dict[str, Any]) -> str:
    return {True: "yes", False: "SHORT", None: "-"}[row["holds"]]

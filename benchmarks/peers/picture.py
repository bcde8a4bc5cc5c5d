"""One picture of the step grid: how many times longer each library takes than fastbp."""

from __future__ import annotations

from math import log10
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from .timing import ratio

# colour-blind safe, and apart in brightness: Okabe and Ito, "Color universal design", 2008
COLOURS = {
    "numpy": "#0072B2",
    "jax": "#D55E00",
    "torch": "#CC79A7",
    "sklearn": "#009E73",
    "thinc": "#8C6D00",
}
TITLES = {"numpy": "NumPy", "jax": "JAX jit", "torch": "PyTorch", "sklearn": "scikit-learn"}
INK, GREY, OURS = "#222222", "#777777", "#111111"
ABOVE, ROW, BELOW = 0.97, 0.443, 0.38  # inches: over the axes, of a row of them, under them
LABELS = -0.85  # where names stand, in rows from the first
APART = 0.125  # of their middles, in widths of the axis


def draw(grid: dict[str, Any], file: Path) -> None:
    """Write the picture; its format is that of the file's name."""
    rows = grid["rows"]
    names = [n for n in COLOURS if any(n in row["seconds"] for row in rows)]
    slower = {name: [_slower(row, name) for row in rows] for name in names}
    inside = ROW * (len(rows) + 0.1)
    height = ABOVE + inside + BELOW
    figure = Figure(figsize=(9, height), dpi=200, facecolor="white")
    axes = figure.add_axes((0.265, BELOW / height, 0.615, inside / height))
    y = range(len(rows))

    axes.axvline(1, color=OURS, linewidth=2.5, zorder=2)
    for name in names:
        axes.plot(
            slower[name], y, color=COLOURS[name], linewidth=1.6, marker="o", markersize=5.5,
            markeredgecolor="white", markeredgewidth=0.7, zorder=3,
        )  # fmt: skip
    _frame(axes, rows, slower)
    _titles(axes, names, slower)
    title = "Time of one training step, as a multiple of fastbp's"
    figure.text(0.015, 1 - 0.3 / height, title, **_text(12.5))
    figure.text(0.015, 1 - 0.51 / height, _caption(grid), **_text(8, GREY))
    figure.savefig(file)


def _slower(row: dict[str, Any], name: str) -> float:
    times = row["seconds"].get(name)
    return ratio(times, row["seconds"]["fastbp"]) if times else float("nan")


def _frame(axes: Any, rows: list[Any], slower: dict[str, list[float]]) -> None:
    """Nets on the left, fastbp's own time on the right, factors along the bottom."""
    found = [x for values in slower.values() for x in values if x == x]  # NaN: refused
    axes.set_xscale("log")
    axes.set_xlim(min([0.8, *(x * 0.8 for x in found)]), 1.5 * max([2.0, *found]))
    axes.set_ylim(len(rows) - 0.5, -0.6)
    low, high = axes.get_xlim()
    steps = (1, 3) if high / low > 500 else (1, 2, 5)
    ticks = [n * 10.0**p for p in range(-3, 5) for n in steps if low <= n * 10.0**p <= high]
    axes.set_xticks(ticks, [f"{t:g}×" for t in ticks], color=GREY, fontsize=9)
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(rows)), [_net(row["name"]) for row in rows], fontsize=9, color=INK)
    axes.tick_params(length=0)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    for k in range(len(rows)):
        axes.axhline(k, color="#f2f2f2", linewidth=7, zorder=0)
    axes.spines[:].set_visible(False)
    beside = axes.get_yaxis_transform()
    right = {"transform": beside, "ha": "right"}
    axes.text(1.175, LABELS, "fastbp\ntakes", **right, **_text(9, OURS, weight="bold"))
    for k, row in enumerate(rows):
        axes.text(1.175, k, _time(row), va="center", **right, **_text(9))


def _titles(axes: Any, names: list[str], slower: dict[str, list[float]]) -> None:
    """Each library's name over the top of its line, moved aside where two would overlap."""
    tops = sorted([(0.0, "fastbp"), *((log10(slower[n][0]), n) for n in names if slower[n][0] > 0)])
    low, high = (log10(x) for x in axes.get_xlim())
    apart = APART * (high - low)
    places = [top for top, _ in tops]
    for _ in range(200):  # push neighbours apart until none overlap
        for i in range(len(places) - 1):
            if (gap := places[i + 1] - places[i]) < apart:
                places[i] -= (apart - gap) / 2
                places[i + 1] += (apart - gap) / 2
    for place, (top, name) in zip(places, tops, strict=True):
        colour = COLOURS.get(name, OURS)
        axes.annotate(
            TITLES.get(name, name), (10**top, -0.12), (10**place, LABELS), ha="center",
            fontsize=9, color=colour, weight="bold", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8},
        )  # fmt: skip


def _caption(grid: dict[str, Any]) -> str:
    machine = grid["machine"]
    return (
        f"float32, plain SGD, {machine['processor']}, one CPU; in turn in one process, "
        f"medians over {grid['rounds']} rounds"
    )


def _net(name: str) -> str:
    sizes, batch = name.split("/")
    return f"{sizes}, batch {batch}"


def _time(row: dict[str, Any]) -> str:
    micro = 1e6 * median(row["seconds"]["fastbp"])
    return f"{micro / 1000:.3g} ms" if micro >= 1000 else f"{micro:.3g} µs"


def _text(size: float, colour: str = INK, **more: Any) -> dict[str, Any]:
    return {"fontsize": size, "color": colour, **more}

"""A walk as a picture of its network, drawn with matplotlib where that is installed."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp import checks
from fastbp.checks import Array
from fastbp.errors import CheckpointError, ConfigError
from fastbp.explain.columns import Column, Link, columns, links
from fastbp.explain.placement import DIGITS, Placement
from fastbp.explain.record import Walk
from fastbp.explain.symbols import number
from fastbp.replacing import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# two scales of two hues each, and an accent that is in neither; to the colour-blind, + is yellow in
# both and - blue or grey
VALUE, GRADIENT, ACCENT = "PuOr_r", "PiYG", "#0b5fd0"
INK, PALE = "#222222", "#707070"
ENDS = 1.25  # the scales' last, almost black colours are left out
BOX = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 0.4}
LEGEND = (
    "Units: value | gradient, coloured by square roots. Grey: as thick as |∂ℒ/∂W| in its layer.\n"
    "Blue: the walked weight, and how its gradient divides on the way to the output, as thick\n"
    "as each share; dashed where it counts against the sum."
)


def draw(walk: Walk, title: str, path: Any = None) -> Figure:
    """Draw the walk, and save it where there is a path.

    Nothing global of matplotlib is touched: no pyplot, no backend, no settings. What the user has
    set for plots of curves is not for this one, so font, colours and lines are said in each call.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as exc:
        raise ConfigError(
            'plot: matplotlib is not installed; pip install matplotlib, or "fastbp[plot]"'
        ) from exc
    found = columns(walk)
    place = Placement(walk, found, links(walk, found), title)
    figure = Figure(figsize=(place.width, place.height), dpi=150, facecolor="white")
    figure.set_layout_engine("none")
    if path is not None:
        path = _path(path, figure.canvas.get_supported_filetypes())
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    value = _Scale(matplotlib.colormaps[VALUE], [c.values[c.shown] for c in found])
    gradient = _Scale(matplotlib.colormaps[GRADIENT], [c.gradients[c.shown] for c in found])
    _text(axes, place.width / 2, place.height - 0.2, place.title, 11, va="top")
    for c, link in enumerate(place.links):
        _link(axes, place, c, link, float(walk.factors[-1].running.value))
        if link.walked:
            _walked(axes, place, c, bool(walk.factors[-1].running.value))
    for c, column in enumerate(found):
        _column(axes, place, c, column, value, gradient)
    _bar(axes, value, "value, forward →", 0.27 * place.width)
    _bar(axes, gradient, "← ∂ℒ/∂ value, backward", 0.73 * place.width)
    _text(axes, place.width / 2, 0.32, LEGEND, 8, color=PALE)
    axes.set(xlim=(0, place.width), ylim=(0, place.height))  # inches
    if path is not None:
        _save(figure, path)
    return figure


class _Scale:
    """Colours of signed numbers, white at 0; by the root, so that small ones have a colour too."""

    def __init__(self, colours: Any, arrays: list[Array]) -> None:
        self.colours = colours
        self.most = max(float(np.abs(array).max()) for array in arrays) or 1.0

    def __call__(self, x: float) -> Any:
        part = x / self.most
        return self.colours(float(1 + np.sign(part) * np.sqrt(np.abs(part)) / ENDS) / 2)


def _link(axes: Axes, place: Placement, c: int, link: Link, product: float) -> None:
    x = place.x[c : c + 2]
    below, above = place.y(place.columns[c]), place.y(place.columns[c + 1])
    shares = np.abs(link.flow) / (np.abs(link.flow).max() or 1)
    shares /= shares.sum() or 1
    for i, j in np.argwhere(link.joined):
        y, w, share = [below[j], above[i]], float(link.weights[i, j]), shares[i, j]
        if share > 0.01:
            against = link.flow[i, j] * np.sign(product) < 0
            style = (0, (2, 0.8)) if against else "-"
            _line(axes, x, y, ACCENT, 0.5 + 4.5 * share, zorder=2, ls=style)
        else:
            thick = 2 if place.small else 1.3
            _line(axes, x, y, str(0.9 - 0.3 * w), 0.5 + thick * w, zorder=1 + w / 2)
    names = "\n".join(_short(name, 20) for name in link.layers)
    _text(axes, x.mean(), place.top + 0.55, names, 8, color=PALE, va="bottom")


def _walked(axes: Axes, place: Placement, c: int, moved: bool) -> None:
    """The walked weight's line, or one from its label to its unit, and the label."""
    below, above = place.columns[c : c + 2]
    x0, x1 = place.x[c : c + 2]
    middle = (x0 + x1) / 2
    starts = place.y(below)[: len(below.shown)][np.isin(below.shown, below.walked)]
    ends = place.y(above)[: len(above.shown)][np.isin(above.shown, above.walked)]
    y = float(np.mean(ends if len(ends) else place.y(above)))
    start = (middle, y)
    if len(starts):
        start, y = (x0, starts[0]), (starts[0] + y) / 2
    for end in ends:
        thick, style = max(1.5, 4 / len(ends)), "-"
        if not moved:  # nothing flows
            thick, style = 1.5, ":"
        _line(axes, [start[0], x1], [start[1], end], ACCENT, thick, zorder=3, ls=style)
    if len(starts) and abs(ends[0] - starts[0]) < 0.3 * (x1 - x0):
        y += 0.3 + abs(ends[0] - starts[0]) / 4  # a flat line would be hidden by it
    box = BOX | {"alpha": 1, "edgecolor": ACCENT, "pad": 2.5}
    _text(axes, middle, y, place.label, 8, color=ACCENT, bbox=box, zorder=6)


def _column(
    axes: Axes, place: Placement, c: int, column: Column, value: _Scale, gradient: _Scale
) -> None:
    x, r = place.x[c], place.radius
    _text(axes, x, place.top + 0.36, _short(column.name, 14), 12)
    _text(axes, x, place.top + 0.14, _short(column.gradient_name, 20), 8, color=PALE)
    for unit, y in zip(column.shown, place.y(column), strict=False):
        axes.plot(
            [x], [y], ls="", marker="o", fillstyle="left", markersize=144 * r, zorder=4,
            markerfacecolor=value(column.values[unit]), markeredgecolor=INK, markeredgewidth=0.7,
            markerfacecoloralt=gradient(column.gradients[unit]),
        )  # fmt: skip
        if unit in column.walked:
            axes.plot(
                [x], [y], ls="", marker="o", fillstyle="none", markersize=144 * r + 3, zorder=4,
                markeredgecolor=ACCENT, markeredgewidth=2.5,
            )  # fmt: skip
        above, under, left, right = place.words(column, unit)
        size, colour, away = (7.5, INK, 0.12) if place.small else (6, PALE, 0.08)
        _text(axes, x, y + r + away, above, size, color=colour, bbox=BOX, zorder=5)
        _text(axes, x, y - r - away, under, size, bbox=BOX, zorder=5)
        _text(axes, x - r - 0.1, y, left, 8, ha="right")
        _text(axes, x + r + 0.1, y, right, 8, ha="left")
    if column.left_out:
        _text(axes, x, place.y(column)[-1], f"⋮ {column.left_out} more", 8)


def _bar(axes: Axes, scale: _Scale, label: str, middle: float) -> None:
    half, y = 1.25, 0.92
    axes.imshow(
        np.linspace(-1, 1, 256)[np.newaxis], cmap=scale.colours, vmin=-ENDS, vmax=ENDS,
        extent=(middle - half, middle + half, y - 0.06, y + 0.06), aspect="auto",
        interpolation="nearest",
    )  # fmt: skip
    _text(axes, middle, y + 0.18, label, 8)
    for tick in (-1, -0.5, 0, 0.5, 1):
        text = number(np.sign(tick) * tick**2 * scale.most, DIGITS)
        _text(axes, middle + tick * half, y - 0.15, text, 7, color=PALE)


def _line(axes: Axes, x: Any, y: Any, colour: str, thick: float, **more: Any) -> None:
    axes.plot(x, y, color=colour, lw=thick, marker="", **({"ls": "-"} | more))


def _text(axes: Axes, x: float, y: float, text: str, size: float, **more: Any) -> None:
    if text:  # in a font that matplotlib brings, which has the lecture's letters; $ is no formula
        more = {"ha": "center", "va": "center", "color": INK, "family": "DejaVu Sans"} | more
        axes.text(x, y, text, fontsize=size, parse_math=False, usetex=False, **more)


def _short(name: str, most: int) -> str:
    """The name, or as much of it as there is room for."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _path(path: Any, endings: dict[str, str]) -> str:
    name = checks.path("path", path)
    ending = os.path.splitext(name)[1].removeprefix(".").lower()
    if ending not in endings:
        known = ", ".join(f".{ending}" for ending in sorted(endings))
        raise ConfigError(f"path: got {name!r}; wanted a file name that ends in {known}")
    return name


def _save(figure: Figure, path: str) -> None:
    """Drawn in memory first, so that what is there stays whole until the picture is."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format=os.path.splitext(path)[1].removeprefix("."))
    try:
        with replacing(path) as file:
            file.write(drawn.getvalue())
    except CheckpointError as exc:
        raise ConfigError(f"path: got {path!r}; wanted a file to write ({exc.strerror})") from exc

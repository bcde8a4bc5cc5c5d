"""`python -m peers`, from the folder benchmarks/."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import options as command_line
from . import pin
from .nets import THREADS
from .say import say

HELD, SHORT, UNUSABLE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 when a row is short or a library refused, 2 when nothing can be run."""
    options = command_line.parse(arguments)
    if options.picture and importlib.util.find_spec("matplotlib") is None:
        say('no picture without matplotlib, which pip install ".[peers]" brings; nothing was done')
        return UNUSABLE
    if options.read:
        return draw(json.loads(options.read.read_text()), options.picture)
    if len(options.grid) > 1:
        status, results = in_processes(options)
    else:
        status, results = in_this_process(options)
    if options.json:
        options.json.write_text(json.dumps({"grids": results}, indent=1) + "\n")
    if options.picture and results:
        status = max(status, draw({"grids": results}, options.picture))
    return status


def in_this_process(options: Any) -> tuple[int, list[Any]]:
    """Pin, and only then import what is measured."""
    [grid] = options.grid
    try:
        pin.pin(THREADS[grid])
    except pin.TooFewCPUs as exc:
        say(f"the grid {grid} {exc}")
        return UNUSABLE, []
    from .grid import Wrong
    from .measure import measure

    try:
        results = measure(grid, options)
    except Wrong as exc:
        say(str(exc))
        return SHORT, []
    short = [row["name"] for row in results["rows"] if row["holds"] is False]
    print("short: " + ", ".join(short) if short else "no row is short", flush=True)
    refused = any(row.get("refused") for row in results["rows"])
    return (SHORT if short or refused else HELD), [results]


def in_processes(options: Any) -> tuple[int, list[Any]]:
    """A process a grid, because a process is pinned once; a grid without CPUs is left out."""
    status, results = HELD, []
    folder = Path(__file__).parents[1]
    for grid in options.grid:
        if len(pin.allowed()) < THREADS[grid]:
            say(f"the grid {grid} is left out: it needs {THREADS[grid]} CPUs")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch, "grid.json")
            command = [*command_line.arguments_for(grid, options), f"--json={file}"]
            done = subprocess.run(
                [sys.executable, "-m", "peers", *command], cwd=folder, check=False
            )
            status = max(status, abs(done.returncode))
            if file.exists():
                results += json.loads(file.read_text())["grids"]
    return status, results


def draw(results: Any, file: Path) -> int:
    """The picture of the step grid, where there is one."""
    steps = [grid for grid in results["grids"] if grid["grid"] == "step"]
    if not steps:
        say("no picture: the results hold no step grid")
        return UNUSABLE
    from .picture import draw as draw_steps

    draw_steps(steps[0], file)
    return HELD


if __name__ == "__main__":
    sys.exit(main())

"""The command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .libraries.names import OTHERS
from .nets import ACTIVATIONS, GRIDS, ROWS

# of fit: over five seeds the mean accuracy of two libraries differs by 0.002 by chance alone
ROUNDS = {"step": 15, "fit": 20, "widths": 15, "threads": 31}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options; what does not exist ends the command with 2 and the names that do."""
    parser = argparse.ArgumentParser(
        prog="python -m peers",
        description="fastbp beside other libraries, in one process and in turn.",
        epilog="Ends with 1 when a row is short of its target or a library is refused.",
    )
    parser.add_argument(
        "--grid", choices=GRIDS, action="append",
        help="step: one training step, one CPU; fit: whole fits; widths: 10-w-w-10, one and two "
        "threads; threads: the steps with one and two; without it, each in a process of its own",
    )  # fmt: skip
    parser.add_argument("--only", metavar="NAME", action="append", help="this row; may be repeated")
    parser.add_argument(
        "--beside",
        metavar="NAMES",
        default=",".join(OTHERS),
        help="libraries (default: %(default)s)",
    )
    parser.add_argument(
        "--activation", choices=ACTIVATIONS, default="relu",
        help="of hidden layers, in all grids but fit (default: %(default)s); tanh leaves no 0",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}; of fit, a round is a seed")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything measured")
    parser.add_argument("--picture", metavar="FILE", type=Path, help="draw the step grid")
    parser.add_argument(
        "--read", metavar="JSON", type=Path, help="draw what this file holds, measure nothing"
    )
    options = parser.parse_args(arguments)

    options.beside = [name for name in options.beside.split(",") if name]
    if unknown := sorted(set(options.beside) - set(OTHERS)):
        parser.error(f"--beside: got {', '.join(unknown)}; known are {', '.join(OTHERS)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds: got {options.rounds}; wanted a whole number >= 1")
    options.grid = options.grid or list(GRIDS)
    if options.only:
        known = {row.name for grid in options.grid for row in ROWS[grid]}
        if unknown := sorted(set(options.only) - known):
            parser.error(f"--only: got {', '.join(unknown)}; rows are {', '.join(sorted(known))}")
        options.grid = [
            g for g in options.grid if {row.name for row in ROWS[g]} & set(options.only)
        ]
    if options.activation != "relu" and "fit" in options.grid:
        parser.error(f"--activation {options.activation}: the grid fit has relu alone")
    if options.read and not options.picture:
        parser.error("--read goes with --picture")
    return options


def arguments_for(grid: str, options: argparse.Namespace) -> list[str]:
    """The same command for one grid, without files and pictures."""
    rows = {row.name for row in ROWS[grid]}
    only = [f"--only={name}" for name in options.only or () if name in rows]
    rounds = [f"--rounds={options.rounds}"] if options.rounds else []
    beside = f"--beside={','.join(options.beside)}"
    return [f"--grid={grid}", beside, f"--activation={options.activation}", *only, *rounds]

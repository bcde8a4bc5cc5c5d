"""`fastbp explain`: from the loss of one row to one weight, factor by factor."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

from fastbp.commands.files import check_out, options_named, read_arrays, read_network
from fastbp.commands.report import as_json

OPTIONS = {"row": "--row", "weight": "--weight", "plot": "--plot", "path": "--plot"}


def run(options: argparse.Namespace) -> None:
    """Read, walk, draw, and print."""
    check_out(options.plot, "--plot", MODEL=options.model, DATA=options.data)
    net = read_network(options.model)
    X, y = read_arrays(options.data, ("X", "y"))
    with options_named(OPTIONS):
        walk = net.explain(X, y, options.row, _weight(options.weight))
        if options.plot is not None:
            walk.plot(options.plot)
    if options.json:
        print(as_json({**walk.as_dict(), "plot": options.plot}))
        return
    _say(walk.to_markdown() if options.markdown else str(walk))
    if options.plot is not None:
        _say(f"\nwrote {options.plot}")


def _say(text: str) -> None:
    """Print what may hold letters that the terminal has not; it shows ? for them."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, errors="replace").decode(encoding))


def _weight(text: str | None) -> Any:
    """`NAME:I,J` as a name and indices."""
    found = re.fullmatch(r"(.*):(-?[0-9]{1,18}(?:,-?[0-9]{1,18})*)", text or "", flags=re.DOTALL)
    if found is None:
        return text
    return (found[1], *map(int, found[2].split(",")))

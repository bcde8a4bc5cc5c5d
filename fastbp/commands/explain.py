"""`fastbp explain`: from the loss of one row to one weight, factor by factor."""

from __future__ import annotations

import argparse
import sys

from fastbp.commands.files import check_out, options_named, read_arrays, read_network
from fastbp.commands.report import as_json
from fastbp.data import digits

OPTIONS = {"row": "--row", "weight": "--weight", "plot": "--plot", "path": "--plot"}


def run(options: argparse.Namespace) -> None:
    """Read, walk, draw, and print."""
    check_out(options.plot, "--plot", MODEL=options.model, DATA=options.data)
    net = read_network(options.model)
    X, y = digits() if options.data is None else read_arrays(options.data, ("X", "y"))
    with options_named(OPTIONS):
        walk = net.explain(X, y, options.row, options.weight)
        if options.plot is not None:
            walk.plot(options.plot)
    if options.json:
        print(as_json({**walk.as_dict(), "plot": options.plot}))
        return
    _say(walk.to_markdown() if options.markdown else str(walk))
    if options.plot is not None:
        print(f"wrote {options.plot}", file=sys.stderr)  # stdout may be a document


def _say(text: str) -> None:
    """Print what may hold letters that the terminal has not; it shows ? for them."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, errors="replace").decode(encoding))

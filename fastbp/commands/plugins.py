"""`fastbp plugins`: what is installed, whether it keeps the contract, and how to begin one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from fastbp import registry
from fastbp.commands import plugins_check, plugins_new


def run(options: argparse.Namespace) -> None:
    """List the parts, or do what the second word asks for."""
    if options.action == "check":
        plugins_check.run(options)
    elif options.action == "new":
        plugins_new.run(options)
    else:
        show(options.json)


def show(as_json: bool) -> None:
    """Print every part, built-in or installed; none is imported for it."""
    found = registry.describe()
    if as_json:
        print(json.dumps({"plugins": [asdict(part) for part in found]}))
        return
    heads = ("name", "kind", "distribution", "version", "contract", "state")
    rows = [[str(getattr(part, head)) for head in heads] for part in found]
    for row, part in zip(rows, found, strict=True):
        row[4] = "-" if part.contract is None else row[4]  # known once it is loaded
    print(table([heads, *rows]))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)

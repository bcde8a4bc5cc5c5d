"""Runs one grid in this process, which is pinned by now."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

from . import fit_grid, libraries, nets, step_grid, table, threads_grid
from .machine import machine
from .options import ROUNDS
from .peak import NoPeak, Peak
from .say import say


def measure(grid: str, options: argparse.Namespace) -> dict[str, Any]:
    """Print the grid's table and return all of it."""
    modules = _with_activation(options.activation, libraries.load(options.beside))
    names = [name for name in options.beside if name in modules]
    rounds = options.rounds or ROUNDS[grid]
    peak = _peak() if grid != "fit" else None
    run: Callable[[Any], dict[str, Any]]
    if grid == "step":
        run = partial(step_grid.run, modules=modules, rounds=rounds, peak=peak)
    elif grid == "fit":
        names = [name for name in names if name in fit_grid.BESIDE]
        run = partial(fit_grid.run, modules=modules, rounds=rounds)
    else:
        run = partial(threads_grid.run, modules=modules, rounds=rounds, peak=peak)
        _say_threads(modules)

    print(table.header(grid, names), flush=True)
    rows = []
    for row in nets.ROWS[grid]:
        if options.only and row.name not in options.only:
            continue
        if options.activation != "relu":  # the targets of steps are for networks with ReLU
            row = replace(row, activation=options.activation, ratio=None, fraction=None)
        rows.append(run(row))
        print(table.line(grid, rows[-1], names), flush=True)
    if grid == "step" and peak is not None:
        rate = median(p for row in rows for p in row["peak"]) / 1e9
        print(f"FMA peak: {rate:.0f} GFLOP/s on one CPU ({peak.name})", flush=True)
    return {
        "grid": grid,
        "threads": nets.THREADS[grid],
        "rounds": rounds,
        "activation": options.activation,
        "peak": peak and peak.name,
        "machine": machine(),
        "versions": libraries.versions(["fastbp", *names]),
        "rows": rows,
    }


def _with_activation(activation: str, modules: dict[str, Any]) -> dict[str, Any]:
    for name, module in list(modules.items()):
        if activation not in getattr(module, "ACTIVATIONS", nets.ACTIVATIONS):
            say(f"{name} is left out: it has no layer of {activation}")
            del modules[name]
    return modules


def _peak() -> Peak | None:
    try:
        return Peak()
    except NoPeak as exc:
        say(f"the FMA peak is not measured: {exc}")
        return None


def _say_threads(modules: dict[str, Any]) -> None:
    if 2 not in modules["fastbp"].COUNTS:
        say("this fastbp has one thread: no row of this grid can hold")
    for name, module in modules.items():
        if not module.COUNTS:
            say(f"{name} cannot be told a number of threads: one time, with the CPUs it takes")

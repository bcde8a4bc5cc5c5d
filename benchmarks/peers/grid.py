"""What the grids share: which libraries may be timed on a row."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .check import difference, path
from .nets import Row
from .problem import problem
from .say import say


class Wrong(Exception):
    """fastbp itself does not make the right steps."""


def checked(row: Row, modules: Mapping[str, ModuleType]) -> tuple[dict[str, Any], dict[str, str]]:
    """Steps of the libraries that make the reference's steps, and why the others are refused."""
    given = problem(row)
    right = path(given)
    steps, refused = {}, {}
    for name, module in modules.items():
        step = module.Step(given)
        why = difference(step, given, right)
        if why is None:
            steps[name] = step
            continue
        if name == "fastbp":
            raise Wrong(f"{row.name}: fastbp: {why}")
        say(f"{row.name}: {name} is refused: {why}")
        refused[name] = why
    return steps, refused

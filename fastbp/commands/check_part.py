"""The process in which `fastbp plugins check` loads one part and runs the conformance kit on it.

It writes lines of JSON: one when a check is begun, one when it has failed, and a last one when all
are done. The parent reads them; what the part prints goes elsewhere.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import fastbp


def main(kind: str, name: str, record: str) -> None:
    """Check the part of this kind and name and write into the file `record` what happens."""
    with Path(record).open("w", encoding="utf-8") as file:

        def write(**event: object) -> None:
            file.write(json.dumps(event) + "\n")
            file.flush()  # the next check may end the process

        def attempt(check: str, call: Callable[[], object]) -> None:
            write(begun=check)
            try:
                call()
            except BaseException as error:  # also SystemExit, and the failures of pytest
                if type(error).__name__ != "Skipped":
                    write(failed=check, error=describe(error))

        checks: list[tuple[str, Callable[[], object]]] = []
        attempt("loading", lambda: checks.extend(load(kind, name)))
        for check, call in checks:
            attempt(check, call)
        write(done=True)
    sys.stdout.flush()
    os._exit(0)  # a part's threads and exit functions have no say in what was found


def load(kind: str, name: str) -> Sequence[tuple[str, Callable[[], object]]]:
    """The kit's checks of a part."""
    from fastbp import registry, testing

    return testing.checks_for(registry.get(kind, name))


def describe(error: BaseException) -> str:
    """The error as people read it, and the line it comes from where that is the plugin's own."""
    words = "".join(traceback.format_exception_only(error)).strip()
    while error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    others = tuple(str(Path(file).parent) for file in (fastbp.__file__, np.__file__))
    if frames and not frames[-1].filename.startswith(("<", *others)):
        words += f"\nat {frames[-1].filename}:{frames[-1].lineno}, in {frames[-1].name}"
    return words

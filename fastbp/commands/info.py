"""`fastbp info`: what to write into a bug report."""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

import numpy as np
import scipy

import fastbp
from fastbp.kernels import product
from fastbp.kernels.blas import library
from fastbp.threads.pool import num_threads


def run(options: argparse.Namespace) -> None:
    """Print the facts, a line each, or as JSON."""
    facts = collect()
    if options.json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            print(f"{name.replace('_', ' '):<16}{value}")


def collect() -> dict[str, Any]:
    """Versions, the BLAS that fastbp calls, CPUs it may run on, and instruction sets."""
    return {
        "fastbp": fastbp.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
        "blas": blas(),
        "threads": threads(),
        "instruction_set": instruction_set(),
    }


def blas() -> str:
    """The library that FASTBP_BLAS names, or name and version of SciPy's BLAS."""
    other = library()
    if other is not None:
        return other
    built: Any = scipy.show_config(mode="dicts")
    found = ((built or {}).get("Build Dependencies") or {}).get("blas") or {}
    name, version = found.get("name", "unknown"), found.get("version", "")
    return f"{name} {version}".strip() + " (through SciPy)"


def threads() -> int:
    """How many threads fastbp may use here."""
    return num_threads()


def instruction_set() -> str:
    """The machine, and the instruction set that fastbp's own kernels use."""
    return f"{platform.machine()} ({product.instruction_set()})"

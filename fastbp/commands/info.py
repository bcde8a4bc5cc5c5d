"""`fastbp info`: what to write into a bug report."""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import Any

import numpy as np
import scipy

import fastbp
from fastbp.kernels import product
from fastbp.kernels.blas import library


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
    """CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def instruction_set() -> str:
    """The machine, and the instruction set that fastbp's own kernels use."""
    return f"{platform.machine()} ({product.instruction_set()})"

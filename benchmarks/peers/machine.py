"""What the figures were measured on: the processor and the software, and nobody's names."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from . import pin


def machine() -> dict[str, Any]:
    """Processor, CPUs that this process may run on, system, Python."""
    return {
        "processor": processor(),
        "cpus": len(pin.allowed()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def processor() -> str:
    """The model's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

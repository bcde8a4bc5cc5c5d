"""How many threads to use when nobody says: the environment, and the CPUs this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path, PurePosixPath

from fastbp import checks
from fastbp.errors import ConfigError

ROOT = Path("/")


def default_threads() -> int:
    """FASTBP_NUM_THREADS, taken at its word; else the CPUs there are, or OMP_NUM_THREADS if fewer.

    Raises
    ------
    ConfigError
        FASTBP_NUM_THREADS is set and no whole number from 1 to 1024. A bad OMP_NUM_THREADS is
        ignored: it speaks to others first.
    """
    own: str | int = os.environ.get("FASTBP_NUM_THREADS", "").strip()
    if own:
        with suppress(ValueError):
            own = int(own)
        return checks.threads(own, name="FASTBP_NUM_THREADS")
    # "4,2" are the threads of nested levels; the first is ours.
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    try:
        asked = checks.threads(int(first))
    except (ValueError, ConfigError):
        return available()
    return min(asked, available())


def available() -> int:
    """CPUs that this process may keep busy: by affinity, and by its cgroups' quotas."""
    cpus = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    return max(1, min(cpus, *(ceil(quota) for quota in cgroup_quotas(ROOT)), checks.MOST_THREADS))


def cgroup_quotas(root: Path) -> Iterator[float]:
    """CPUs granted by each cgroup this process is in, the groups around it included.

    Parameters
    ----------
    root : Path
        What stands for /: `proc/self/cgroup` and `sys/fs/cgroup` are read below it.
    """
    mounts = root / "sys" / "fs" / "cgroup"
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:  # version 2, alone or beside version 1
            for mount in (mounts, mounts / "unified"):
                for folder in _upwards(mount, path):
                    yield from _quota(*_read(folder / "cpu.max").split()[:2])
        elif "cpu" in controllers.split(","):
            for mount in {mounts / controllers, mounts / "cpu"}:
                for folder in _upwards(mount, path):
                    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                    yield from _quota(*(_read(folder / name) for name in names))


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    # In a container the path may be the host's, and only the mount itself be there.
    inner = PurePosixPath(*(part for part in path.split("/") if part not in ("", "..")))
    for group in (inner, *inner.parents):
        yield mount / group


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _quota(*texts: str) -> Iterator[float]:
    # Microseconds of CPU per period; "max" and -1 mean no limit.
    try:
        quota, period = map(int, texts)
    except ValueError:
        return
    if quota > 0 and period > 0:
        yield quota / period

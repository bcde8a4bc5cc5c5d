"""How many threads nobody asked for: the environment, affinity, and quotas on made-up files."""

import os

import pytest

import fastbp as bp
from fastbp.threads import cpus


def tree(root, groups, files):
    """A root folder with /proc/self/cgroup and files below /sys/fs/cgroup."""
    files = {"proc/self/cgroup": groups} | {f"sys/fs/cgroup/{k}": v for k, v in files.items()}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return sorted(cpus.cgroup_quotas(root))


V1 = {"cpu.cfs_quota_us": "150000\n", "cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("groups", "files", "quotas"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, [1.5]),
        ("0::/\n", {"cpu.max": "max 100000\n"}, []),
        ("0::/a/b\n", {"a/b/cpu.max": "max 1000", "a/cpu.max": "500 1000"}, [0.5]),
        ("0::/a/b\n", {"a/b/cpu.max": "3 1", "cpu.max": "2 1"}, [2.0, 3.0]),
        ("0::/host/path\n", {"cpu.max": "40 10"}, [4.0]),  # the path is the host's
        ("0::/../a\n", {"a/cpu.max": "40 10"}, [4.0]),
        ("4:memory:/m\n2:cpuacct,cpu:/\n", {f"cpuacct,cpu/{k}": v for k, v in V1.items()}, [1.5]),
        ("1:cpu:/x\n0::/\n", {f"cpu/x/{k}": v for k, v in V1.items()}, [1.5]),
        ("1:cpu,cpuacct:/\n", {f"cpu/{k}": v for k, v in V1.items()}, [1.5]),
        ("1:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "1"}, []),
        ("1:cpu:/\n0::/s\n", {"unified/s/cpu.max": "20 10"}, [2.0]),
        ("1:cpuset:/\n", {"cpu.max": "20 10"}, []),  # no group with a quota
        ("0::/\n", {"cpu.max": "lots"}, []),
        ("0::/\n", {"cpu.max": ""}, []),
        ("0::/\n", {"cpu.max": "1 0"}, []),
        ("nonsense\n\n::\n", {}, []),
    ],
)
def test_quotas(tmp_path, groups, files, quotas):
    assert tree(tmp_path, groups, files) == quotas


def test_nothing_there(tmp_path):
    assert list(cpus.cgroup_quotas(tmp_path)) == []


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_bytes(b"\xff\xfe")
    assert list(cpus.cgroup_quotas(tmp_path)) == []


@pytest.mark.parametrize(
    ("affinity", "quotas", "want"),
    [
        (8, [], 8),
        (8, [1.5], 2),
        (8, [0.1], 1),
        (8, [4.0, 2.0], 2),
        (2, [16.0], 2),
        (5000, [], 1024),
    ],
)
def test_available(monkeypatch, affinity, quotas, want):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    monkeypatch.setattr(cpus, "cgroup_quotas", lambda root: iter(quotas))
    assert cpus.available() == want


@pytest.fixture(name="threads")
def _threads(monkeypatch):
    """default_threads() on 8 CPUs under given variables."""

    def count(**variables):
        monkeypatch.setattr(cpus, "available", lambda: 8)
        for name in ("FASTBP_NUM_THREADS", "OMP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return cpus.default_threads()

    return count


@pytest.mark.parametrize(
    ("own", "omp", "want"),
    [
        (None, None, 8), ("3", None, 3), ("3", "2", 3), (" 3 ", None, 3), ("", "2", 2),
        ("12", "2", 12),  # ours is taken at its word
        (None, "4,2", 4), (None, "12", 8), (None, "0", 8), (None, "-1", 8), (None, "many", 8),
        (None, "", 8), (None, ",2", 8), (None, "1000000", 8), (None, "2.5", 8),
    ],
)  # fmt: skip
def test_environment(threads, own, omp, want):
    given = {"FASTBP_NUM_THREADS": own, "OMP_NUM_THREADS": omp}
    assert threads(**{name: value for name, value in given.items() if value is not None}) == want


@pytest.mark.parametrize("bad", ["0", "-1", "many", "1000000", "2.5", "4,2", "--5", "9" * 5000])
def test_a_bad_variable_of_ours(threads, bad):
    with pytest.raises(bp.ConfigError, match=r"^FASTBP_NUM_THREADS: got .*; wanted a whole number"):
        threads(FASTBP_NUM_THREADS=bad)

"""What the archives hold, and that the tables which name parts twice agree."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path, PurePosixPath

import pytest

from fastbp import kernels, registry

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMPILED = sorted(path.relative_to(ROOT) for path in ROOT.glob("fastbp/**/*.pyx"))


def sources(*suffixes):
    """The package's own files, relative to the repository."""
    found = (p.relative_to(ROOT).as_posix() for p in ROOT.glob("fastbp/**/*") if p.is_file())
    return {path for path in found if path.endswith(suffixes)}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """An sdist of this repository and the wheel built from that sdist, in isolation."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.mark.slow
def test_the_sdist_holds_every_source_and_nothing_generated(archives):
    with tarfile.open(archives[0]) as archive:
        members = [PurePosixPath(member.name) for member in archive if member.isfile()]
    names = {member.relative_to(member.parts[0]).as_posix() for member in members}
    generated = {path.with_suffix(".c").as_posix() for path in COMPILED}
    wanted = sources(".py", ".pyx", ".pxd", ".pyi", ".c", ".h", "py.typed", ".npz", ".txt")
    wanted |= {"pyproject.toml", "setup.py", "README.md", "LICENSE"}
    assert wanted - generated <= names
    assert not names & generated
    assert not {name for name in names if name.endswith((".so", ".pyd", ".pyc"))}


@pytest.mark.slow
def test_the_wheel_holds_what_runs_and_no_sources_of_it(archives):
    with zipfile.ZipFile(archives[1]) as archive:
        sizes = {info.filename: info.compress_size for info in archive.infolist()}
    wanted = sources(".py", ".pxd", ".pyi", "py.typed", ".npz", ".txt")
    wanted |= {path for path in sources(".h") if path.startswith("fastbp/include/")}
    assert wanted <= set(sizes)
    compiled = {name for name in sizes if name.endswith(tuple(EXTENSION_SUFFIXES))}
    modules = {
        f"{PurePosixPath(name).parent}/{Path(name).name.partition('.')[0]}" for name in compiled
    }
    assert modules == {path.with_suffix("").as_posix() for path in COMPILED}
    assert not {name for name in sizes if name.endswith((".c", ".pyx", ".pyc")) or "/src/" in name}
    assert {name.split("/")[0].split("-")[0] for name in sizes} == {"fastbp"}
    data = {name: size for name, size in sizes.items() if name.startswith("fastbp/data/")}
    assert 0 < sum(data.values()) <= 100_000


@pytest.mark.slow
def test_the_wheel_says_what_it_is(archives):
    with zipfile.ZipFile(archives[1]) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(f"{info}/METADATA").decode()
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        assert f"{info}/licenses/LICENSE" in archive.namelist()
    for line in (
        "License-Expression: BSD-3-Clause",
        "Requires-Python: >=3.11",
        "Requires-Dist: numpy>=2.0",
        "Requires-Dist: scipy>=1.14",
    ):
        assert line in metadata.splitlines()
    assert "fastbp = fastbp.cli:main" in entry_points


@pytest.mark.slow
def test_the_wheel_works_outside_the_repository(archives, tmp_path):
    with zipfile.ZipFile(archives[1]) as archive:
        archive.extractall(tmp_path)
    code = (
        "import numpy as np, fastbp as bp; X, y = bp.data.digits(); print(bp.__file__); "
        "print(bp.mlp([64, 4, 10]).loss(X, y) > 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "fastbp" / "__init__.py"), "True"]


def test_entry_points_and_the_built_in_table_agree():
    declared = PYPROJECT["project"]["entry-points"]
    groups = {"layer": "fastbp.layers", "loss": "fastbp.losses"}
    assert declared == {groups[kind]: table for kind, table in registry.BUILTIN.items()}
    for table in declared.values():
        for value in table.values():
            module, _, name = value.partition(":")
            assert isinstance(getattr(importlib.import_module(module), name), type)


def test_every_compiled_module_has_a_stub_and_every_family_of_kernels_a_test():
    for path in COMPILED:
        assert (ROOT / path.with_suffix(".pyi")).is_file(), path
    for module in {getattr(kernels, name).__module__ for name in kernels.__all__}:
        stem = module.rpartition(".")[2]
        assert (ROOT / f"tests/kernels/test_{stem}.py").is_file(), stem


def test_setup_py_only_lists_extensions():
    lines = (ROOT / "setup.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    assert "cythonize(" not in "".join(line.partition("#")[0] for line in lines)

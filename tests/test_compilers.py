"""Both compilers that compiler.h is written for take the kernels' C files, without a warning."""

import shutil
import subprocess
from pathlib import Path

import pytest

import fastbp as bp

PACKAGE = Path(__file__).parents[1] / "fastbp"
SOURCES = sorted(PACKAGE.glob("*/src/*.c"))


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_compiler_warns(compiler):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    assert len(SOURCES) > 5
    command = [compiler, "-fsyntax-only", "-Wall", "-Werror", "-I", bp.get_include()]
    command += ["-I", str(PACKAGE / "threads" / "src")]
    done = subprocess.run([*command, *map(str, SOURCES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

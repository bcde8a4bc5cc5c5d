"""The scripts of this folder, for a few seconds each, so that they work when they are wanted."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    "command", ["load.py --seconds 4 --seed 0", "kills.py --kills 4 --seed 0"], ids=str.split
)
def test_a_few_seconds(command, tmp_path):
    script, *options = command.split()
    done = subprocess.run(
        [sys.executable, "-W", "error", HERE / script, *options],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 0" in done.stdout


def test_every_script_is_in_the_list():
    listed = (HERE / "README.md").read_text(encoding="utf-8")
    for script in {*HERE.glob("*.py")} - {*HERE.glob("test_*.py")}:
        if "__main__" not in script.read_text(encoding="utf-8"):
            continue
        assert f"python tests/fuzz/{script.name} " in listed

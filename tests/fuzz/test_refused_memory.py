"""MemoryError anywhere leaves a network as it was: what allocations.py looks at, in part."""

import io
import platform
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Calls that make a network, a plan and its buffers, at other sizes and elsewhere.
CALLS = ("make", "first step", "larger step", "loss_and_grad elsewhere")
# The same bits on two threads, on one since the system gave no other, and again on two.
THREADS = """
import ctypes, threading
import numpy as np, fastbp as bp
from fastbp.threads.pool import run_parts

library = ctypes.CDLL(None)
rng = np.random.default_rng(0)
X, y = rng.standard_normal((512, 64), dtype="f4"), rng.integers(0, 10, 512)

def trained():
    net = bp.mlp([64, 128, 10], rng=0)
    with bp.thread_limit(2):
        net.fit(X, y, epochs=2, batch_size=512, progress=False)
    return net.flat.tobytes()

def helpers():
    return max(run_parts(2, 8, work=100_000)[:, 1])

library.refuse_threads(1)
alone = trained()
assert helpers() == 0
library.refuse_threads(0)
for _ in range(2000):
    run_parts(2, 2)
print(any(helpers() for _ in range(100)), trained() == alone)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if platform.libc_ver()[0] != "glibc" or shutil.which("cc") is None:
        pytest.skip("memory is refused on Linux with glibc and a C compiler alone")
    target = tmp_path_factory.mktemp("library") / "fail_malloc.so"
    source = HERE / "fail_malloc.c"
    subprocess.run(["cc", "-O2", "-fPIC", "-shared", source, "-o", target], check=True)
    return target


@pytest.mark.parametrize(
    ("arguments", "least"),
    [
        (["--mode", "as it is", *(f"--call={name}" for name in CALLS)], 250),
        (["--every", "61"], 150),
    ],
    ids=["the system's", "some of all"],
)
def test_a_refused_request_changes_nothing(library, arguments, least):
    done = subprocess.run(
        [sys.executable, HERE / "allocations.py", *arguments],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(map(int, re.findall(r"(\d+) requests refused, 0 faults", done.stdout))) > least


def test_a_refused_thread_changes_no_bit_and_is_asked_for_again(python, library):
    done = python(THREADS, LD_PRELOAD=str(library))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True True\n"


def list_comprehensions(text):
    """Numbers of the lines with `for` directly within brackets."""
    found, open_ = [], []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.string in ("(", "[", "{"):
            open_.append(token.string)
        elif token.string in (")", "]", "}"):
            open_.pop()
        elif token.string == "for" and open_[-1:] == ["["]:
            found.append(token.start[0])
    return found


def test_compiled_modules_have_no_list_comprehension():
    # Cython 3.3 lets go of an item twice where the list cannot grow: cython/cython#7748
    assert list_comprehensions("a = [\n    x for x in y]\nb = f(x for x in y)\nz[{}]") == [2]
    sources = sorted((HERE.parents[1] / "fastbp").rglob("*.pyx"))
    if not sources:
        pytest.skip("no sources: this is an installed package")
    found = {path.name: list_comprehensions(path.read_text(encoding="utf-8")) for path in sources}
    assert not {name: lines for name, lines in found.items() if lines}

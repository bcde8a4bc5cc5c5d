"""Where products pack their operands: on no stack, given back, and not needed for a result."""

import platform
import shutil
import subprocess

import pytest

# E1, and E6, E8 and a step along it, large enough for packed blocks; dense, and with skipped zeros.
PRODUCTS = """
import hashlib, os, threading
import numpy as np, fastbp as bp
from fastbp.kernels import dense_backward, dense_forward, outer_sum

rng = np.random.default_rng(0)
x, W, delta = (rng.standard_normal(shape) for shape in ((300, 530), (610, 530), (300, 610)))
gated = delta * (rng.random(delta.shape) < 0.5)

def products():
    digest = hashlib.sha256()
    for dtype in ("float32", "float64"):
        h, weights = x.astype(dtype), W.astype(dtype)
        digest.update(dense_forward(h, weights).tobytes())
        for d in (delta.astype(dtype), gated.astype(dtype)):
            digest.update(dense_backward(d, weights).tobytes())
            digest.update(outer_sum(d, h).tobytes())
        net = bp.mlp([530, 610, 3], "tanh", dtype=dtype, rng=0)
        net.step(h, np.arange(300) % 3, bp.SGD(0.1), threads=1)
        digest.update(net.flat.tobytes())
    return digest.hexdigest()
"""

IN_THREADS = """
threading.stack_size(256 * 1024)
found = []
def run():
    found.append(products())
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])
for n in range(60):
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if n == 9:
        before = resident()
more = (resident() - before) * os.sysconf("SC_PAGE_SIZE") / 2**21
print(set(found) == {products()}, len(found), more)
"""

# Every request for aligned memory fails; NumPy and Python make none.
REFUSES = """
#include <errno.h>
#include <stdio.h>
static int times;
int posix_memalign(void **memory, size_t alignment, size_t size) { return times++, ENOMEM; }
__attribute__((destructor)) static void say(void) { fprintf(stderr, "refused %d", times); }
"""


def test_a_small_stack_is_enough_and_threads_give_back_what_they_had(python):
    if platform.system() != "Linux":
        pytest.skip("no /proc/self/statm")
    done = python(PRODUCTS + IN_THREADS)
    assert done.returncode == 0, (done.returncode, done.stderr)
    same, threads, workspaces = done.stdout.split()
    assert (same, threads) == ("True", "60")
    assert float(workspaces) < 10  # of the 50 that came after


def test_without_a_workspace_the_products_are_the_same(python, tmp_path):
    compiler = shutil.which("cc")
    if compiler is None or platform.system() != "Linux":
        pytest.skip("no C compiler, or no LD_PRELOAD")
    source, library = tmp_path / "refuses.c", tmp_path / "refuses.so"
    source.write_text(REFUSES)
    subprocess.run([compiler, "-shared", "-fPIC", source, "-o", library], check=True)
    code = PRODUCTS + "print(products())"
    with_it, without = python(code), python(code, LD_PRELOAD=str(library))
    assert with_it.returncode == without.returncode == 0, without.stderr
    assert with_it.stdout == without.stdout
    assert int(without.stderr.removeprefix("refused ")) > 0

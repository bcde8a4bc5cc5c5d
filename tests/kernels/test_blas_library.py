"""FASTBP_BLAS: good libraries are used; of the others each is refused, and none ends the process.

The libraries are plain loops in C, compiled here, but for those that come with NumPy and SciPy.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy

from fastbp.errors import ConfigError
from fastbp.kernels.blas_library import load

# In the order of blas.pyx, whose table is filled by position.
NAMES = ("sgemm", "dgemm", "sgemv", "dgemv", "sger", "dger", "saxpy", "daxpy")

SOURCE = r"""
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#ifndef INT
#define INT int32_t
#endif
#ifndef NAME
#define NAME(x) x##_
#endif
enum { NONE, n_sgemm, n_dgemm, n_sgemv, n_dgemv, n_sger, n_dger, n_saxpy, n_daxpy };
#ifndef WRONG
#define WRONG NONE
#endif
#ifndef AXPY_STEP
#define AXPY_STEP *iy
#endif
#ifndef READS_C
#define READS_C 0
#endif
int calls[9];
static int odd(int which) { calls[which]++; return which == WRONG; }

#define AXPY(x, T) \
void NAME(x)(const INT *n, const T *alpha, const T *X, const INT *ix, T *Y, const INT *iy) { \
    for (INT i = 0; i < *n; i++) Y[i * AXPY_STEP] += *alpha * X[i * *ix]; \
    if (*n > 0) Y[0] += odd(n_##x); \
}
#define GER(x, T) \
void NAME(x)(const INT *m, const INT *n, const T *alpha, const T *X, const INT *ix, \
             const T *Y, const INT *iy, T *A, const INT *lda) { \
    for (INT j = 0; j < *n; j++) for (INT i = 0; i < *m; i++) \
        A[i + j * *lda] += *alpha * X[i * *ix] * Y[j * *iy]; \
    A[0] += odd(n_##x); \
}
#define GEMV(x, T) \
void NAME(x)(const char *op, const INT *m, const INT *n, const T *alpha, const T *A, \
             const INT *lda, const T *X, const INT *ix, const T *beta, T *Y, const INT *iy) { \
    INT rows = *op == 'N' ? *m : *n, terms = *op == 'N' ? *n : *m; \
    for (INT i = 0; i < rows; i++) { \
        T sum = 0; \
        for (INT j = 0; j < terms; j++) \
            sum += A[*op == 'N' ? i + j * *lda : j + i * *lda] * X[j * *ix]; \
        Y[i * *iy] = *alpha * sum + (*beta == 0 ? 0 : *beta * Y[i * *iy]); \
    } \
    Y[0] += odd(n_##x); \
}
#define GEMM(x, T) \
void NAME(x)(const char *ta, const char *tb, const INT *m, const INT *n, const INT *k, \
             const T *alpha, const T *A, const INT *lda, const T *B, const INT *ldb, \
             const T *beta, T *C, const INT *ldc) { \
    for (INT j = 0; j < *n; j++) for (INT i = 0; i < *m; i++) { \
        T sum = 0, *c = C + i + j * *ldc; \
        for (INT l = 0; l < *k; l++) \
            sum += A[*ta == 'N' ? i + l * *lda : l + i * *lda] \
                 * B[*tb == 'N' ? l + j * *ldb : j + l * *ldb]; \
        *c = *alpha * sum + (READS_C || *beta != 0 ? *beta * *c : 0); \
    } \
    C[0] += odd(n_##x); \
}
AXPY(saxpy, float)
AXPY(daxpy, double)
GER(sger, float)
GER(dger, double)
GEMV(sgemv, float)
GEMV(dgemv, double)
GEMM(sgemm, float)
#ifndef NO_DGEMM
GEMM(dgemm, double)
#endif
#ifdef DIES
__attribute__((constructor)) static void die(void) { DIES; }
#endif
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Compile the source with these macros: the path of the library."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("blas")
    (folder / "blas.c").write_text(SOURCE, encoding="utf-8")
    built = {}

    def build(*macros):
        if macros not in built:
            path = str(folder / f"libblas{len(built)}.so")
            flags = ["-shared", "-fPIC", "-O1", *(f"-D{macro}" for macro in macros)]
            subprocess.run([compiler, *flags, str(folder / "blas.c"), "-o", path], check=True)
            built[macros] = path
        return built[macros]

    return build


def run(code, path, *, check=True):
    """Run code in a new process with FASTBP_BLAS set."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | {"FASTBP_BLAS": path},
        capture_output=True,
        text=True,
        check=check,
        timeout=120,
    )


COMPUTES = """
import ctypes, json, sys
import numpy as np
from fastbp.kernels import axpy, gemm, gemv, ger
assert "fastbp.kernels.blas_library" not in sys.modules, "something was done at import"
from fastbp.kernels import blas
made = {}
for dtype in (np.float32, np.float64):
    A, x = np.arange(6, dtype=dtype).reshape(2, 3), np.array([1, 2, 4], dtype)
    made[dtype.__name__] = [
        gemm(A, A, trans_b=True).tolist(), gemm(A, A, trans_a=True).tolist(),
        gemv(A, x).tolist(), gemv(A, x[:2].copy(), trans=True).tolist(),
        ger(x, x, out=np.ones((3, 3), dtype)).tolist(), axpy(x, x.copy(), alpha=2).tolist(),
    ]
print(json.dumps([made, blas.library()]))
"""


def want(dtype):
    A, x = np.arange(6, dtype=dtype).reshape(2, 3), np.array([1, 2, 4], dtype)
    arrays = A @ A.T, A.T @ A, A @ x, A.T @ x[:2], 1 + np.outer(x, x), 3 * x
    return [array.tolist() for array in arrays]


def test_a_good_library_is_used_for_everything(build):
    path = build()
    tail = f"""
print(*(ctypes.c_int * 9).in_dll(ctypes.CDLL({path!r}), "calls"))
"""
    # what the test of the library calls is the same in every process: count that first
    head = f"""
from fastbp.kernels import blas
blas.library()
{tail}
"""
    before = run("import ctypes\n" + head, path).stdout.split()
    first, after = run(COMPUTES + tail, path).stdout.splitlines()
    made, told = json.loads(first)
    assert made == {name: want(name) for name in ("float32", "float64")}
    assert path in told
    grown = [int(b) - int(a) for a, b in zip(before, after.split(), strict=True)]
    assert grown == [0, 2, 2, 2, 2, 1, 1, 1, 1]


def test_unset_and_empty_mean_scipy():
    made, told = json.loads(run(COMPUTES, "").stdout)
    assert told is None
    assert made == {name: want(name) for name in ("float32", "float64")}


@pytest.mark.parametrize("name", ["x", "x##_", "scipy_##x##_"])
def test_spellings(build, name):
    path = build(f"NAME(x)={name}")
    addresses, told = load(path, NAMES)
    assert len(set(addresses)) == len(NAMES)
    spelled = ctypes.CDLL(path)[name.replace("##", "").replace("x", "dgemm")]
    assert addresses[1] == ctypes.cast(spelled, ctypes.c_void_p).value
    assert told == f"a BLAS that does not tell its name ({path})"


def test_scipys_own_openblas_tells_its_version(bundled):
    addresses, told = load(bundled(scipy), NAMES)
    assert all(addresses)
    assert told.startswith("OpenBLAS ")


@pytest.fixture
def bundled():
    """Find the OpenBLAS in a wheel."""

    def find(package):
        folder = Path(package.__file__).parent
        found = sorted(folder.with_name(f"{folder.name}.libs").glob("libscipy_openblas*.so"))
        if not found:
            pytest.skip(f"{package.__name__} is not installed from a wheel with an OpenBLAS in it")
        return str(found[0])

    return find


REFUSED = [
    (("INT=int64_t",), "not 64-bit (ILP64, as its saxpy reads them)"),
    (("INT=int64_t", "NAME(x)=x##_64_"), "not 64-bit (ILP64: it has sgemm_64_)"),
    (("INT=int64_t", "NAME(x)=x##64_"), "not 64-bit (ILP64: it has sgemm64_)"),
    (("NO_DGEMM",), "it has no dgemm"),
    (("NAME(x)=cblas_##x",), f"wanted a BLAS library; it has no {', '.join(NAMES)}"),
    (("READS_C=1",), "its sgemm computes wrong numbers"),
    (("AXPY_STEP=1",), "its saxpy computes wrong numbers"),
    (("DIES=exit(3)",), "it ended the process that tried it (exit code 3)"),
    (("DIES=raise(SIGKILL)",), "it ended the process that tried it (exit code -9)"),
    *(((f"WRONG=n_{name}",), f"its {name} computes wrong numbers") for name in NAMES),
]


@pytest.mark.parametrize(
    ("macros", "words"), REFUSED, ids=lambda value: value[-1] if isinstance(value, tuple) else ""
)
def test_refused(build, macros, words):
    path = build(*macros)
    with pytest.raises(ConfigError) as caught:
        load(path, NAMES)
    assert str(caught.value).startswith(f"FASTBP_BLAS: got {path!r}; ")
    assert words in str(caught.value)


def test_numpys_own_openblas_is_refused_by_name(bundled):
    path = bundled(np)
    if "64" not in Path(path).name:
        pytest.skip("NumPy's OpenBLAS has 32-bit integers here")
    with pytest.raises(ConfigError, match=r"not 64-bit \(ILP64: it has scipy_sgemm_64_\)"):
        load(path, NAMES)


def test_paths_to_no_library(tmp_path):
    (tmp_path / "text.so").write_text("no library\n" * 100, encoding="utf-8")
    for path, words in [
        (tmp_path / "nowhere.so", "there is no such file"),
        (tmp_path, "wanted the file of a BLAS library, not a folder"),
        (os.devnull, "not a folder or a device"),
        (tmp_path / "text.so", "it cannot be loaded as a library ("),
        ("libm.so.6", "wanted the absolute path"),
        (".", "wanted the absolute path"),
        (f"~{os.sep}libblas.so", "wanted the absolute path"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load(str(path), NAMES)
        assert str(caught.value).startswith(f"FASTBP_BLAS: got {str(path)!r}; ")
        assert words in str(caught.value)


def test_a_bad_path_fails_at_first_use_every_time_and_writes_nothing():
    code = """
import numpy as np
import fastbp as bp
from fastbp.kernels import axpy, dense_backward, dense_forward, gemm, gemv, ger, outer_sum
A, x = np.ones((2, 2)), np.ones(2)
calls = [
    lambda: gemm(A, A, out=np.add(A, 0, out=A2)), lambda: gemv(A, x, out=x2),
    lambda: ger(x, x, out=A2), lambda: axpy(x, x2), lambda: dense_forward(A, A, out=A2),
    lambda: dense_backward(A, A, out=A2), lambda: outer_sum(A, A, out=A2),
    lambda: bp.mlp([2, 3, 2], rng=0).step(A, [0, 1], bp.SGD(0.1)),
]
A2, x2 = A.copy(), x.copy()
for call in calls * 2:
    try:
        call()
    except bp.ConfigError as error:
        print(error)
assert (A2 == 1).all() and (x2 == 1).all()
"""
    done = run(code, "/nowhere/libblas.so")
    line = "FASTBP_BLAS: got '/nowhere/libblas.so'; there is no such file\n"
    assert (done.stdout, done.stderr) == (16 * line, "")


def test_first_use_by_several_threads_at_once(build):
    code = """
import threading
import numpy as np
from fastbp.kernels import gemm
made, gate = [], threading.Barrier(4)
def use():
    gate.wait()
    made.append(gemm(np.eye(3), np.eye(3)))
threads = [threading.Thread(target=use) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len(made) == 4 and all((array == np.eye(3)).all() for array in made)
"""
    assert run(code, build()).stderr == ""


def test_info_tells(build):
    code = "import sys; from fastbp.cli import main; sys.exit(main(['info', *sys.argv[1:]]))"
    path = build()
    assert (
        f"\nblas            a BLAS that does not tell its name ({path})\n" in run(code, path).stdout
    )
    assert " (through SciPy)\n" in run(code, "").stdout
    done = run(code, "nonsense", check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("fastbp: error: FASTBP_BLAS: got 'nonsense'; ")
    assert done.stderr.count("\n") == 1

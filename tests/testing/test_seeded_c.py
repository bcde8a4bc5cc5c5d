"""The kit fails C bodies that break the contract. They are compiled here, by the system's compiler.

One source holds a layer y = |x| scale, an elementwise y = x², and a loss Σ |a - t|³; a macro BUG
seeds one bug into it.
"""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastbp as bp
from fastbp.layers import Elementwise, Layer, LayerSpec
from fastbp.losses import Loss
from fastbp.testing import checks_for, table_flags

BODY = r"""
static int TYPED(forward)(const fastbp_call *call, const void *x_, void *y_) {
    const real *x = x_, *scale = call->params[0];
    real *y = y_;
    int64_t rows = call->rows + (BUG == PAST_ROWS), n = call->n_in;
    if (BUG == FAILS)
        return snprintf(call->message, call->message_size, "out of luck"), FASTBP_ERROR;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < n; j++)
            y[i * n + j] = (x[i * n + j] < 0 ? -x[i * n + j] : x[i * n + j]) * scale[j];
    if (BUG == SCRATCH)
        ((char *)call->scratch)[call->scratch_size] = 1;
    return FASTBP_OK;
}

static int TYPED(backward)(const fastbp_call *call, const void *x_, const void *y, const void *dy_,
                           void *dx_) {
    const real *x = x_, *dy = dy_, *scale = call->params[0];
    real *dx = dx_, *dscale = call->grads[0];
    int64_t n = call->n_in;
    (void)y;
    for (int64_t j = 0; j < n && BUG != ADDS; j++)
        dscale[j] = 0;
    for (int64_t i = 0; i < call->rows; i++)
        for (int64_t j = 0; j < n; j++) {
            int64_t k = i * n + j;
            dscale[j] += dy[k] * (x[k] < 0 ? -x[k] : x[k]);
            if (dx)
                dx[k] = dy[k] * (x[k] < 0 ? -scale[j] : scale[j]);
        }
    if (BUG == UNSEEN_DX && !dx)
        dscale[0] = 0;
    if (BUG == OFF_BY_ONE && dx && n > 8 && n % 4)
        dx[call->rows * n - 1] = 0;
    return FASTBP_OK;
}

static int TYPED(f)(const fastbp_call *call, int64_t n, const void *x_, void *y_) {
    const real *x = x_;
    real *y = y_;
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] * x[i];
        if (BUG == OVERFLOWS && y[i] > 1e30)
            return FASTBP_NON_FINITE;
        if (BUG == DROPS_NAN && !(x[i] == x[i]))
            y[i] = 0;
        if ((BUG == BY_COLUMN || (BUG == BY_STEP && call->training)) && i % call->n_in == 0)
            y[i] += 1;
    }
    return FASTBP_OK;
}

static int TYPED(df)(const fastbp_call *call, int64_t n, const void *x_, const void *y,
                     void *out_) {
    const real *x = x_;
    real *out = out_;
    (void)call, (void)y;
    for (int64_t i = 0; i < n; i++)
        out[i] = (BUG == C_UNLIKE_PYTHON ? 3 : 2) * x[i];
    return FASTBP_OK;
}

static int TYPED(loss)(const fastbp_call *call, const void *a_, const void *t_, double *loss,
                       void *delta_) {
    const real *a = a_, *t = t_;
    real *delta = delta_;
    int64_t n = call->n_in;
    for (int64_t i = 0; i < call->rows; i++) {
        loss[i] = 0;
        for (int64_t j = 0; j < n; j++) {
            double r = (double)a[i * n + j] - t[i * n + j], size = r < 0 ? -r : r;
            double weight = BUG == WEIGHTS && call->row_scale ? call->row_scale[i] : 1;
            loss[i] += size * size * size;
            if (delta)
                delta[i * n + j] = (real)(3 * r * size * weight);
        }
    }
    if (BUG == PAST_LOSSES)
        loss[call->rows] = 0;
    return FASTBP_OK;
}
"""

TABLES = r"""
static size_t scratch(void *context, int64_t rows, int64_t n_in, int64_t n_out, int type) {
    (void)context, (void)rows, (void)n_in, (void)n_out, (void)type;
    return 8;
}
#define HEAD(kind, more) sizeof(fastbp_##kind), FASTBP_MINOR, FLAGS | (more), 0
#define FLAGS (BUG == NO_FLAG ? 0 : FASTBP_ROWS_INDEPENDENT) \
              | (BUG == OVERFLOWS ? FASTBP_INFALLIBLE : 0)
#define EACH (BUG == NO_X ? 0 : FASTBP_NEEDS_X) | FASTBP_ENTRIES_INDEPENDENT
#define PAIR(name) {name##_f32, BUG == F32_ONLY ? NULL : name##_f64}
const fastbp_layer layer = {HEAD(layer, 0), PAIR(forward), PAIR(backward), scratch};
const fastbp_elementwise elementwise = {HEAD(elementwise, EACH), PAIR(f), PAIR(df), {NULL, NULL}};
const fastbp_loss loss = {HEAD(loss, 0), PAIR(loss), {NULL, NULL}, NULL};
"""

BUGS = [
    "NONE", "PAST_ROWS", "FAILS", "SCRATCH", "ADDS", "UNSEEN_DX", "OFF_BY_ONE", "DROPS_NAN",
    "C_UNLIKE_PYTHON", "WEIGHTS", "PAST_LOSSES", "NO_FLAG", "NO_X", "F32_ONLY", "BY_COLUMN",
    "BY_STEP", "OVERFLOWS",
]  # fmt: skip
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")

NAMES = {kind: f"fastbp.{kind}_v1".encode() for kind in ("layer", "elementwise", "loss")}
LIBRARY = [None]  # what the parts below take their tables from: parts themselves hold no state


def capsule(kind):
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    table = ctypes.c_char.in_dll(LIBRARY[0], kind)
    return new(ctypes.addressof(table), NAMES[kind], None)


class Size(Layer):
    def build(self, n_in, dtype):
        return LayerSpec(n_out=n_in, params={"scale": (n_in,)})

    def init(self, params, rng, gain=1.0):
        params["scale"][...] = 1

    def forward(self, params, x, y, ctx):
        np.multiply(np.abs(x), params["scale"], out=y)

    def backward(self, params, x, y, dy, dx, grads, ctx):
        grads["scale"][...] = (dy * np.abs(x)).sum(axis=0)
        if dx is not None:
            np.multiply(dy, np.where(x < 0, -1, 1) * params["scale"], out=dx)

    def __fastbp_layer__(self):
        return capsule("layer")


class SizeInC(Layer):
    """Without a Python body."""

    build, init, __fastbp_layer__ = Size.build, Size.init, Size.__fastbp_layer__


class Square(Elementwise):
    def f(self, x, y):
        np.multiply(x, x, out=y)

    def df(self, x, y, out):
        np.multiply(x, 2, out=out)

    def __fastbp_elementwise__(self):
        return capsule("elementwise")


class Cubic(Loss):
    def loss_and_delta(self, a, targets, delta):
        r = a.astype(np.float64) - targets
        if delta is not None:
            delta[...] = 3 * r * np.abs(r)
        return (np.abs(r) ** 3).sum(axis=1)

    def __fastbp_loss__(self):
        return capsule("loss")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """Compiles the source with a bug, once for each."""
    folder, made = tmp_path_factory.mktemp("parts"), {}
    head = ["#include <stdio.h>", "#include <fastbp/plugin.h>", f"enum {{ {', '.join(BUGS)} }};"]
    both = []
    for real, suffix in (("float", "f32"), ("double", "f64")):
        both += [f"#define real {real}", f"#define TYPED(name) name##_{suffix}", BODY]
        both += ["#undef real", "#undef TYPED"]
    source = folder / "parts.c"
    source.write_text("\n".join([*head, *both, TABLES]))

    def get(bug):
        if bug not in made:
            out = folder / f"{bug}.so"
            subprocess.run(
                [COMPILER, "-shared", "-fPIC", "-O1", f"-DBUG={bug}", f"-I{bp.get_include()}",
                 "-o", out, source],
                check=True,
            )  # fmt: skip
            made[bug] = ctypes.CDLL(str(out))
        return made[bug]

    return get


@pytest.mark.parametrize("part", [Size, SizeInC, Square, Cubic])
def test_without_a_bug_all_checks_pass(part, libraries):
    LIBRARY[0] = libraries("NONE")
    for _, check in checks_for(part):
        check()


@pytest.mark.parametrize(
    ("part", "bug", "check", "message"),
    [
        (Size, "PAST_ROWS", "in_bounds", "wrote beside y"),
        (SizeInC, "PAST_ROWS", "in_bounds", "wrote beside y"),
        (Size, "SCRATCH", "gradients", "wrote past its scratch memory"),
        (Size, "FAILS", "gradients", r"forward failed \(out of luck\)"),
        (Size, "ADDS", "overwrites", "depends on what stood"),
        (Size, "ADDS", "c_equals_python", "away from the Python body's"),
        (Size, "UNSEEN_DX", "dx_none", "differ when dx is None"),
        (Size, "OFF_BY_ONE", "odd_widths", "central differences"),
        (SizeInC, "OFF_BY_ONE", "odd_widths", "central differences"),
        (Size, "NO_FLAG", "flags", "FASTBP_ROWS_INDEPENDENT is False"),
        (Size, "F32_ONLY", "float_types", "computes in float32 only"),
        (Square, "DROPS_NAN", "nan_rows", "must not be dropped"),
        (Square, "C_UNLIKE_PYTHON", "c_equals_python", "away from the Python body's"),
        (Square, "NO_X", "elementwise", "FASTBP_NEEDS_X"),
        (Square, "BY_COLUMN", "entries", "y depends on where an entry stands"),
        (Square, "BY_STEP", "entries", "training: y depends on where an entry stands"),
        (Square, "OVERFLOWS", "infallible", "FASTBP_INFALLIBLE, but failed"),
        (Square, "F32_ONLY", "float_types", "computes in float32 only"),
        (Cubic, "PAST_LOSSES", "in_bounds", "wrote beside losses"),
        (Cubic, "WEIGHTS", "weights", "the host applies weights"),
        (Cubic, "F32_ONLY", "float_types", "computes in float32 only"),
    ],
)
def test_bug_is_caught(part, bug, check, message, libraries):
    LIBRARY[0] = libraries(bug)
    with pytest.raises((AssertionError, bp.PluginCallError), match=message):
        dict(checks_for(part))[check]()


def test_flags_are_the_header_s():
    header = Path(bp.get_include(), "fastbp", "plugin.h").read_text("utf-8")
    for name in ("ROWS_INDEPENDENT", "INFALLIBLE", "NEEDS_X", "ENTRIES_INDEPENDENT", "WHOLE_BATCH"):
        assert re.findall(rf"FASTBP_{name} = (\d+)", header) == [str(getattr(table_flags, name))]

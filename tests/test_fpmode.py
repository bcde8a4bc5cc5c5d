"""No call changes its thread's floating-point mode, and parts in Python run in the caller's."""

import contextlib
import ctypes
import shutil
import subprocess
import threading

import numpy as np
import pytest

import fastbp as bp
from fastbp.kernels.bodies import LayerBody, LossBody
from fastbp.testing import checks_for

SOURCE = """
#include <fastbp/plugin.h>
#include <fenv.h>

int rounding(void) { return fegetround(); } /* on x86-64 that of the x87, which is set beside */
#if defined(__x86_64__)
#include <xmmintrin.h>
unsigned get(void) { return _mm_getcsr() & ~0x3Fu; } /* without the flags of what has happened */
void set(unsigned mode) { _mm_setcsr(mode); }
unsigned flushing(void) { return 0x8040u; }
unsigned downward(void) { return 0x2000u; }
#elif defined(__aarch64__)
unsigned get(void) { unsigned long m; __asm__ volatile("mrs %0, fpcr" : "=r"(m)); return m; }
void set(unsigned mode) { unsigned long m = mode; __asm__ volatile("msr fpcr, %0" : : "r"(m)); }
unsigned flushing(void) { return 1u << 24; }
unsigned downward(void) { return 2u << 22; }
#else
#error unknown
#endif

/* Parts that leave another mode behind. */
#define LEAK (set(get() | flushing()), fesetround(FE_UPWARD))
int leak(void) { return LEAK; }
void back(unsigned mode) { fesetround(FE_TONEAREST), set(mode); }
#define EACH(n) for (int64_t i = 0; i < (n); i++)
#define PARTS(real, t) \\
    static int f_##t(const fastbp_call *c, int64_t n, const void *x, void *y) \\
    { (void)c; EACH(n) ((real *)y)[i] = ((const real *)x)[i]; return LEAK; } \\
    static int df_##t(const fastbp_call *c, int64_t n, const void *x, const void *y, void *d) \\
    { (void)c, (void)x, (void)y; EACH(n) ((real *)d)[i] = 1; return LEAK; } \\
    static int forward_##t(const fastbp_call *c, const void *x, void *y) \\
    { return f_##t(c, c->rows * c->n_in, x, y); } \\
    static int backward_##t(const fastbp_call *c, const void *x, const void *y, const void *dy, \\
                            void *dx) \\
    { (void)x, (void)y; return dx ? f_##t(c, c->rows * c->n_in, dy, dx) : LEAK; } \\
    static int loss_##t(const fastbp_call *c, const void *a, const void *y, double *l, void *d) \\
    { (void)a, (void)y; EACH(c->rows) l[i] = 1; \\
      if (d) EACH(c->rows * c->n_in) ((real *)d)[i] = 1; return LEAK; }
PARTS(float, f32)
PARTS(double, f64)
static size_t scratch(void *k, int64_t rows, int64_t n_in, int64_t n_out, int type)
{ (void)k, (void)rows, (void)n_in, (void)n_out, (void)type; return 8 + LEAK; }
#define HEAD(kind) sizeof(fastbp_##kind), FASTBP_MINOR, FASTBP_ROWS_INDEPENDENT, 0
#define PAIR(name) {name##_f32, name##_f64}
const fastbp_elementwise elementwise = {HEAD(elementwise), PAIR(f), PAIR(df), {NULL, NULL}};
const fastbp_layer layer = {HEAD(layer), PAIR(forward), PAIR(backward), scratch};
const fastbp_loss loss = {HEAD(loss), PAIR(loss), PAIR(forward), NULL};
"""
TINY = 1e-40  # a denormal number in float32
X = np.random.default_rng(0).standard_normal((6, 3)).astype("f4")
Y = np.array([0, 1, 1, 0, 1, 0])


@pytest.fixture(scope="module")
def mode(tmp_path_factory):
    """The processor's mode: get(), set(mode), and the bits flushing() and downward()."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("mode")
    (folder / "mode.c").write_text(SOURCE)
    command = [compiler, "-O1", "-fPIC", "-shared", "-I", bp.get_include(), folder / "mode.c"]
    command += ["-lm", "-o", folder / "mode.so"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "#error" in done.stderr:
        pytest.skip("the floating-point mode of this processor is unknown")
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(folder / "mode.so"))
    for name in ("get", "flushing", "downward"):
        getattr(library, name).restype = ctypes.c_uint
    return library


class Seen(bp.Layer):
    """The identity, which notes the mode that it runs in, and raises where it is told to."""

    def __init__(self, get, where=None):
        self.get, self.where, self.modes = get, where, {}

    def note(self, where):
        self.modes[where] = self.get()
        if where == self.where:
            raise RuntimeError(where)

    def build(self, n_in, dtype):
        return bp.layers.LayerSpec(n_out=n_in)

    def forward(self, params, x, y, ctx):
        self.note("forward")
        y[...] = x

    def backward(self, params, x, y, dy, dx, grads, ctx):
        self.note("backward")
        if dx is not None:
            dx[...] = dy


class SeenLoss(bp.SoftmaxCrossEntropy):
    def __init__(self, seen):
        super().__init__()
        self._seen = seen

    def loss_and_delta(self, a, targets, delta):
        self._seen.note("loss")
        return super().loss_and_delta(a, targets, delta)


def large():
    """A network that steps on several threads, all its weights denormal, and a batch."""
    net = bp.mlp([300, 200, 120, 10], dtype="float32", rng=0)
    net.flat[...] *= np.float32(1e-40)
    rng = np.random.default_rng(1)
    return net, rng.standard_normal((64, 300), dtype="f4"), rng.integers(0, 10, 64)


def steps(net, X, y, what):
    """One of the calls that a mode could leak out of."""
    match what:
        case "step":
            net.step(X, y, bp.SGD(0.1))
        case "careful step":
            net.step(X.tolist(), y.tolist(), bp.SGD(0.1), sample_weight=np.ones(len(X)))
        case "fit":
            net.fit(
                X, y, optimizer=bp.SGD(0.1), epochs=2, batch_size=4, validation_data=(X, y),
                progress=False,
            )  # fmt: skip
        case "forward":
            net.forward(X)
        case "predict":
            net.predict_proba(X), net.predict(X)
        case "loss":
            net.loss(X, y)
        case "gradients":
            return net.gradients(X, y).flat, net.vjp(X, np.ones((len(X), net.n_out), "f4")).flat
        case "loss_and_grad":
            net.loss_and_grad(X, y)


CALLS = ["step", "careful step", "fit", "forward", "predict", "loss", "gradients", "loss_and_grad"]


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("wanted", ["usual", "flushing", "downward"])
@pytest.mark.parametrize("thread", ["main", "other"])
def test_a_call_leaves_the_mode_as_it_was(mode, what, wanted, thread):
    found = []

    def work():
        usual = mode.get()
        before = usual if wanted == "usual" else usual | getattr(mode, wanted)()
        net = bp.mlp([3, 4, 2], dtype="float32", rng=0)
        big = large()
        mode.set(before)
        try:
            for _ in range(2):  # the second step is the one without Python
                steps(net, X, Y, what)
            with bp.thread_limit(2):
                steps(*big, what)
            found.append((mode.get(), before))
        finally:
            mode.set(usual)

    if thread == "main":
        work()
    else:
        other = threading.Thread(target=work)
        other.start()
        other.join()
    assert len(found) == 1
    assert found[0][0] == found[0][1]


@pytest.mark.parametrize("how", ["step", "careful step", "fit"])
def test_a_failing_call_leaves_the_mode_as_it_was(mode, how):
    before = mode.get()
    net = bp.mlp([3, 4, 2], loss="squared_error", dtype="float32", rng=0)
    y = np.zeros((6, 2), "f4")
    net.step(X, y, bp.SGD(0.1))
    broken = X.copy()
    broken[3, 1] = np.nan
    with pytest.raises(bp.NonFiniteError):
        steps(net, broken, y, how)
    assert mode.get() == before
    net.flat[...] = 1e38  # what leaves the first layer, or its loss, has no finite value
    with pytest.raises(bp.NonFiniteError):
        steps(net, X, y, how)
    assert mode.get() == before


@pytest.mark.parametrize("where", ["forward", "loss", "backward"])
@pytest.mark.parametrize("how", ["step", "fit"])
def test_a_part_in_python_that_raises_leaves_the_mode_as_it_was(mode, where, how):
    before = mode.get()
    seen = Seen(mode.get, where)
    net = bp.Network(3, [bp.Dense(2), seen], loss=SeenLoss(seen), dtype="float32", rng=0)
    with pytest.raises(bp.PluginCallError, match=where):
        steps(net, X, Y, how)
    assert mode.get() == before
    assert seen.modes[where] == before


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("wanted", ["usual", "flushing"])
def test_parts_in_python_run_in_the_callers_mode(mode, what, wanted):
    usual = mode.get()
    before = usual if wanted == "usual" else usual | mode.flushing()
    seen = Seen(mode.get)
    layers = [bp.Dense(4), seen, bp.ReLU(), bp.Dense(2)]
    net = bp.Network(3, layers, loss=SeenLoss(seen), dtype="float32", rng=0)
    mode.set(before)
    try:
        steps(net, X, Y, what)
    finally:
        mode.set(usual)
    assert set(seen.modes.values()) == {before}
    assert seen.modes.keys() >= {"forward"}


def test_an_update_and_a_callback_in_python_run_in_the_callers_mode(mode):
    modes = []

    class Seeing(bp.SGD):
        def update(self, theta, grad, state):
            modes.append(mode.get())

    net = bp.mlp([3, 2], dtype="float32", rng=0)
    net.fit(
        X, Y, optimizer=Seeing(0.1), epochs=2, progress=False,
        callbacks=[lambda net, history: modes.append(mode.get()) and None],
    )  # fmt: skip
    assert len(modes) == 4
    assert set(modes) == {mode.get()}


def test_c_goes_on_flushing_after_a_part_in_python(mode):
    net = bp.Network(
        2, [bp.Dense(2), Seen(mode.get), bp.Dense(2)], loss="squared_error", dtype="float32", rng=0
    )
    net.flat[...] = 1
    net.params["dense2.b"][...] = 0
    net.params["dense2.W"][...] = np.float32(TINY)
    assert not net.forward(np.ones((1, 2), "f4")).any()


def test_a_step_on_every_thread_takes_denormals_as_zero(mode):
    for threads in (1, 2, 3):
        for _ in range(20):  # until a helper was quick enough to take a part
            net, X, y = large()
            biases = [name for name in net.params if name.endswith(".b")]
            assert (net.flat != 0).mean() > 0.9
            with bp.thread_limit(threads):
                net.step(X, y, bp.SGD(0.1))
            for name in set(net.params) - set(biases):
                assert not net.params[name].any()  # no h but 0, so that no gradient moves them
            assert net.params[biases[-1]].all()


def test_forward_on_every_thread_takes_denormals_as_zero(mode):
    net, X, _ = large()
    for threads in (1, 2, 3):
        for _ in range(20):
            with bp.thread_limit(threads):
                assert not net.forward(X).any()


def test_gradients_on_every_thread_take_denormals_as_they_are():
    # helpers begin with the mode of whoever starts them, and keep that of their last job: a step's
    net, X, y = large()
    with bp.thread_limit(1):
        wanted = net.gradients(X, y).values
    assert (wanted.a[1] != 0).mean() > 0.9
    assert np.abs(wanted.a[1]).max() < np.finfo("f4").tiny
    for _ in range(20):
        with bp.thread_limit(2):
            net.copy().step(X, y, bp.SGD(0.1))
            got = net.gradients(X, y).values
        for k in (1, 2, 3):
            np.testing.assert_array_equal(got.a[k], wanted.a[k])


def test_gradients_and_losses_take_denormals_as_they_are():
    net = bp.Network(1, [bp.Dense(1, bias=False)], loss="squared_error", dtype="float32", rng=0)
    net.flat[...] = np.float32(TINY)
    x, t = np.ones((1, 1), "f4"), np.zeros((1, 1), "f4")
    g = net.gradients(x, t)
    assert g.W[1] == g.a[1] == net.flat == np.float32(TINY)  # a - t, by hand
    assert net.loss_and_grad(x, t)[1] == np.float32(TINY)
    g = net.vjp(x, np.full((1, 1), TINY, "f4"))
    assert g.W[1] == g.values.a[1] == np.float32(TINY)
    assert not net.forward(x).any()


# Parts that change it themselves, in every function

NAMES = {kind: f"fastbp.{kind}_v1".encode() for kind in ("elementwise", "layer", "loss")}


def whole(library):
    """All that a part may have changed."""
    return library.get(), library.rounding()


LIBRARY = [None]  # what these parts call: they hold no state


def capsule(library, kind):
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = (
        ctypes.py_object,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
    )
    library.leak()
    return new(ctypes.addressof(ctypes.c_char.in_dll(library, kind)), NAMES[kind], None)


class LeakyElementwise(bp.layers.Elementwise):
    def __fastbp_elementwise__(self):
        return capsule(LIBRARY[0], "elementwise")


class LeakyLayer(bp.Layer):
    def build(self, n_in, dtype):
        LIBRARY[0].leak()
        return bp.layers.LayerSpec(n_out=n_in)

    def __fastbp_layer__(self):
        return capsule(LIBRARY[0], "layer")


class LeakyPython(LeakyLayer):
    __fastbp_layer__ = property()  # none

    def init(self, params, rng, gain=1.0):
        LIBRARY[0].leak()

    def forward(self, params, x, y, ctx):
        y[...] = x
        LIBRARY[0].leak()

    def backward(self, params, x, y, dy, dx, grads, ctx):
        if dx is not None:
            dx[...] = dy
        LIBRARY[0].leak()


class LeakyLoss(bp.SoftmaxCrossEntropy):
    def __fastbp_loss__(self):
        return capsule(LIBRARY[0], "loss")


class LeakyPythonLoss(LeakyLoss):
    def target_width(self, n_out):
        LIBRARY[0].leak()
        return super().target_width(n_out)

    def check_targets(self, y, n_out, dtype, rows=None):
        LIBRARY[0].leak()
        return super().check_targets(y, n_out, dtype, rows)

    def loss_and_delta(self, a, targets, delta):
        LIBRARY[0].leak()
        return super().loss_and_delta(a, targets, delta)

    def y_hat(self, a, out):
        LIBRARY[0].leak()
        super().y_hat(a, out)

    def decide(self, y_hat):
        LIBRARY[0].leak()
        return super().decide(y_hat)


PARTS = {
    "elementwise": (LeakyElementwise, None),
    "layer": (LeakyLayer, None),
    "loss": (None, LeakyLoss),
    "python": (LeakyPython, None),
    "python loss": (None, LeakyPythonLoss),
}


@pytest.fixture(params=PARTS)
def leaky(request, mode):
    """A layer and a loss, one of which changes the mode; what stands for the other does not."""
    layer, loss = PARTS[request.param]
    before, LIBRARY[0] = whole(mode), mode
    yield layer() if layer else bp.Tanh(), loss() if loss else "softmax_cross_entropy"
    now = whole(mode)
    mode.back(before[0])
    assert now == before


@pytest.mark.parametrize("what", CALLS)
def test_a_part_that_changes_the_mode_changes_it_for_itself_alone(mode, leaky, what):
    layer, loss = leaky
    before = whole(mode)
    net = bp.Network(3, [bp.Dense(4), layer, bp.Dense(2)], loss=loss, dtype="float32", rng=0)
    assert whole(mode) == before
    for _ in range(2):
        steps(net, X, Y, what)
        assert whole(mode) == before
    wide = bp.Network(
        300, [bp.Dense(200), layer, bp.Dense(10)], loss=loss, dtype="float32", rng=0
    )  # for threads
    _, x, y = large()
    with bp.thread_limit(2):
        steps(wide, x, y, what)
    assert whole(mode) == before


def test_the_kit_and_its_bodies_leave_the_mode_as_it_was(mode, leaky):
    layer, loss = leaky
    before = whole(mode)
    if isinstance(loss, str):
        body = LayerBody(layer, 2, "float64")
        x, y, dx = np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2))
        body.forward({}, x, y, bp.layers.Context())
        assert whole(mode) == before
        body.backward({}, x, y, dx, dx.copy(), {}, bp.layers.Context())
        if body.has_df:
            body.df(x, y, dx)
        assert whole(mode) == before
        _, check = checks_for(layer)[0]
        check()
    else:
        body = LossBody(loss, 2, "float64")
        a, out = np.ones((3, 2)), np.ones((3, 2))
        body.loss_and_delta(a, np.array([0, 1, 1]), out)
        assert whole(mode) == before
        body.y_hat(a, out)
        assert whole(mode) == before
        _, check = checks_for(loss)[0]
        with contextlib.suppress(AssertionError):
            check()
    assert whole(mode) == before


def test_every_part_of_a_job_begins_in_the_callers_mode(mode):
    """A part that changes the mode changes no bit of what the same thread computes after it."""
    LIBRARY[0] = mode
    net = bp.Network(
        3, [bp.Dense(4), LeakyElementwise(), bp.Dense(2)], dtype="float32", rng=0
    )  # fmt: skip
    net.flat[...] *= np.float32(1e-40)
    rows = np.random.default_rng(0).standard_normal((2000, 3)).astype("f4")
    labels = np.zeros(2000, int)
    with bp.thread_limit(1):
        values = net.gradients(rows, labels).values
    assert (values.a[1] != 0).mean() > 0.9  # of every block: none begins with denormals as zero


def test_loading_a_part_leaves_the_mode_as_it_was(mode, tmp_path, monkeypatch):
    """A library linked with -ffast-math has denormals count as zero from then on."""
    (tmp_path / "fast_part.py").write_text(
        "import ctypes, fastbp as bp\n"
        f"ctypes.CDLL({mode._name!r}).leak()\n"
        "class Fast(bp.layers.Elementwise):\n    pass\n"
    )
    info = tmp_path / "fast_part-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fast-part\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fastbp.layers]\nfast_part = fast_part:Fast\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    bp.plugins.refresh()
    before = whole(mode)
    try:
        assert bp.plugins.get("layer", "fast_part").__name__ == "Fast"
        now = whole(mode)
    finally:
        mode.back(before[0])
        bp.plugins.refresh()
    assert now == before


def test_an_update_in_python_leaves_the_mode_as_it_was(mode):
    class Leaky(bp.SGD):
        def update(self, theta, grad, state):
            mode.leak()

    before = whole(mode)
    net = bp.mlp([3, 2], dtype="float32", rng=0)
    net.step(X, Y, Leaky(0.1))
    now = whole(mode)
    mode.back(before[0])
    assert now == before


class LeakyOptimizer(bp.SGD):
    """Momentum by a rule or, with `python`, by its update; changes the mode where it is asked."""

    def __init__(self, where, python=False):
        super().__init__(0.1, momentum=0.9)
        self.where, self.python = where, python

    def leak(self, where):
        if where == self.where:
            LIBRARY[0].leak()

    @property
    def slots(self):
        self.leak("slots")
        return super().slots

    def config(self):
        self.leak("config")
        return super().config()

    def constants(self):
        self.leak("constants")
        return super().constants()

    def rule(self):
        self.leak("rule")
        return None if self.python else super().rule()

    def rule_for(self, dtype):
        self.leak("rule_for")
        return super().rule_for(dtype)

    def state_for(self, theta, state):
        self.leak("state_for")
        return super().state_for(theta, state)

    def check_state(self, theta, state):
        self.leak("check_state")
        super().check_state(theta, state)

    def check_values(self, state):
        self.leak("check_values")
        super().check_values(state)


ASKED = ["slots", "config", "constants", "rule", "rule_for", "state_for", "check_state"]


@pytest.mark.parametrize("where", [*ASKED, "check_values"])
@pytest.mark.parametrize("python", [False, True])
def test_an_optimizer_that_changes_the_mode_changes_it_for_itself_alone(mode, where, python):
    LIBRARY[0], before = mode, whole(mode)
    net = bp.mlp([3, 2], dtype="float32", rng=0)
    optimizer, found = LeakyOptimizer(where, python), []
    for what in ("step", "careful step", "fit"):
        for _ in range(2):
            if what == "fit":
                net.fit(X, Y, optimizer=optimizer, epochs=1, batch_size=3, progress=False)
            else:
                given = (X, Y) if what == "step" else (X.tolist(), Y.tolist())
                net.step(*given, optimizer)
            net.optimizer_state.arrays["v"] *= 1  # so that its values are looked at again
            found.append(whole(mode))
            mode.back(before[0])
        net.reset_optimizer()
    assert set(found) == {before}


@pytest.mark.parametrize("where", ["slots", "config", "constants", "rule"])
def test_what_asks_an_optimizer_leaves_the_mode_as_it_was(mode, where):
    LIBRARY[0], before = mode, whole(mode)
    optimizer, theta = LeakyOptimizer(where), np.zeros(3, "f4")
    found = []
    state = optimizer.state_for(theta, None)
    for use in (
        lambda: optimizer.state_for(theta, state),
        lambda: optimizer.rule_for(theta.dtype),
        lambda: optimizer.check_state(theta, state),
    ):
        mode.back(before[0])
        use()
        found.append(whole(mode))
    mode.back(before[0])
    assert set(found) == {before}


class LeakyConfig(bp.layers.Elementwise):
    def config(self):
        LIBRARY[0].leak()
        return super().config()


class LeakyMaking(bp.Tanh):
    def __init__(self, name=None):
        super().__init__(name)
        LIBRARY[0].leak()


class LeakyLossConfig(bp.SquaredError):
    def config(self):
        LIBRARY[0].leak()
        return super().config()


OWN = {
    "leaky_config": LeakyConfig,
    "leaky_making": LeakyMaking,
    "leaky_loss_config": LeakyLossConfig,
}


@pytest.mark.parametrize("part", OWN.values(), ids=OWN)
def test_saving_loading_and_showing_leave_the_mode_as_it_was(mode, tmp_path, part):
    LIBRARY[0], before = mode, whole(mode)
    layer = bp.Tanh() if part is LeakyLossConfig else part()
    loss = part() if part is LeakyLossConfig else bp.SquaredError()
    mode.back(before[0])
    net = bp.Network(3, [bp.Dense(2), layer], loss=loss, rng=0)
    found = []
    for use in (
        lambda: repr(net),
        lambda: net.save(tmp_path / "net.npz"),
        lambda: bp.load(tmp_path / "net.npz", parts=OWN),
    ):
        use()
        found.append(whole(mode))
        mode.back(before[0])
    assert found == [before] * 3

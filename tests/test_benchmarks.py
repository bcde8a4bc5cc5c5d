"""The benchmarks run, compare with the reference before they measure, and keep asv's rules."""

import contextlib
import importlib
import inspect
import math
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastbp as bp
from fastbp import kernels, reference

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
KINDS = ("time_", "timeraw_", "peakmem_", "track_")


def load():
    """The suite's modules by name, imported as asv imports them: as the package `suite`."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        # importing the suite sets the BLAS to one thread; on the way out it has its own again
        with threadpool_limits(1):
            package = importlib.import_module("suite")
            names = [module.name for module in pkgutil.iter_modules(package.__path__)]
            return {name: importlib.import_module(f"suite.{name}") for name in names}
    finally:
        sys.path.remove(str(BENCHMARKS))


MODULES = load()
CLASSES = {
    f"{stem}.{name}": cls
    for stem, module in MODULES.items()
    for name, cls in vars(module).items()
    if inspect.isclass(cls) and any(method.startswith(KINDS) for method in dir(cls))
}
# an import, or a list of names, has no reference
BARE = {
    "imports.Imports",
    "imports.ImportMemory",
    "plugins.Available",
    "plugins.ImportBesidePlugins",
}
COMPARING = sorted(set(CLASSES) - BARE)
KERNELS = [  # a kernel that its benchmark's setup must find wrong, and in what it is wrong
    ("activations.Activations", ("relu", (1, 16)), "relu_forward", "result"),
    ("activations.Activations", ("relu", (1, 16)), "relu_backward", "result"),
    ("activations.Activations", ("tanh", (1, 16)), "tanh_forward", "result"),
    ("activations.Activations", ("tanh", (1, 16)), "tanh_backward", "result"),
    ("activations.Activations", ("sigmoid", (1, 16)), "sigmoid_forward", "result"),
    ("activations.Activations", ("sigmoid", (1, 16)), "sigmoid_backward", "result"),
    ("dense.Dense", ((1, 4, 16),), "dense_forward", "result"),
    ("dense.Dense", ((1, 4, 16),), "dense_backward", "result"),
    ("losses.Losses", ("sigmoid_cross_entropy", (1, 1)), "sigmoid_cross_entropy", "result"),
    ("losses.Losses", ("sigmoid_cross_entropy", (1, 1)), "sigmoid_cross_entropy", "delta"),
    ("losses.Losses", ("squared_error", (1, 1)), "squared_error", "result"),
    ("losses.Losses", ("squared_error", (1, 1)), "squared_error", "delta"),
    ("outer.Outer", ((1, 4, 16),), "outer_sum", "result"),
    ("outer.Outer", ((1, 4, 16),), "bias_sum", "result"),
    ("softmax.Softmax", ((1, 3),), "softmax", "result"),
    ("softmax.Softmax", ((1, 3),), "softmax_cross_entropy", "result"),
    ("softmax.Softmax", ((1, 3),), "softmax_cross_entropy", "delta"),
]


def smallest(cls):
    """A benchmark's first case; parameters stand smallest first."""
    return tuple(values[0] for values in getattr(cls, "params", ()))


def set_up(cls):
    benchmark = cls()
    if hasattr(benchmark, "setup"):
        benchmark.setup(*smallest(cls))
    return benchmark


def off(value):
    """`value` with its numbers a little larger, through containers and namespaces."""
    if isinstance(value, dict):
        return {key: off(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(off(item) for item in value)
    if hasattr(value, "__dict__"):
        return type(value)(**off(vars(value)))
    return value * 1.001 + 1e-3


def test_suite_has_a_module_per_family():
    assert set(MODULES) >= {
        "common",
        "dense",
        "softmax",
        "outer",
        "step",
        "fit",
        "imports",
        "limits",
        "threads",
    }


def test_names_are_the_same_as_ever():
    # asv keys its history by these names: add to them, but neither rename nor remove one
    names = {
        f"{name}.{m}" for name, cls in CLASSES.items() for m in dir(cls) if m.startswith(KINDS)
    }
    assert names >= {
        "activations.Activations.time_backward",
        "activations.Activations.time_forward",
        "activations.Activations.track_forward_over_numpy",
        "allocations.MallocCalls.track_malloc_calls_per_step",
        "allocations.MallocCalls.track_malloc_calls_per_step_of_fit",
        "dense.Dense.peakmem_backward",
        "dense.Dense.peakmem_forward",
        "dense.Dense.time_backward",
        "dense.Dense.time_forward",
        "dense.Dense.track_backward_over_numpy",
        "dense.Dense.track_forward_over_numpy",
        "denormals.Denormals.track_denormal_over_normal",
        "fit.Fit.peakmem_epoch",
        "fit.Fit.time_epoch",
        "fit.HeldOut.track_held_out_error",
        "imports.ImportMemory.track_fastbp",
        "imports.Imports.timeraw_fastbp",
        "imports.Imports.timeraw_numpy_scipy_linalg",
        "imports.Imports.track_fastbp_over_numpy_scipy_linalg",
        "limits.PeakOverStep.track_peak_over_achieved",
        "limits.StepOverProducts.track_time_over_sgemm",
        "losses.Losses.time_loss_and_delta",
        "outer.Outer.peakmem_outer_sum",
        "outer.Outer.time_bias_sum",
        "outer.Outer.time_outer_sum",
        "outer.Outer.track_bias_sum_over_numpy",
        "outer.Outer.track_outer_sum_over_numpy",
        "plugins.Available.track_available_over_entry_points",
        "plugins.BuiltinSourcesAsPlugin.track_step_over_builtin",
        "plugins.ImportBesidePlugins.track_import",
        "plugins.PythonLayer.track_forward",
        "plugins.PythonLayer.track_forward_and_backward",
        "softmax.Softmax.peakmem_loss_and_delta_classes",
        "softmax.Softmax.time_loss_and_delta_classes",
        "softmax.Softmax.time_loss_and_delta_rows",
        "softmax.Softmax.time_softmax",
        "softmax.Softmax.track_loss_and_delta_over_numpy",
        "step.ForwardAllocation.track_forward_out_allocation",
        "step.Step.time_forward",
        "step.Step.time_gradients",
        "step.Step.time_gradients_flat",
        "step.Step.time_step",
        "step.StepMemory.peakmem_forward_out",
        "step.StepMemory.peakmem_gradients_flat",
        "step.StepMemory.peakmem_step",
        "step.StepOverNumPy.track_step_over_numpy",
        "threads.TwoThreads.track_two_threads_over_one",
    }


@pytest.mark.parametrize("name", CLASSES)
def test_version_and_parameters_are_stated(name):
    cls = CLASSES[name]
    assert re.fullmatch(r"\d+", cls.version)  # without it asv hashes the source: an edit would
    assert len(getattr(cls, "params", ())) == len(getattr(cls, "param_names", ()))  # end history
    has_tracks = any(method.startswith("track_") for method in dir(cls))
    assert hasattr(cls, "unit") == has_tracks


@pytest.mark.parametrize("name", CLASSES)
def test_every_benchmark_runs_on_its_smallest_case(name):
    cls = CLASSES[name]
    case = smallest(cls)
    for method in [m for m in dir(cls) if m.startswith(KINDS)]:
        try:
            benchmark = set_up(cls)
        except NotImplementedError as exc:  # asv shows n/a
            pytest.skip(str(exc))
        result = getattr(benchmark, method)(*case)
        if method.startswith("track_"):
            assert math.isfinite(result), method
        if method.startswith("timeraw_"):
            subprocess.run([sys.executable, "-P", "-c", result], check=True)


@pytest.mark.parametrize("name", COMPARING)
def test_setup_compares_with_the_reference(name, monkeypatch):
    try:
        set_up(CLASSES[name])
    except NotImplementedError as exc:
        pytest.skip(str(exc))
    for key, function in vars(reference).items():
        if inspect.isfunction(function) and function.__module__.startswith(reference.__name__):
            monkeypatch.setattr(reference, key, lambda *a, f=function, **k: off(f(*a, **k)))
    with pytest.raises(AssertionError):
        set_up(CLASSES[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "case", "kernel", "spoilt"), KERNELS)
def test_setup_notices_a_wrong_kernel(name, case, kernel, spoilt, dtype, monkeypatch):
    right = getattr(kernels, kernel)

    def wrong(*args, **kwargs):
        result = right(*args, **kwargs)
        array = args[-1] if spoilt == "delta" else result
        array += 1e-3
        return result

    CLASSES[name]().setup(*case, dtype)
    monkeypatch.setattr(kernels, kernel, wrong)
    with pytest.raises(AssertionError):
        CLASSES[name]().setup(*case, dtype)


def test_the_products_are_those_of_a_step():
    limits, common = MODULES["limits"], MODULES["common"]
    net, X, y = common.problem("64-32-10/1", "float32", 4)
    products = limits.Products(common.layers_of(net), X, y)
    # forward and weights of both layers, and the way back through the second
    assert products.operations == 2 * 4 * (2 * 64 * 32 + 3 * 32 * 10)
    shapes = [out.shape for *_, out in products.calls]
    assert shapes == [(4, 32), (32, 64), (4, 10), (10, 32), (4, 32)]
    limits.assert_products(products)
    g = net.gradients(X, y)
    np.testing.assert_allclose(products.calls[1][2], g.W[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(products.calls[4][2], g.h[1], rtol=1e-4, atol=1e-6)
    products.wanted[2] = products.wanted[2] * 1.001
    with pytest.raises(AssertionError, match="product"):
        limits.assert_products(products)


def test_the_peak_loop_computes_what_it_counts():
    peak = MODULES["peak"]
    try:
        once, twice = peak.MultiplyAdds(turns=500), peak.MultiplyAdds(turns=1000)
    except NotImplementedError as exc:
        pytest.skip(str(exc))
    assert twice.operations == 2 * once.operations
    places = once.operations / 500 / 2
    assert once.values == 2 * places  # a = a / 2 + 1 has come to 2 everywhere


def test_without_a_compiler_there_is_no_peak(monkeypatch):
    peak = MODULES["peak"]
    peak.library.cache_clear()
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(NotImplementedError, match="no C compiler: no-such-compiler"):
        CLASSES["limits.PeakOverStep"]().setup("64-64-10/32")
    peak.library.cache_clear()


def test_threads_are_na_where_they_cannot_be_limited_or_cannot_run(monkeypatch):
    benchmark = CLASSES["threads.TwoThreads"]()
    monkeypatch.delattr(bp, "thread_limit", raising=False)
    with pytest.raises(NotImplementedError, match="no thread_limit"):
        benchmark.setup("4-16-3/1")
    monkeypatch.setattr(bp, "thread_limit", contextlib.nullcontext, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with pytest.raises(NotImplementedError, match="one CPU"):
        benchmark.setup("4-16-3/1")


def test_both_sides_of_thread_scaling_run_under_their_limit(monkeypatch):
    limits = []

    @contextlib.contextmanager
    def limit(n):
        limits.append(n)
        yield

    monkeypatch.setattr(bp, "thread_limit", limit, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    # each side once: how often they run to be timed depends on the machine
    monkeypatch.setattr(MODULES["threads"], "ratio", lambda two, one: (two(), one()))
    benchmark = CLASSES["threads.TwoThreads"]()
    benchmark.setup("4-16-3/1")
    assert limits == [1, 2]
    benchmark.track_two_threads_over_one()
    assert limits == [1, 2, 2, 1]


def test_ratio_is_of_the_first_to_the_second():
    ratio = MODULES["common"].ratio
    x = np.ones(100_000)
    assert ratio(lambda: [x.sum() for _ in range(20)], x.sum) > 5
    assert ratio(x.sum, lambda: [x.sum() for _ in range(20)]) < 0.2


def test_allocated_counts_the_arrays_of_one_call():
    allocated = MODULES["common"].allocated
    assert 8_000_000 <= allocated(lambda: np.ones(1_000_000)) < 8_100_000
    assert allocated(lambda: None) < 1000


@pytest.mark.parametrize("got", [np.nan, 1.01, [1.0, 1.0]])
def test_assert_equal_refuses(got):
    with pytest.raises(AssertionError, match="y_hat"):
        MODULES["common"].assert_equal("y_hat", np.float64(got), np.float64(1))

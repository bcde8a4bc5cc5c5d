"""The benchmarks for parts: abstract until a part is given, right before they are timed."""

import ast
import inspect
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastbp as bp
from fastbp.testing.benchmarks import LayerBenchmark, LossBenchmark, ratio

KINDS = ("time_", "track_")
PLUGIN_SUITE = Path(__file__).parents[2] / "plugins" / "fastbp-maxout" / "benchmarks"
SUBCLASSES = """
import fastbp as bp
from fastbp.testing.benchmarks import LayerBenchmark, LossBenchmark, ratio
class Tanh(LayerBenchmark):
    layer = bp.Tanh()
class CrossEntropy(LossBenchmark):
    loss = bp.SoftmaxCrossEntropy()
"""


class Doubled(bp.layers.Elementwise):
    """Twice x, with a derivative that a test may get wrong."""

    def __init__(self, slope=2.0, name=None):
        self.slope, self.name = slope, name

    def f(self, x, y):
        np.multiply(x, 2, out=y)

    def df(self, x, y, out):
        out.fill(self.slope)


class TanhBenchmark(LayerBenchmark):
    layer = bp.Tanh()


class DoubledBenchmark(LayerBenchmark):
    layer = Doubled()


class CrossEntropyBenchmark(LossBenchmark):
    loss = bp.SoftmaxCrossEntropy()


def timed(cls):
    return [name for name in dir(cls) if name.startswith(KINDS)]


@pytest.mark.parametrize("base", [LayerBenchmark, LossBenchmark])
def test_the_bases_are_abstract_and_state_what_asv_reads(base):
    assert inspect.isabstract(base)  # what asv's discovery asks
    assert base.version == "2"
    assert len(base.params) == len(base.param_names)
    assert base.unit
    assert len(timed(base)) >= 4


def test_asv_finds_the_subclasses_and_not_the_bases(tmp_path):
    pytest.importorskip("asv_runner", reason="asv_runner is not installed")
    suite = tmp_path / "asv_suite_of_a_plugin"
    suite.mkdir()
    (suite / "__init__.py").write_text("")
    (suite / "parts.py").write_text(SUBCLASSES)
    code = (
        "import sys, asv_runner.discovery as d\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        f"print(*sorted(b.name for b in d.disc_benchmarks({str(suite)!r})))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == sorted(
        [f"parts.Tanh.{name}" for name in timed(LayerBenchmark)]
        + [f"parts.CrossEntropy.{name}" for name in timed(LossBenchmark)]
    )


@pytest.mark.parametrize("cls", [TanhBenchmark, DoubledBenchmark, CrossEntropyBenchmark])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_benchmark_runs(cls, dtype):
    case = (3, 7), dtype
    for name in timed(cls):
        benchmark = cls()
        benchmark.setup(*case)
        result = getattr(benchmark, name)(*case)
        assert (result is None) == name.startswith("time_")
        assert result is None or (math.isfinite(result) and result > 0)


class ValuesBenchmark(LossBenchmark):
    loss = bp.SquaredError()


class BinaryBenchmark(LossBenchmark):
    loss = bp.SigmoidCrossEntropy()


class WithItsOwn(bp.SquaredError):
    """A loss that says what targets it takes, in a type of its choice."""

    def example_targets(self, rng, rows, n_out):
        return rng.standard_normal((rows, n_out)).astype(np.float16)


class OwnBenchmark(LossBenchmark):
    loss = WithItsOwn()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "cls", [TanhBenchmark, CrossEntropyBenchmark, ValuesBenchmark, BinaryBenchmark, OwnBenchmark]
)
def test_targets_are_taken_as_they_are(cls, dtype):
    """Or a conversion would be timed with every step."""
    benchmark = cls()
    benchmark.setup((3, 7), dtype)
    for y in (benchmark.y, benchmark.bare_y):
        assert y.dtype == (np.int64 if y.ndim == 1 else dtype)
        assert y.flags.carray


def test_both_networks_are_alike_but_for_the_part():
    benchmark = TanhBenchmark()
    benchmark.setup((3, 7), "float64")
    benchmark.bare.flat[:] = benchmark.net.flat
    assert benchmark.net.layers == (*benchmark.bare.layers, bp.Tanh())
    got = benchmark.net.forward(benchmark.X)
    np.testing.assert_allclose(got, np.tanh(benchmark.bare.forward(benchmark.X)), rtol=1e-12)
    loss = CrossEntropyBenchmark()
    loss.setup((3, 7), "float64")
    assert (loss.net.layers, loss.net.loss_function) == (loss.bare.layers, bp.SoftmaxCrossEntropy())


def test_setup_refuses_a_wrong_gradient():
    class Wrong(LayerBenchmark):
        layer = Doubled(slope=2.01)

    with pytest.raises(AssertionError, match="gradients of"):
        Wrong().setup((3, 7), "float64")


def test_setup_refuses_a_c_body_that_is_not_the_python_body():
    class HalfTanh(bp.Tanh):
        def f(self, x, y):
            np.tanh(x / 2, out=y)

        __fastbp_elementwise__ = bp.Tanh.__fastbp_elementwise__

    class Wrong(LayerBenchmark):
        layer = HalfTanh()

    with pytest.raises(AssertionError, match="away from the Python body"):
        Wrong().setup((3, 7), "float64")


def test_ratio_is_of_the_first_to_the_second():
    x = np.ones(100_000)
    assert ratio(lambda: [x.sum() for _ in range(20)], x.sum, seconds=0.05) > 5


def test_asv_is_not_imported():
    code = "import sys, fastbp.testing.benchmarks; print([m for m in sys.modules if 'asv' in m])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_plugin_package_uses_it_in_three_lines():
    tree = ast.parse((PLUGIN_SUITE / "maxout.py").read_text(encoding="utf-8"))
    lines = [line for node in tree.body[1:] for line in ast.unparse(node).splitlines()]
    assert len([line for line in lines if line]) <= 4  # the import of the part itself, and three
    assert "class MaxoutOf64(benchmarks.LayerBenchmark):" in lines
    settings = json.loads((PLUGIN_SUITE / "asv.conf.json").read_text(encoding="utf-8"))
    assert (PLUGIN_SUITE / settings["repo"] / settings["repo_subdir"]).samefile(PLUGIN_SUITE.parent)

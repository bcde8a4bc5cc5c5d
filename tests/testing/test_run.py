"""How checks are found, named and reported."""

import subprocess
import sys

import numpy as np
import pytest

import fastbp as bp
from fastbp.layers import Elementwise
from fastbp.testing import check_layer, check_loss, checks_for
from fastbp.testing.registry import CHECKS


class Broken(Elementwise):
    def f(self, x, y):
        np.multiply(x, x, out=y)

    def df(self, x, y, out):
        out[...] = x


class NeedsMore(Elementwise):
    def __init__(self, slope, name=None):
        self.slope, self.name = slope, name


class NoExamples(Broken):
    @classmethod
    def examples(cls):
        return []


@pytest.mark.parametrize("kind", ["layer", "loss"])
def test_names_are_unique_and_each_check_says_what_it_wants(kind):
    names = [check.__name__ for check in CHECKS[kind]]
    assert len(set(names)) == len(names) > 20
    assert all(check.__doc__ for check in CHECKS[kind])


@pytest.mark.parametrize("part", ["relu", bp.ReLU, bp.ReLU()])
def test_a_part_may_be_a_name_a_class_or_an_instance(part):
    assert [name for name, _ in checks_for(part)] == [check.__name__ for check in CHECKS["layer"]]


def test_the_report_has_a_line_for_each_check_that_failed():
    with pytest.raises(AssertionError) as caught:
        check_layer(Broken)
    first, *lines = str(caught.value).splitlines()
    failed = {line.partition(":")[0] for line in lines} & {name for name, _ in checks_for(Broken)}
    assert first == f"Broken: {len(failed)} of {len(CHECKS['layer'])} checks failed"
    assert any(line.startswith("gradients: Broken(), Python body, float64") for line in lines)
    assert "central differences" in str(caught.value)


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [
        ("rleu", bp.UnknownNameError, "did you mean 'relu'"),
        (3, bp.ConfigError, "wanted a layer or a loss"),
        (NeedsMore, bp.ConfigError, r"needs slope; give it a class method examples\(\)"),
        (NoExamples, bp.ConfigError, "wanted one part or more"),
    ],
)
def test_what_cannot_be_checked_says_so(part, error, message):
    with pytest.raises(error, match=message):
        checks_for(part)


def test_a_layer_is_no_loss():
    with pytest.raises(bp.ConfigError, match="relu: got a layer; wanted a loss"):
        check_loss("relu")
    with pytest.raises(bp.ConfigError, match="got a loss; wanted a layer"):
        check_layer(bp.SquaredError())


def test_the_kit_needs_no_pytest():
    code = "import sys, fastbp.testing as t; t.check_layer('relu'); print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_assertions_nothing_passes_by_mistake():
    code = "import fastbp.testing as t; t.check_layer('relu')"
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "removes the checks' assertions" in done.stderr

"""Comparing two commits: what is called slower, what is not, and what ends how."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "compare.py"
pytest.importorskip("tabulate", reason="tabulate, of the extra bench, is not installed")


@pytest.fixture(scope="module")
def compare():
    spec = importlib.util.spec_from_file_location("compare", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Stub:
    """A worker whose steps take as long as told."""

    def __init__(self, seconds):
        self.each, self.asked = seconds, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def seconds(self, net, steps):
        self.asked.append((net, steps))
        return self.each * steps


@pytest.mark.parametrize(
    ("ratios", "word"),
    [
        ([1.3] * 10, "SLOWER"),
        ([1.28, 1.35, 1.29, 1.31, 1.2, 1.33, 1.3, 1.27, 0.8, 1.9], "SLOWER"),  # one off each way
        ([1.0] * 10, "same"),
        ([0.97, 1.02, 1.01, 0.99, 1.3, 0.8, 1.04, 0.98, 1.0, 1.03], "same"),
        ([1.09] * 10, "same"),  # certain, and too little
        ([0.9, 1.0, 1.3, 1.4, 1.2, 0.95, 1.5, 1.25, 0.99, 1.2], "same"),  # large, and uncertain
        ([0.7] * 10, "faster"),
        ([1.3] * 6, "SLOWER"),
    ],
)
def test_verdict(compare, ratios, word):
    middle, low, high, found = compare.verdict(ratios, 1.1)
    assert low <= middle <= high
    assert found == word


def test_a_round_is_of_the_second_to_the_first_and_takes_turns(compare, monkeypatch):
    workers = {"a": Stub(1e-5), "b": Stub(1.3e-5)}
    monkeypatch.setattr(compare, "Worker", lambda folder, nets: workers[folder])
    assert compare.measured(("a", "b"), ["x", "y"], pairs=4) == pytest.approx([1.3, 1.3])
    assert workers["a"].asked == workers["b"].asked  # the same steps on both sides
    assert {net for net, _ in workers["a"].asked} == {0, 1}
    assert max(steps for _, steps in workers["a"].asked) == round(2e-3 / 1.3e-5)


@pytest.mark.parametrize(("times", "code"), [(1.3, 1), (1.0, 0), (0.7, 0)])
def test_exit_code(compare, monkeypatch, capsys, times, code):
    monkeypatch.setattr(compare, "build", lambda commit, folder: None)
    monkeypatch.setattr(compare, "measured", lambda folders, nets, pairs: [1.0, times])
    git = subprocess.run(["git", "-C", str(PATH.parent), "rev-parse", "HEAD"], capture_output=True)
    if git.returncode:
        pytest.skip("no git history here")
    assert compare.main(["HEAD", "HEAD", "--nets", "4-16-3/1", "64-64-10/32"]) == code
    assert ("SLOWER" in capsys.readouterr().out) == (code == 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-commit", "HEAD"], "no-such-commit"),
        (["HEAD", "HEAD", "--rounds", "5"], "--rounds: got 5; wanted 6 or more"),
    ],
)
def test_what_cannot_be_compared_ends_with_two(compare, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        compare.main(arguments)
    assert ended.value.code == 2  # 1 is a regression
    assert message in capsys.readouterr().err


def test_a_worker_times_the_build_it_is_given(compare, tmp_path):
    # a package that is little more than a name: the suite's checks need the real one
    (tmp_path / "fastbp").mkdir()
    (tmp_path / "fastbp" / "__init__.py").write_text("def SGD(rate): pass\n")
    suite = tmp_path / "here" / "suite"
    suite.mkdir(parents=True)
    (suite / "__init__.py").write_text("")
    (suite / "common.py").write_text(
        "class Net:\n    def step(self, X, y, optimizer): X.append(y)\n"
        "def problem(net, dtype): return Net(), [], net\n"
        "def assert_network(net, X, y): assert isinstance(net, Net)\n"
    )
    command = [sys.executable, "-P", "-c", compare.WORKER, str(tmp_path), str(suite.parent), "n"]
    done = subprocess.run(command, input="0 5\n0 1\n", capture_output=True, text=True, check=True)
    taken = [float(line) for line in done.stdout.split()]
    assert len(taken) == 2
    assert all(0 < seconds < 1 for seconds in taken)

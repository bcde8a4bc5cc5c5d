"""`python -m peers`: what it measures, whom it refuses, how it ends. Never how fast."""

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ROW = "4-16-3/1"
# runs the command after something in the library was broken on purpose
BROKEN = """
import sys
from peers.libraries import with_{library} as library
{breakage}
from peers.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
HALF_A_STEP = """
right = library.Step.__init__
def wrong(self, problem):
    right(self, problem)
    self.lr = self.lr / 2
library.Step.__init__ = wrong
"""
FORGOTTEN_BIAS = """
right = library.Step.__call__
def wrong(self):
    b = self.parameters()[0][1]
    kept = b.copy()
    right(self)
    b[...] = kept
library.Step.__call__ = wrong
"""
# what the loss cannot feel: two hidden units that change places
SWAPPED_UNITS = """
right = library.Step.__call__
def wrong(self):
    right(self)
    (W1, b1), (W2, _) = self.parameters()
    W1[:2], b1[:2], W2[:, :2] = W1[1::-1].copy(), b1[1::-1].copy(), W2[:, 1::-1].copy()
library.Step.__call__ = wrong
"""
NOT_A_NUMBER = """
def wrong(self):
    self.parameters()[0][0][...] = float("nan")
library.Step.__call__ = wrong
"""


def run(command, *options, env=None):
    if not any(option.startswith("--grid") for option in options):
        options = ("--grid=step", *options)
    return subprocess.run(
        [sys.executable, *command, *options], cwd=BENCHMARKS, env={**os.environ, **(env or {})},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def peers(*options, **more):
    return run(["-m", "peers"], f"--only={ROW}", "--rounds=2", *options, **more)


def broken(library, breakage, *options):
    program = BROKEN.format(library=library, breakage=breakage)
    return run(["-c", program], f"--only={ROW}", "--rounds=2", *options)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "sklearn"])
def test_with_tanh_too_every_library_makes_the_references_steps(library):
    pytest.importorskip(library)
    done = peers(f"--beside={library}", "--activation=tanh")
    assert done.returncode == 0, done.stderr
    assert "is refused" not in done.stderr
    row = done.stdout.splitlines()[1]
    assert row.startswith(ROW)
    assert row.endswith(" -")  # the targets are for ReLU


def test_an_activation_that_is_not_there_is_said():
    pytest.importorskip("thinc")
    done = peers("--beside=thinc", "--activation=tanh")
    assert "thinc is left out: it has no layer of tanh" in done.stderr
    done = run(["-m", "peers"], "--grid=fit", "--activation=tanh")
    assert done.returncode == 2
    assert "the grid fit has relu alone" in done.stderr


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One row beside NumPy: the finished process and its JSON."""
    file = tmp_path_factory.mktemp("peers") / "peers.json"
    done = peers("--beside=numpy", f"--json={file}")
    assert done.returncode in (0, 1), done.stderr
    return done, json.loads(file.read_text()), file


def test_json_holds_every_round(measured):
    _, results, _ = measured
    [grid] = results["grids"]
    assert (grid["grid"], grid["threads"], grid["rounds"]) == ("step", 1, 2)
    assert set(grid["versions"]) == {"fastbp", "numpy"}
    assert grid["machine"]["processor"]
    assert grid["machine"]["cpus"] == 1 or not hasattr(os, "sched_setaffinity")
    [row] = grid["rows"]
    assert row["name"] == ROW
    assert row["flops"] == 6 * (4 * 16 + 16 * 3) - 2 * 4 * 16
    assert row["refused"] == {}
    assert (row["best"], row["wanted_ratio"], row["wanted_fraction"]) == ("numpy", 30, None)
    for name in ("fastbp", "numpy"):
        assert len(row["seconds"][name]) == 2
        assert all(math.isfinite(s) and s > 0 for s in row["seconds"][name])


def test_ratios_are_those_of_the_rounds(measured):
    [row] = measured[1]["grids"][0]["rows"]
    ours, theirs = row["seconds"]["fastbp"], row["seconds"]["numpy"]
    assert row["ratio"] == pytest.approx((theirs[0] / ours[0] + theirs[1] / ours[1]) / 2)
    assert row["holds"] is (row["ratio"] >= row["wanted_ratio"])
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler: the peak is absent")
    shares = [row["flops"] / s / p for s, p in zip(ours, row["peak"], strict=True)]
    assert row["fraction"] == pytest.approx(sum(shares) / 2)
    assert all(1e9 < p < 1e12 for p in row["peak"])  # one core's flop/s


def test_exit_status_and_table_say_what_the_json_says(measured):
    done, results, _ = measured
    [row] = results["grids"][0]["rows"]
    assert done.returncode == (0 if row["holds"] else 1)
    line = next(text for text in done.stdout.splitlines() if text.startswith(ROW))
    assert line.endswith("yes" if row["holds"] else "SHORT")


@pytest.mark.parametrize("breakage", [HALF_A_STEP, FORGOTTEN_BIAS, SWAPPED_UNITS, NOT_A_NUMBER])
def test_a_library_that_steps_elsewhere_is_refused(breakage, tmp_path):
    file = tmp_path / "peers.json"
    done = broken("numpy", breakage, "--beside=numpy", f"--json={file}")
    assert done.returncode == 1
    assert f"{ROW}: numpy is refused" in done.stderr
    [row] = json.loads(file.read_text())["grids"][0]["rows"]
    assert "numpy" not in row["seconds"]
    assert "the reference's" in row["refused"]["numpy"]


def test_nothing_is_timed_when_fastbp_itself_is_wrong():
    done = broken("fastbp", SWAPPED_UNITS, "--beside=numpy")
    assert done.returncode == 1
    assert f"{ROW}: fastbp: W[1]" in done.stderr
    assert ROW not in done.stdout


@pytest.mark.parametrize("name", ["torch", "jax", "sklearn", "thinc"])
def test_every_library_makes_the_reference_steps(name):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    done = peers(f"--beside={name}")
    assert "refused" not in done.stderr
    assert "left out" not in done.stderr
    assert any(text.startswith(ROW) for text in done.stdout.splitlines()), done.stderr


def test_a_missing_library_and_a_missing_compiler_are_named(tmp_path):
    file = tmp_path / "peers.json"
    hidden = tmp_path / "jax.py"
    hidden.write_text("raise ImportError('no jax here')\n")
    env = {"PYTHONPATH": str(tmp_path), "CC": "no-such-compiler"}
    done = peers("--beside=jax,numpy", f"--json={file}", env=env)
    assert "jax is left out: no jax here" in done.stderr
    assert "no C compiler: no-such-compiler was not found" in done.stderr
    [grid] = json.loads(file.read_text())["grids"]
    assert set(grid["versions"]) == {"fastbp", "numpy"}
    assert grid["rows"][0]["peak"] is None
    assert grid["rows"][0]["fraction"] is None


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--only=5-5/1", "rows are 1024-2048"),
        ("--beside=tinygrad", "known are numpy"),
        ("--rounds=0", "wanted a whole number >= 1"),
        ("--read=x.json", "goes with --picture"),
    ],
)
def test_what_does_not_exist_ends_with_2(option, message):
    done = run(["-m", "peers"], option)
    assert done.returncode == 2
    assert message in done.stderr


def test_the_process_is_pinned_before_anything_is_imported():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot pin a process")
    # a pool of threads is as large as the CPUs that its library sees when it is imported
    program = """
import os, sys
def pinned(pid, cpus):
    numeric = {"numpy", "scipy", "fastbp", "threadpoolctl"} & set(sys.modules)
    print(sorted(cpus), sorted(numeric))
    raise SystemExit
os.sched_getaffinity, os.sched_setaffinity = lambda pid: {7, 3, 5}, pinned
from peers.__main__ import main
main(sys.argv[1:])
"""
    small = (f"--only={ROW}", "--rounds=1", "--beside=numpy")
    assert run(["-c", program], "--grid=step", *small).stdout == "[3] []\n"
    assert run(["-c", program], "--grid=threads", *small).stdout == "[3, 5] []\n"


def test_two_threads_need_two_cpus():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot pin a process")
    one = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    done = broken("fastbp", one, "--beside=numpy", "--grid=threads")
    assert done.returncode == 2
    assert "threads needs 2 CPUs; this process may run on 1" in done.stderr


def test_threads_grid_compares_two_threads_with_one(tmp_path):
    # on as many CPUs as there are: what is tested is the bookkeeping, not the speed
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    file = tmp_path / "peers.json"
    anywhere = "from peers import pin; pin.pin = lambda threads: None"
    done = broken("numpy", anywhere, "--beside=numpy", "--grid=threads", f"--json={file}")
    assert done.returncode in (0, 1), done.stderr
    [row] = json.loads(file.read_text())["grids"][0]["rows"]
    assert set(row["seconds"]) >= {"fastbp 1", "numpy 1", "numpy 2"}
    if "fastbp 2" not in row["seconds"]:
        assert "this fastbp has one thread" in done.stderr
        assert row["holds"] is False
    assert row["best"] in ("numpy 1", "numpy 2")
    one, two = row["seconds"]["numpy 1"], row["seconds"]["numpy 2"]
    assert row["speedup"]["numpy"] == pytest.approx((one[0] / two[0] + one[1] / two[1]) / 2)
    assert row["cpus"] is None or 0.1 < row["cpus"] < 20  # one CPU, or two beside busy others
    assert not any(name.startswith("peak") for name in row["seconds"])


def test_fit_grid_compares_time_and_accuracy_with_scikit_learn(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    file = tmp_path / "peers.json"
    done = run(
        ["-m", "peers"], "--grid=fit", "--only=digits/200", "--beside=sklearn", "--rounds=1",
        f"--json={file}",
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    [row] = json.loads(file.read_text())["grids"][0]["rows"]
    assert row["ratio"] == row["seconds"]["sklearn"][0] / row["seconds"]["fastbp"][0]
    assert all(0.9 < row["accuracy"][name][0] <= 1 for name in ("fastbp", "sklearn"))


def test_picture_is_drawn_from_the_json(measured, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    file = tmp_path / "peers.svg"
    done = run(["-m", "peers"], f"--read={measured[2]}", f"--picture={file}")
    assert done.returncode == 0, done.stderr
    assert "<svg" in file.read_text()


def test_a_picture_without_matplotlib_is_refused_before_anything_is_measured(tmp_path):
    program = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "matplotlib" else found(name, *rest)
from peers.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
    file = tmp_path / "peers.json"
    done = run(["-c", program], f"--json={file}", f"--picture={tmp_path / 'peers.png'}")
    assert done.returncode == 2
    assert "no picture without matplotlib" in done.stderr
    assert not file.exists()

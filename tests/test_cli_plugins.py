"""`fastbp plugins`: the list, the check that survives whatever a plugin does, and new packages."""

import json
import re
import sys
import textwrap
import time

import pytest

import fastbp as bp
from fastbp import plugins, registry
from fastbp.cli import main

GOOD = """
    import numpy as np
    import fastbp as bp

    class Part(bp.layers.Elementwise):
        def f(self, x, y):
            np.multiply(x, 3, out=y)

        def df(self, x, y, out):
            out[...] = 3
"""
WRONG = GOOD.replace("out[...] = 3", "out[...] = 2")
CRASHES = GOOD.replace("np.multiply(x, 3, out=y)", "import os; print('last words'); os.abort()")
HANGS = GOOD.replace("np.multiply(x, 3, out=y)", "import time; time.sleep(600)")
LEAVES = "import os; os._exit(0)"
EXITS = "raise SystemExit(0)"
RAISES = "raise OSError('no such device')"


@pytest.fixture
def run(capsys):
    """Run the command in this process: (exit code, stdout, stderr)."""

    def call(*arguments):
        code = main(["plugins", *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution with one module and one layer where Python finds it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def call(name, source, part=None, version="1.5"):
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        entry = f"{part or module} = {module}:Part"
        (info / "entry_points.txt").write_text(f"[fastbp.layers]\n{entry}\n")
        plugins.refresh()

    yield call
    monkeypatch.undo()
    plugins.refresh()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder the command is called in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(run, *arguments):
    """Exit code and the reports, by the part's name."""
    code, out, _ = run("check", "--json", *arguments)
    return code, {report["name"]: report for report in json.loads(out)["plugins"]}


def test_a_name_that_is_shadowed_does_not_pass(run, install):
    """The kit finds nothing wrong with the part, but nobody who asks for it by name gets it."""
    install("my-relu", GOOD, part="relu")
    code, out, _ = run("check", "my-relu")
    assert code == 1
    assert re.match(r"failed +layer relu \(my-relu 1.5\): \d\d checks, ", out)
    [_, line, *_] = out.splitlines()
    assert line.strip().startswith("name: got 'relu', the name of a built-in part, which wins")
    assert "'my-relu:relu' alone asks for it" in line
    assert out.endswith("\n0 of 1 passed\n")


def test_names_in_conflict_do_not_pass(run, install):
    install("one", GOOD, part="mine")
    install("other", GOOD, part="mine", version="2.0")
    code, out, _ = run("check", "--json")
    reports = json.loads(out)["plugins"]
    assert code == 1
    for report, other in zip(reports, ("other 2.0", "one 1.5"), strict=True):
        [failure] = report["failures"]
        assert report["state"] == "failed"
        assert failure["check"] == "name"
        assert f"'mine', which {other} brings as well" in failure["error"]


def test_one_of_two_names_passes_where_the_other_is_disabled(run, install, monkeypatch):
    install("one", GOOD, part="mine")
    install("other", GOOD, part="mine", version="2.0")
    monkeypatch.setenv("FASTBP_DISABLE_PLUGINS", "other")
    assert run("check", "one")[0] == 0


# The list


def test_list(run, install):
    install("some-part", RAISES)  # nothing is loaded
    code, out, err = run()
    head, *rows = [line.split() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert head == ["name", "kind", "distribution", "version", "contract", "state"]
    assert ["relu", "layer", "fastbp", bp.__version__, "1", "built-in"] in rows
    assert ["some_part", "layer", "some-part", "1.5", "-", "not", "loaded"] in rows


def test_list_as_json(run, install):
    install("some-part", GOOD)
    code, out, _ = run("--json")
    found = {part["name"]: part for part in json.loads(out)["plugins"]}
    assert code == 0
    assert found.keys() >= {"dense", "softmax_cross_entropy", "some_part"}
    assert found["some_part"] == {
        "kind": "layer",
        "name": "some_part",
        "distribution": "some-part",
        "version": "1.5",
        "contract": None,
        "state": "not loaded",
    }


# The check


def test_check_a_built_in_part(run):
    code, out, err = run("check", "squared_error")
    assert (code, err) == (0, "")
    assert re.match(r"passed +loss squared_error \(fastbp .*\): \d\d checks, ", out)
    assert out.endswith("\n1 of 1 passed\n")


def test_check_all_built_in_parts(run):
    code, reports = checked(run, "fastbp")
    assert {name for table in registry.BUILTIN.values() for name in table} == reports.keys()
    assert code == 0, reports


def test_check_survives_what_plugins_do(run, install):
    for name, source in {
        "part-good": GOOD,
        "part-wrong": WRONG,
        "part-crashes": CRASHES,
        "part-leaves": LEAVES,
        "part-exits": EXITS,
        "part-raises": RAISES,
    }.items():
        install(name, source)
    code, reports = checked(run)
    assert code == 1
    states = {name: report["state"] for name, report in reports.items() if name.startswith("part_")}
    assert states == {
        "part_good": "passed",
        "part_wrong": "failed",
        "part_crashes": "crashed",
        "part_leaves": "crashed",
        "part_exits": "failed",
        "part_raises": "failed",
    }
    assert reports["part_good"]["failures"] == []
    assert reports["part_good"]["checks"] > 10
    assert "gradients" in {failure["check"] for failure in reports["part_wrong"]["failures"]}
    (death,) = reports["part_crashes"]["failures"]
    assert "the process died of SIGABRT" in death["error"]
    assert "part_crashes.py" in death["error"]  # faulthandler says where
    assert death["check"] != "loading"
    assert "left with exit code 0" in reports["part_leaves"]["failures"][0]["error"]
    (failure,) = reports["part_raises"]["failures"]
    assert failure["check"] == "loading"
    for word in ("part_raises", "part-raises 1.5", "no such device", "part_raises.py:1"):
        assert word in failure["error"]
    assert not {name for name in sys.modules if name.startswith("part_")}


def test_check_stops_what_hangs(run, install):
    install("part-hangs", HANGS)
    start = time.monotonic()
    code, out, _ = run("check", "part-hangs", "--timeout", "3")
    assert time.monotonic() - start < 20
    assert code == 1
    state, *failures, last = out.splitlines()
    assert state.startswith("timed out layer part_hangs (part-hangs 1.5): ")
    assert failures[0].endswith(": still at it after 3 s, and stopped")
    assert last == "0 of 1 passed"


def test_check_by_distribution_and_in_conflict(run, install):
    install("part-one", GOOD, part="same_name")
    install("part-two", WRONG, part="same_name")
    for name, failed in (("Part_One", 0), ("part-two:same_name", 1)):
        code, reports = checked(run, name)
        first, *others = reports["same_name"]["failures"]
        assert (code, first["check"], bool(others)) == (1, "name", failed)
    code, out, _ = run("check", "same_name")
    assert code == 1
    assert out.endswith("0 of 2 passed\n")


def test_check_of_a_bad_name(run, install):
    install("part-good", GOOD, part="Part")
    code, reports = checked(run, "part-good")
    assert code == 1
    (failure,) = reports["Part"]["failures"]
    assert "layer 'Part' = part_good:Part of part-good 1.5" in failure["error"]


def test_check_does_not_look_into_the_folder_it_is_called_in(run, install, folder):
    install("part-good", GOOD)
    (folder / "part_good.py").write_text(RAISES)
    (folder / "json.py").write_text(RAISES)
    assert checked(run, "part-good")[0] == 0


def test_disabled_plugins_are_left_alone(run, install, monkeypatch):
    install("part-crashes", CRASHES)
    monkeypatch.setenv("FASTBP_DISABLE_PLUGINS", "all")
    assert run("check") == (0, "no plugins are installed\n", "")
    code, out, err = run("check", "part_crashes")
    assert (code, out) == (2, "")
    assert "is disabled by FASTBP_DISABLE_PLUGINS" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "nothing"), "got 'nothing'; wanted a distribution or one of"),
        (("check", "--timeout", "0"), "--timeout: got 0; wanted a number of seconds > 0"),
        (("check", "--timeout", "nan"), "--timeout: got nan"),
        (("check", "--timeout", "soon"), "--timeout"),
        (("old",), "ACTION"),
    ],
)
def test_bad_usage(run, folder, arguments, words):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert list(folder.iterdir()) == []

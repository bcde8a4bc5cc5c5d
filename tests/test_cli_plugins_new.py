"""`fastbp plugins new`: packages that build, work and keep the contract as they are written."""

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

import fastbp as bp
from fastbp.cli import main

HEADER = Path(bp.get_include(), "fastbp", "plugin.h").read_text("utf-8")
COMBINATIONS = [(k, lang) for k in ("layer", "loss", "elementwise") for lang in ("python", "c")]


@pytest.fixture
def run(capsys):
    """Run the command in this process: (exit code, stdout, stderr)."""

    def call(*arguments):
        code = main(["plugins", *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder the command is called in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("new",), "NAME"),
        (("new", "demo"), "--kind"),
        (("new", "demo", "--kind", "optimizer"), "--kind"),
        (("new", "Demo", "--kind", "layer"), "got 'Demo'; wanted lower-case letters"),
        (("new", "../demo", "--kind", "layer"), "got '../demo'; wanted lower-case letters"),
        (("new", "1st", "--kind", "layer"), "got '1st'; wanted lower-case letters"),
        (("new", "demo--x", "--kind", "layer"), "wanted lower-case letters"),
        (("new", "demo-", "--kind", "layer"), "wanted lower-case letters"),
        (("new", "lambda", "--kind", "layer"), "would hide"),
        (("new", "json", "--kind", "layer"), "would hide"),
        (("new", "fastbp", "--kind", "layer"), "would hide"),
        (("new", "relu", "--kind", "layer"), "the name of a part that is built in"),
        (("new", "squared-error", "--kind", "loss"), "the name of a part that is built in"),
    ],
)
def test_bad_usage(run, folder, arguments, words):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("kind", "language"), COMBINATIONS)
def test_new_writes_a_package(run, folder, kind, language):
    code, out, err = run("new", "my-part", "--kind", kind, "--lang", language)
    assert (code, err) == (0, "")
    files = {path.relative_to(folder / "my-part").as_posix(): path.read_text("utf-8")
             for path in (folder / "my-part").rglob("*") if path.is_file()}  # fmt: skip
    wanted = {"pyproject.toml", "README.md", "src/my_part/__init__.py", "tests/test_my_part.py"}
    if language == "c":
        wanted |= {"setup.py", "src/my_part/_my_part.c", "src/my_part/body.h"}
        wanted |= {"include/fastbp/plugin.h"}
        assert files["include/fastbp/plugin.h"] == HEADER
    assert files.keys() == wanted
    for path, text in files.items():
        assert f"wrote my-part/{path}\n" in out
        assert "$" not in text, path
        assert text.endswith("\n"), path
        if path.endswith(".py"):
            compile(text, path, "exec")
            assert max(map(len, text.splitlines())) <= 100
    project = tomllib.loads(files["pyproject.toml"])
    assert project["build-system"]["requires"] == ["setuptools>=77"]
    assert project["project"]["name"] == "my-part"
    group = "fastbp.losses" if kind == "loss" else "fastbp.layers"
    assert project["project"]["entry-points"] == {group: {"my_part": "my_part:MyPart"}}
    assert out.endswith("next: pip install ./my-part && fastbp plugins check my_part\n")


def test_new_overwrites_nothing(run, folder):
    (folder / "demo").write_text("mine")
    code, _, err = run("new", "demo", "--kind", "layer")
    assert code == 2
    assert "demo is already there" in err
    assert (folder / "demo").read_text() == "mine"
    (folder / "empty").mkdir()
    assert run("new", "empty", "--kind", "layer")[0] == 2
    assert list((folder / "empty").iterdir()) == []


def test_new_leaves_nothing_half_written(run, folder, monkeypatch):
    def write_text(self, text, **options):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", write_text)
    code, out, err = run("new", "demo", "--kind", "layer")
    assert (code, out) == (2, "")
    assert "No space left on device; nothing was written" in err
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_new_packages_build_and_keep_the_contract(run, folder):
    names = [f"demo-{kind}-{language}" for kind, language in COMBINATIONS]
    for name, (kind, language) in zip(names, COMBINATIONS, strict=True):
        assert run("new", name, "--kind", kind, "--lang", language)[0] == 0
    site = folder / "site"
    pip(site, *(folder / name for name in names))
    done = call("-m", "fastbp", "plugins", "check", site=site)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in names:
        assert f"({name} 0.1.0)" in done.stdout
        own = call("-m", "pytest", "-q", "-p", "no:cacheprovider", site=site, cwd=folder / name)
        assert own.returncode == 0, own.stdout
    listed = call("-m", "fastbp", "plugins", "check", names[1], site=site, cwd=folder / names[1])
    assert listed.returncode == 0, listed.stdout + listed.stderr


def pip(site, *packages):
    """Install packages into a folder, with the tools that are here and without an index."""
    pytest.importorskip("setuptools")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("no Python.h")
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--target", site]
    done = call("-m", "pip", "install", "--disable-pip-version-check", *options, *packages)
    assert done.returncode == 0, done.stdout + done.stderr


def call(*arguments, site=None, cwd=None):
    """Run Python on these arguments, with the packages of `site`."""
    path = [str(site)] if site else []
    path.append(str(Path(bp.__file__).parents[1]))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd or Path(sys.prefix),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )

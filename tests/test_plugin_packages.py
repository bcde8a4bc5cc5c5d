"""The distributions in plugins/: built from their sdists, installed and used as a third party's."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from pathlib import Path

import pytest

import fastbp as bp

PLUGINS = Path(__file__).parents[1] / "plugins"
NAMES = sorted(path.parent.name for path in PLUGINS.glob("*/pyproject.toml"))
COMPILED = [name for name in NAMES if (PLUGINS / name / "setup.py").exists()]


def call(*arguments, site=None, cwd):
    """Run Python on these arguments, with the packages of `site`."""
    path = [str(site)] if site else []
    path.append(str(Path(bp.__file__).parents[1]))
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sdists(tmp_path_factory):
    """The sdist of each distribution, by name."""
    pytest.importorskip("setuptools")
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("sdists")
    hidden = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "_layernorm.c")
    for name in NAMES:
        source = folder / "source" / name
        shutil.copytree(PLUGINS / name, source, ignore=hidden)
        options = ["--no-isolation", "--outdir", folder]
        call("-m", "build", "--sdist", *options, source, cwd=folder)
    return {name: folder / f"{name.replace('-', '_')}-0.1.0.tar.gz" for name in NAMES}


@pytest.fixture(scope="module")
def site(sdists, tmp_path_factory):
    """A folder with all of them installed."""
    pytest.importorskip("Cython")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("no Python.h")
    folder = tmp_path_factory.mktemp("site")
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--target", folder]
    options.append("--disable-pip-version-check")
    call("-m", "pip", "install", *options, *sdists.values(), cwd=folder)
    return folder


def test_all_four_are_here():
    wanted = ["fastbp-huber", "fastbp-layernorm", "fastbp-leaky-relu", "fastbp-maxout"]
    assert wanted == NAMES
    for name in NAMES:
        for file in ("README.md", "LICENSE"):
            assert (PLUGINS / name / file).is_file()
        assert list((PLUGINS / name / "tests").glob("test_*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_metadata(name):
    declared = tomllib.loads((PLUGINS / name / "pyproject.toml").read_text("utf-8"))
    project = declared["project"]
    assert (project["name"], project["version"]) == (name, "0.1.0")
    assert project["license"] == "BSD-3-Clause"
    assert "fastbp>=0.1" in project["dependencies"]
    part = name.removeprefix("fastbp-").replace("-", "_")
    ((group, entries),) = project["entry-points"].items()
    assert group == ("fastbp.losses" if part == "huber" else "fastbp.layers")
    assert [*entries] == [part]
    # built in isolation: nothing that no index has
    assert not any("fastbp" in line for line in declared["build-system"]["requires"])


@pytest.mark.parametrize("name", COMPILED)
def test_copies_of_the_contract_are_true(name):
    include = PLUGINS / name / "include" / "fastbp"
    header = Path(bp.get_include(), "fastbp", "plugin.h")
    assert (include / "plugin.h").read_text("utf-8") == header.read_text("utf-8")
    if (include / "plugin.pxd").exists():
        wrapped = Path(bp.__file__).parent / "plugin.pxd"
        assert (include / "plugin.pxd").read_text("utf-8") == wrapped.read_text("utf-8")


@pytest.mark.slow
def test_sdists_hold_sources_and_tests(sdists):
    for name, path in sdists.items():
        with tarfile.open(path) as archive:
            files = {member.split("/", 1)[-1] for member in archive.getnames()}
        sources = [
            file.relative_to(PLUGINS / name).as_posix()
            for pattern in (
                "src/*/*.py",
                "src/*/*.h",
                "src/*/_*.[cp]*",
                "include/*/*",
                "tests/*.py",
            )
            for file in (PLUGINS / name).glob(pattern)
            if file.is_file() and not file.name.endswith(("_layernorm.c", ".so"))
        ]
        assert {*sources, "pyproject.toml", "README.md", "LICENSE"} <= files, name


@pytest.mark.slow
def test_installed_packages_hold_no_sources(site):
    wrong = {path.name for path in site.rglob("*") if path.suffix in (".c", ".h", ".pyx", ".pxd")}
    assert not wrong


@pytest.mark.slow
def test_the_plugins_keep_the_contract(site, tmp_path):
    told = call("-m", "fastbp", "plugins", "check", site=site, cwd=tmp_path)
    for name in NAMES:
        assert f"({name} 0.1.0)" in told
    assert all(line.startswith("passed") for line in told.splitlines()[:-1]), told


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_their_own_tests(site, tmp_path, name):
    shutil.copytree(PLUGINS / name / "tests", tmp_path / "tests")
    shutil.copy(PLUGINS / name / "pyproject.toml", tmp_path)
    told = call("-m", "pytest", "-q", "-p", "no:cacheprovider", site=site, cwd=tmp_path)
    assert " passed" in told


@pytest.mark.slow
def test_bodies_are_those_that_are_meant(site, tmp_path):
    # the three with C bodies run on them, and the fourth needs none
    code = (
        "import fastbp as bp\n"
        "for kind, name, config in [('layer', 'layernorm', {}), ('loss', 'huber', {}), "
        "('layer', 'maxout', {'units': 2}), ('layer', 'leaky_relu', {})]:\n"
        "    part = getattr(bp, kind)(name, **config)\n"
        "    print(name, any(hasattr(part, f'__fastbp_{k}__') for k in "
        "('layer', 'elementwise', 'loss')))"
    )
    told = call("-c", code, site=site, cwd=tmp_path).split()
    assert dict(zip(told[::2], told[1::2], strict=True)) == {
        "layernorm": "True",
        "huber": "True",
        "maxout": "True",
        "leaky_relu": "False",
    }


@pytest.mark.slow
def test_explain_walks_through_them(site, tmp_path):
    """Bodies in C and Python, by their own backward and in their own words."""
    code = (
        "import numpy as np, fastbp as bp\n"
        "layers = [bp.Dense(6), bp.layer('layernorm'), bp.layer('leaky_relu', slope=0.25), "
        "bp.Dense(3), bp.layer('maxout', units=2)]\n"
        "X = np.random.default_rng(0).normal(size=(3, 4))\n"
        "net = bp.Network(4, layers, loss='huber', dtype='float64', rng=0)\n"
        "t = np.random.default_rng(1).normal(size=(3, net.n_out))\n"
        "for name in net.params:\n"
        "    walk = net.explain(X, t, row=1, weight=name)\n"
        "    assert np.isclose(walk.product, walk.gradient, rtol=1e-10), name\n"
        "print(net.explain(X, t, row=1, weight='layernorm1.gamma'))\n"
    )
    told = call("-c", code, site=site, cwd=tmp_path)
    assert "1 where a > 0, else 0.25" in told
    assert "linear beyond 1" in told
    assert "maxout1: Maxout(2)'s own backward" in told
    assert "and now talk to the parameters" in told

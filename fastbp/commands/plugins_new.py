"""`fastbp plugins new`: a package with one part that works, is tested, and waits to be edited."""

from __future__ import annotations

import argparse
import keyword
import re
import shutil
import sys
from pathlib import Path
from string import Template

import fastbp
from fastbp import registry
from fastbp.commands.files import describe
from fastbp.errors import ConfigError

SKELETON = Path(__file__).parent / "skeleton"
HEADER = "include/fastbp/plugin.h"
TAKEN = {"fastbp", "numpy", "pip", "pytest", "scipy", "setuptools", "test", "tests", "wheel"}


def run(options: argparse.Namespace) -> None:
    """Write the package into a new folder, and say what to do with it."""
    target = Path(options.name)
    files = package(options.name, options.kind, options.lang)
    try:
        target.mkdir()
    except FileExistsError:
        raise ConfigError(f"NAME: {target} is already there; nothing was written") from None
    try:
        for path, text in files.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)  # made above, so nobody else's
        raise ConfigError(f"NAME: {describe(error)}; nothing was written") from error
    for path in files:
        print(f"wrote {target / path}")
    print(f"next: pip install ./{target} && fastbp plugins check {module_name(options.name)}")


def module_name(name: str) -> str:
    """The name of the module, and of the entry point, of a distribution."""
    return name.replace("-", "_")


def package(name: str, kind: str, language: str) -> dict[str, str]:
    """The package's files by path.

    Raises
    ------
    ConfigError
        The name will not do for a distribution, a module and a part.
    """
    check_name(name)
    module = module_name(name)
    in_c = language == "c"
    words = {
        "name": name,
        "module": module,
        "Class": "".join(word.capitalize() for word in re.split("[-_]", name)),
        "group": "fastbp.losses" if kind == "loss" else "fastbp.layers",
        "kind": kind,
        "what": {"layer": "A layer", "loss": "A loss"}.get(kind, "An elementwise layer"),
        "kit": "loss" if kind == "loss" else "layer",
        "argument": "eps" if kind == "layer" else "scale",  # what the C body needs of an instance
        "minor": ".".join(fastbp.__version__.split(".")[:2]),
    }
    words["imports"] = filled("imports.py", words) if in_c else ""
    words["capsule"] = filled("capsule.py", words) if in_c else ""
    words["layout"] = filled(f"layout_{language}.md", words)
    files = {
        "pyproject.toml": filled("pyproject.toml", words),
        "README.md": filled("README.md", words),
        f"src/{module}/__init__.py": filled(f"{kind}.py", words),
        f"tests/test_{module}.py": filled(f"test_{kind}.py", words),
    }
    if in_c:
        words["table"] = filled(f"{kind}_table.c", words).strip()
        files |= {
            "setup.py": filled("setup.py", words),
            f"src/{module}/_{module}.c": filled("module.c", words),
            f"src/{module}/body.h": filled(f"{kind}_body.h", words),
            HEADER: (Path(fastbp.get_include()) / "fastbp" / "plugin.h").read_text("utf-8"),
        }
    return files


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a distribution, a module and a part at once."""
    module = module_name(name)
    if not re.fullmatch("[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise ConfigError(
            f"NAME: got {name!r}; wanted lower-case letters, digits and single hyphens, with a "
            "letter first, like demo or my-layer"
        )
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module in TAKEN:
        raise ConfigError(f"NAME: got {name!r}, which would hide Python's or another's {module}")
    if any(module in parts for parts in registry.BUILTIN.values()):
        raise ConfigError(f"NAME: got {name!r}, the name of a part that is built in")


def filled(name: str, words: dict[str, str]) -> str:
    """A template with its words put in; it is a .txt file, so that no tool takes it for code."""
    return Template((SKELETON / f"{name}.txt").read_text("utf-8")).substitute(words)

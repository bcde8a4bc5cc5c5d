"""The house: imports go down its floors only, without a circle; and every part has its test.

The imports are read from the sources, so this needs the folder of a clone, not an installed wheel.
"""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fastbp"

# Top to bottom. A module may import from its own floor and from those below it. Names of packages
# stand for all that is in them, unless a longer name stands on another floor.
FLOORS = {
    "face": ["fastbp", "fastbp.__main__", "fastbp.cli", "fastbp.commands", "fastbp.plugins"],
    "kit": ["fastbp.testing"],
    "people": [
        "fastbp.network", "fastbp.inference", "fastbp.parameters", "fastbp.gradients",
        "fastbp.indexed", "fastbp.values", "fastbp.explain", "fastbp.training",
        "fastbp.checkpoint", "fastbp.stored", "fastbp.batch", "fastbp.layout",
        "fastbp.threads.limits",
    ],
    "parts": ["fastbp.layers", "fastbp.losses", "fastbp.optimizers"],
    # It finds parts by name and imports no part: only the base class that says what a part is,
    # which imports nothing of fastbp's and so is a leaf.
    "switchboard": ["fastbp.registry"],
    "kernels": ["fastbp.kernels"],
    "ground": [
        "fastbp.threads", "fastbp.kernels.blas", "fastbp.kernels.blas_library",
        "fastbp.kernels.blas_cases",
    ],
    # plugin.pxd restates the C header for Cython and holds no code.
    "leaves": [
        "fastbp.errors", "fastbp.checks", "fastbp.reference", "fastbp.data", "fastbp.registry.part",
        "fastbp.plugin", "fastbp.threads.cpus", "fastbp.threads.threadpools", "fastbp.memory",
        "fastbp.archive", "fastbp.replacing",
    ],
}  # fmt: skip
LEVEL = {module: level for level, modules in enumerate(FLOORS.values()) for module in modules}
NAMES = [*FLOORS]


def level_of(module):
    """The floor of the longest known name that the module's begins with; 0 is the top one."""
    parts = module.split(".")
    for end in range(len(parts), 1, -1):
        if ".".join(parts[:end]) in LEVEL:
            return LEVEL[".".join(parts[:end])]
    return LEVEL[module] if module == "fastbp" else None


def sources():
    """Every module's name and its files: .py, or .pyx with .pxd."""
    found = {}
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in (".py", ".pyx", ".pxd"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            found.setdefault(name, []).append(path)
    return found


SOURCES = sources()


def targets(module, names):
    """What ``from module import names`` imports: modules among the names, else module itself."""
    inner = {f"{module}.{name}" for name in names} & SOURCES.keys()
    return inner | ({module} if len(inner) < len(names) else set())


def python_imports(text, types=False):
    """Every import at any depth; those in ``if TYPE_CHECKING:`` with `types` alone."""
    found, todo = set(), [ast.parse(text)]
    while todo:
        node = todo.pop()
        if not types and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            found |= targets(node.module, [alias.name for alias in node.names])
        todo += ast.iter_child_nodes(node)
    return found


CYTHON = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+c?import[ \t]*(?:\(([^)]*)\)|([^\n(]*))"
    r"|c?import[ \t]+([\w.]+))",
    re.MULTILINE,
)


def cython_imports(text):
    """Imports and cimports; lines of examples begin with >>> and do not match."""
    found = set()
    for module, block, line, plain in CYTHON.findall(text):
        names = re.findall(r"(\w+)(?:\s+as\s+\w+)?\s*(?:,|$)", re.sub("#.*", "", block or line))
        found |= {plain} if plain else targets(module, names)
    return found


def imports_of(module, types=False):
    found = set()
    for path in SOURCES[module]:
        text = path.read_text(encoding="utf-8")
        found |= python_imports(text, types) if path.suffix == ".py" else cython_imports(text)
    return found - {module}  # a .pyx and its .pxd are one


IMPORTS = {module: imports_of(module) for module in SOURCES}
INNER = {
    module: {name for name in names if name.partition(".")[0] == "fastbp"}
    for module, names in IMPORTS.items()
}


# The reader of imports itself


def test_python_imports_are_read():
    text = """
from __future__ import annotations
import os, fastbp.layers.dense
from fastbp import checks, plugins as p
from fastbp.layers import Dense, base
if TYPE_CHECKING:
    import hidden
else:
    import shown
def f():
    from fastbp.kernels.blas import gemm
"""
    assert python_imports(text) == {
        "__future__", "os", "fastbp.layers.dense", "fastbp.checks", "fastbp.plugins",
        "fastbp.layers", "fastbp.layers.base", "shown", "fastbp.kernels.blas",
    }  # fmt: skip
    assert python_imports(text, types=True) == python_imports(text) | {"hidden"}


def test_cython_imports_are_read():
    text = """
cimport numpy
import numpy as np
from fastbp import checks, errors as e  # both
from fastbp.kernels.blas cimport c_gemm, origin
from fastbp.plugin cimport (
    fastbp_call,  # a comment
    fastbp_host,
)
    >>> from fastbp.network import Network
"""
    assert cython_imports(text) == {
        "numpy", "fastbp.checks", "fastbp.errors", "fastbp.kernels.blas", "fastbp.plugin"
    }  # fmt: skip


def test_known_imports_are_among_them():
    assert "fastbp.kernels" in INNER["fastbp.layers.dense"]
    assert "fastbp.kernels.blas" in INNER["fastbp.kernels.dense"]
    assert "fastbp.training.loop" in INNER["fastbp.network"]
    assert "fastbp.network" not in INNER["fastbp.training.loop"]  # it names the type only
    assert len(SOURCES) > 30


# The floors


@pytest.mark.parametrize("module", SOURCES)
def test_every_module_has_a_floor(module):
    assert level_of(module) is not None


def test_every_name_on_a_floor_is_there():
    assert set(LEVEL) <= SOURCES.keys()


@pytest.mark.parametrize("module", SOURCES)
def test_imports_go_down_only(module):
    for name in INNER[module]:
        assert name in SOURCES, f"{module} imports {name}, which has no source here"
        here, there = level_of(module), level_of(name)
        assert there >= here, f"{module} ({NAMES[here]}) imports {name} ({NAMES[there]})"


def test_no_circle():
    graphlib.TopologicalSorter(INNER).prepare()  # raises CycleError, naming the circle


# What names the types of one another: the network and what is done with it. To be divided.
CIRCLE = {
    "fastbp.network", "fastbp.inference", "fastbp.parameters", "fastbp.checkpoint",
    "fastbp.training", "fastbp.training.history", "fastbp.training.loop",
    "fastbp.training.validation",
}  # fmt: skip


def test_types_make_no_other_circle():
    inner = {module: imports_of(module, types=True) & SOURCES.keys() for module in SOURCES}

    def reached(module):
        found, todo = set(), [module]
        while todo:
            new = inner[todo.pop()] - found
            found |= new
            todo += new
        return found

    assert {module for module in inner if module in reached(module)} == CIRCLE


def test_leaves_import_leaves_alone():
    for module, names in INNER.items():
        if NAMES[level_of(module)] == "leaves":
            assert {NAMES[level_of(name)] for name in names} <= {"leaves"}, module


def test_the_switchboard_knows_no_part_by_import():
    inside = {name for name in SOURCES if name.startswith("fastbp.registry")}
    outside = set().union(*(INNER[name] for name in inside)) - inside
    assert outside == {"fastbp.errors", "fastbp.kernels.modes"}
    assert INNER["fastbp.registry.part"] == set()


def test_names_in_strings_are_imported_by_the_switchboard_and_the_command_line_alone():
    """Elsewhere importlib would lead around the floors unseen."""
    users = {
        module
        for module, paths in SOURCES.items()
        for path in paths
        if re.search(r"\bimport_module\b|\b__import__\b", path.read_text(encoding="utf-8"))
    }
    assert users <= {"fastbp.registry.entries", "fastbp.registry.loading", "fastbp.cli"}


def test_blas_is_named_on_the_ground_alone():
    users = {
        module
        for module, paths in SOURCES.items()
        for path in paths
        if "cython_blas" in path.read_text(encoding="utf-8")
    }
    assert users == {"fastbp.kernels.blas"}


def test_the_face_of_the_package_is_names_only():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.Try, ast.Expr, ast.FunctionDef)
    assert {type(node) for node in tree.body} <= set(allowed)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            assert node.name == "__dir__"  # what completion lists: names too
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant)  # the docstring
        if isinstance(node, ast.Assign):
            assert [target.id for target in node.targets] in (["__version__"], ["__all__"])


# What fastbp needs from outside


def outer(module):
    tops = {name.partition(".")[0] for name in IMPORTS[module]} - {"fastbp"}
    return tops - set(sys.stdlib_module_names) - {"libc", "cpython", "cython"}


def test_only_numpy_and_scipy_are_imported():
    others = {module: outer(module) - {"numpy", "scipy"} for module in SOURCES}
    others = {module: names for module, names in others.items() if names}
    # imported when asked for only: a bar where tqdm is installed, tests where pytest is, a picture
    # where matplotlib is; told of fastbp where it is installed: threadpoolctl
    assert others == {
        "fastbp.explain.picture": {"matplotlib"},
        "fastbp.training.progress": {"tqdm"},
        "fastbp.testing.run": {"pytest"},
        "fastbp.threads.threadpools": {"threadpoolctl"},
    }


def top_levels(code):
    """Top-level names of what code loads in a new process beside the stdlib, NumPy and SciPy.

    threadpoolctl is left out too: threads/threadpools.py says why it is imported where installed.
    SciPy's gateway is loaded first, for it brings modules of its own (Cython, where that is
    installed), which are not for fastbp to answer for.
    """
    program = (
        "import sys, numpy, scipy.linalg.cython_blas\nbefore = set(sys.modules)\n"
        f"{code}\nprint(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    tops = {name.partition(".")[0] for name in done.stdout.split()}
    # Cython's runtime keeps its shared types in a module like _cython_3_1_2
    tops = {name for name in tops if not re.fullmatch(r"cython_runtime|_cython_\w+", name)}
    return tops - set(sys.stdlib_module_names) - {"numpy", "scipy", "threadpoolctl"}


def test_importing_fastbp_loads_nothing_but_numpy_and_scipy():
    assert top_levels("import fastbp") == {"fastbp"}


def test_training_loads_nothing_more():
    code = (
        "import numpy as np, fastbp as bp\n"
        "net = bp.mlp([2, 3, 2])\n"
        "net.fit(np.eye(2), [0, 1], epochs=1, progress=False)\n"
        "repr(net.gradients(np.eye(2), [0, 1]))"
    )
    assert top_levels(code) == {"fastbp"}


def test_importing_changes_nothing_global():
    code = """
import os, signal, warnings, locale, threading, sys
import numpy as np, scipy.linalg.cython_blas
def state():
    return (dict(os.environ), list(warnings.filters), np.geterr(), np.get_printoptions(),
            signal.getsignal(signal.SIGINT), locale.setlocale(locale.LC_ALL), sys.path[:],
            threading.active_count(), np.random.get_state()[1].tolist(), sys.getrecursionlimit())
before = state()
import fastbp
assert state() == before
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


# One part, one file, one test of the same stem


def stems(folder, suffix):
    return {path.stem for path in (PACKAGE / folder).glob(f"*{suffix}")} - {"__init__"}


def stems_of_tests(folder):
    return {path.stem.removeprefix("test_") for path in (ROOT / "tests" / folder).glob("test_*.py")}


@pytest.mark.parametrize("folder", ["layers", "losses", "optimizers"])
def test_every_part_has_its_test_and_every_test_its_part(folder):
    assert stems_of_tests(folder) == stems(folder, ".py")


def test_every_file_on_threads_has_its_test():
    assert stems_of_tests("threads") == stems("threads", ".py*")


def test_every_kernel_has_its_test_and_every_test_its_kernel():
    families = {name.rpartition(".")[2] for name in INNER["fastbp.kernels"]}
    every_kernel = {"arguments", "docstrings", "ulp"}  # what holds for all of them alike
    assert families <= stems_of_tests("kernels")
    assert stems_of_tests("kernels") - every_kernel <= stems("kernels", ".py*")


# Files without a test of their own, and the test file that goes through them.
TESTED_WITH = {
    "batch": "network", "inference": "network", "parameters": "network",
    "indexed": "gradients", "values": "gradients",
    "stored": "checkpoint", "archive": "checkpoint", "errors": "public_api", "__main__": "cli",
    "__init__": "public_api",
}  # fmt: skip


def test_every_file_of_the_package_has_its_test():
    for path in PACKAGE.glob("*.py"):
        stem = TESTED_WITH.get(path.stem, path.stem)
        assert (ROOT / "tests" / f"test_{stem}.py").exists(), f"{path.name} has no test"


def test_no_utils():
    assert not [path for path in PACKAGE.rglob("*") if re.match(r"utils?\b|helpers?\b", path.stem)]

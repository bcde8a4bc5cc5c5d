"""Lists the compiled modules; everything else about the package stands in pyproject.toml.

FASTBP_DEBUG=1 builds with bounds checks and line numbers (add `--force` or remove the *.c files:
Cython looks at time stamps, not at the environment).
"""

import os
import re
from importlib.util import find_spec
from pathlib import Path

import numpy
from setuptools import Extension, setup

DEBUG = os.environ.get("FASTBP_DEBUG") == "1"
# Here, because Cython refuses a misspelt directive here and ignores it in a file.
DIRECTIVES = {
    "language_level": 3,
    **dict.fromkeys(["auto_pickle", "autotestdict"], False),
    "cdivision": True,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
}

# The two flags beside -O3 change no value: nobody reads errno after sqrt, no floating-point trap is
# set. Without them GCC vectorises neither Adam nor loops with a comparison in them, as in exp.h.
COMPILE_ARGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-g" if DEBUG else "-g0"]
AT_ONCE = {"build_ext": {"parallel": min(4, os.cpu_count() or 1)}}  # compilers

SRC = Path("fastbp/kernels/src")
OWN = {"product": [SRC / "dense.c"], "pool": sorted(Path("fastbp/threads/src").glob("*.c"))}
# The built-in parts are C files of one form, like a plugin's; one module hands them all out.
OWN["builtin"] = sorted({*SRC.glob("*.c")} - {*OWN["product"]})
INCLUDE = ["fastbp/include", "fastbp/kernels", "fastbp/threads/src"]
HEADERS = sorted(p for end in ("*.pxd", "*.h", "src/*.c") for p in Path("fastbp").rglob(end))


def blas_macros() -> list[tuple[str, str]]:
    """Say whether SciPy's BLAS takes 64-bit integers, as some builds from source do."""
    scipy = Path(find_spec("scipy").origin).parent
    declarations = (scipy / "linalg" / "cython_blas.pxd").read_text(encoding="utf-8")
    width = re.search(r"ctypedef\s+(.+?)\s+blas_int\b", declarations)  # none before SciPy 1.18: int
    return [("FASTBP_BLAS_ILP64", "1")] if width and width[1] != "int" else []


def extension(source: Path) -> Extension:
    ext = Extension(
        ".".join(source.with_suffix("").parts),
        [path.as_posix() for path in (source, *OWN.get(source.stem, []))],
        include_dirs=[*INCLUDE, numpy.get_include()],
        depends=[path.as_posix() for path in HEADERS],
        define_macros=[*blas_macros(), ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=[*COMPILE_ARGS, "-pthread"] if os.name == "posix" else [],
    )
    ext.cython_directives = DIRECTIVES  # cythonize() would leave the .pyx files out of the sdist
    return ext


setup(ext_modules=[*map(extension, sorted(Path("fastbp").rglob("*.pyx")))], options=AT_ONCE)

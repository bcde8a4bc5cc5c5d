"""How far tanh, the logistic function and softmax's exp are from the truth, over all floats.

Compiles the kernels' own headers with setup.py's flags, and goes through every float32 (exp: those
not above 0, all that softmax asks for) on each instruction set, against the C library's double.
Ends with 1 where a normal result is off by more than 1 unit in the last place, a NaN, infinity or
sign is wrong, or a function falls where it should rise. `--step 101` takes every 101st float.
"""

from __future__ import annotations

import argparse
import ctypes
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from suite.plugins import SOURCES, setup_flags

import fastbp as bp

LEVELS = ["x86-64", "x86-64-v3", "x86-64-v4"]
FUNCTIONS = ("tanh", "sigmoid", "exp")


class Result(ctypes.Structure):
    _fields_ = [
        ("normal", ctypes.c_double),
        ("denormal", ctypes.c_double),
        ("where_normal", ctypes.c_float),
        ("where_denormal", ctypes.c_float),
        ("rounded", ctypes.c_int64),
        ("wrong", ctypes.c_int64),
        ("falls", ctypes.c_int64),
    ]


def library(function, folder):
    path = Path(folder) / f"{function}.so"
    config = sysconfig.get_config_vars()
    flags = [*shlex.split(f"{config['CFLAGS']} {config['CCSHARED']}"), *setup_flags()]
    where = [
        "-Wno-unused-function",
        f"-D{function.upper()}",
        f"-I{SOURCES}",
        f"-I{bp.get_include()}",
    ]
    source = str(Path(__file__).with_name("ulp.c"))
    compiler = shlex.split(config["CC"])
    subprocess.run(
        [*compiler, "-shared", *flags, *where, source, "-lm", "-o", str(path)], check=True
    )
    return ctypes.CDLL(str(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("functions", nargs="*", help=f"of {FUNCTIONS}")
    parser.add_argument("--step", type=int, default=1, help="take every STEPth float")
    options = parser.parse_args()
    if not 1 <= options.step < 1 << 32:
        parser.error(f"--step: got {options.step}; wanted 1 to {(1 << 32) - 1}")
    bad = False
    print("function  instructions  max error at x         denormal at x           wrong  falls")
    with tempfile.TemporaryDirectory() as folder:
        for function in options.functions or FUNCTIONS:
            compiled = library(function, folder)
            levels = compiled.levels()
            results = (Result * levels)(*[Result(0.5, 0.5)] * levels)
            for negative in (1,) if function == "exp" else (0, 1):
                compiled.check(levels, negative, ctypes.c_uint32(options.step), results)
            for name, r in zip(LEVELS, results, strict=False):
                print(
                    f"{function:9} {name:13} {r.normal:.4f} {r.where_normal:<15.9g} "
                    f"{r.denormal:.4f} {r.where_denormal:<15.9g} {r.wrong:6} {r.falls:6}",
                    flush=True,
                )
                bad |= r.normal > 1 or r.wrong > 0 or r.falls > 0
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())

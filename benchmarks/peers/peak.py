"""The processor's peak: fused multiply-adds on registers alone, compiled when it is measured."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread

# As many independent sums as registers allow beside x and y: more than latency times throughput,
# 4 or 5 cycles times 2, so that none waits for the one before.
SUMS = {64: 24, 32: 12, 16: 24}  # by bytes of a vector
TURNS = 100_000

HEADER = """\
#if defined __AVX512F__
typedef float vector __attribute__((vector_size(64)));
#elif defined __AVX2__ && defined __FMA__
typedef float vector __attribute__((vector_size(32)));
#elif defined __ARM_NEON && defined __aarch64__
typedef float vector __attribute__((vector_size(16)));
#else
#error "no fused multiply-add"
#endif
int width(void) { return sizeof(vector); }
"""


class NoPeak(Exception):
    """There is no compiler, or the processor has no fused multiply-add that we know."""


class Peak:
    """A loop to be timed like a library's step; `flops` is the work of one call."""

    def __init__(self) -> None:
        self._loops = _compiled()
        width = int(self._loops.width())
        self.call = partial(self._loop(width), TURNS)
        self.flops = TURNS * SUMS[width] * (width // 4) * 2
        self.name = f"{width * 8}-bit FMA"

    def on(self, threads: int, calls: int = 40) -> None:
        """So many calls by so many threads; whoever is free makes the next."""
        left = iter(range(calls))  # whose next() runs under Python's lock

        def some() -> None:
            for _ in left:
                self.call()

        others = [Thread(target=some) for _ in range(threads - 1)]
        for thread in others:
            thread.start()
        some()
        for thread in others:
            thread.join()

    def _loop(self, width: int) -> Callable[[int], object]:
        loop = getattr(self._loops, f"loop{SUMS[width]}")
        loop.argtypes, loop.restype = [ctypes.c_long], ctypes.c_float
        return loop


def source() -> str:
    """C in which every sum is a variable of its own: nothing for a compiler to unroll or spill."""
    return HEADER + "".join(_loop(sums) for sums in sorted(set(SUMS.values())))


def _loop(sums: int) -> str:
    names = [f"a{i}" for i in range(sums)]
    lines = [
        f"float loop{sums}(long turns) {{",
        "  vector zero = {0}, x = zero + 0.999f, y = zero + 1e-4f;",
        *(f"  vector {a} = zero + {i}e-3f;" for i, a in enumerate(names)),
        "  for (long t = 0; t < turns; t++) {",
        *(f"    {a} = {a} * x + y;" for a in names),
        "  }",
        f"  vector sum = {' + '.join(names)};",
        "  return sum[0];",
        "}",
        "",
    ]
    return "\n".join(lines)


def _compiled() -> ctypes.CDLL:
    command = shlex.split(os.environ.get("CC", "")) or [shutil.which("cc") or "cc"]
    flags = ["-O2", "-march=native", "-ffp-contract=fast", "-fno-tree-vectorize"]
    with tempfile.TemporaryDirectory() as folder:
        c, library = Path(folder, "peak.c"), Path(folder, "peak.so")
        c.write_text(source())
        try:
            subprocess.run(
                [*command, *flags, "-shared", "-fPIC", str(c), "-o", str(library)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise NoPeak(f"no C compiler: {command[0]} was not found") from None
        except subprocess.CalledProcessError as exc:
            lines = exc.stderr.strip().splitlines() or ["no message"]
            raise NoPeak(f"{command[0]} failed: {lines[0]}") from None
        return ctypes.CDLL(str(library))


if __name__ == "__main__":
    print(source(), end="")

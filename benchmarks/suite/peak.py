"""The processor's peak beside which a step is seen: fused multiply-adds in registers alone."""

import ctypes
import functools
import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

# Twelve chains hide the latency of 4 to 5 cycles on two units and fit in 16 registers. The values
# go to 2, so nothing overflows or becomes denormal.
SOURCE = """
#if defined(__AVX512F__)
#define WIDTH 16
#elif defined(__AVX__)
#define WIDTH 8
#else
#define WIDTH 4
#endif
typedef float vector __attribute__((vector_size(4 * WIDTH)));
double multiply_adds(long turns, float half, float *sink)
{
    vector a[12];
    for (int i = 0; i < 12; i++) a[i] = (vector){0} + (float)i;
    for (long t = 0; t < turns; t++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++) a[i] = a[i] * half + 1.0f;
    }
    for (int i = 0; i < 12; i++)
        for (int j = 0; j < WIDTH; j++) *sink += a[i][j];
    return 2.0 * 12 * WIDTH * turns;
}
"""


class MultiplyAdds:
    """Calling it does some float32 fused multiply-adds; `operations` is how many, times two.

    Raises NotImplementedError where there is no C compiler: asv then shows n/a.
    """

    def __init__(self, turns=2000):
        self._function, self._turns, self._sink = library().multiply_adds, turns, ctypes.c_float()
        self.operations = self()

    def __call__(self):
        self._sink.value = 0
        return self._function(self._turns, 0.5, ctypes.byref(self._sink))

    @property
    def values(self):
        """The sum of what the last call has computed: 2 in each of its places."""
        return self._sink.value


@functools.cache
def library():
    """The loop above, compiled for the processor it runs on."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        raise NotImplementedError(f"there is no C compiler: {compiler[0]}")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "peak.c", Path(folder) / "peak.so"
        source.write_text(SOURCE)
        flags = ["-O3", "-march=native", "-ffp-contract=fast", "-fPIC", "-shared"]
        subprocess.run([*compiler, *flags, str(source), "-o", str(target)], check=True)
        loaded = ctypes.CDLL(str(target))
    loaded.multiply_adds.restype = ctypes.c_double
    loaded.multiply_adds.argtypes = [ctypes.c_long, ctypes.c_float, ctypes.c_void_p]
    return loaded

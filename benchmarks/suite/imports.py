"""What `import fastbp` costs, beside the imports it cannot do without."""

import statistics
import subprocess
import sys

CODE = "import time; t = time.process_time(); import {}; print(time.process_time() - t)"


def seconds(modules):
    """CPU time of an import in a fresh interpreter that sees installed packages only (-P).

    CPU time, because half a second is too long to be left alone where cores are shared.
    """
    command = [sys.executable, "-P", "-c", CODE.format(modules)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Imports:
    """Imports in fresh interpreters, without the interpreter's own start."""

    version = "1"
    unit = "times numpy, scipy.linalg"

    def timeraw_fastbp(self):
        return "import fastbp"

    def timeraw_numpy_scipy_linalg(self):
        return "import numpy, scipy.linalg"

    def track_fastbp_over_numpy_scipy_linalg(self):
        seconds("fastbp")  # files into the page cache
        return statistics.median(
            seconds("fastbp") / seconds("numpy, scipy.linalg") for _ in range(9)
        )


class ImportMemory:
    """Peak memory of a fresh interpreter that imports, itself included."""

    version = "1"
    unit = "MB"

    def track_fastbp(self):
        code = "import fastbp, resource as r; print(r.getrusage(r.RUSAGE_SELF).ru_maxrss)"
        command = [sys.executable, "-P", "-c", code]
        kilobytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return float(kilobytes) / 1000

"""``save`` killed at any moment: the file is the old one or the new one, and nothing stays behind.

    python tests/fuzz/kills.py --kills 20 --seed 0
    python tests/fuzz/kills.py --seconds 3600

Each time a process saves one network after another to one path, every second time another process
does too, and one of them is killed. The file must load, as what one of them saved last or was about
to; and once the path has been saved to again, it must be alone in its folder.
"""

from __future__ import annotations

import argparse
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import fastbp as bp

SAVING = """
import itertools, sys
import fastbp as bp

net = bp.mlp([30, 300, 3], rng=0)
for value in itertools.count(int(sys.argv[2])):
    net.flat[:] = value
    net.save(sys.argv[1])
    print(value, flush=True)
"""
MODE = 0o640  # of the file, and of all that is beside it


class Saver:
    """A process that saves networks whose parameters are all `first`, first + 1, ..."""

    def __init__(self, path, first):
        self.next = first
        command = [sys.executable, "-c", SAVING, path, str(first)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def wait(self):
        """Until it has saved one."""
        self.next = int(self.process.stdout.readline()) + 1

    def kill(self):
        """Kill it; the values that its last save may have left."""
        self.process.kill()
        with self.process:
            lines = self.process.stdout.read().split()
        assert self.process.returncode == -9, "it ended before it was killed"
        self.next = int(lines[-1]) + 1 if lines else self.next
        return {self.next - 1, self.next}


def kill_one(folder, rng, savers):
    """Kill one of several savers after a while, and look at what is left; how much that is."""
    path = folder / "net.npz"
    net = bp.mlp([30, 300, 3], rng=0)
    net.save(path)
    path.chmod(MODE)
    running = [Saver(path, 10**6 * number) for number in range(1, savers + 1)]
    for saver in running:
        saver.wait()
    time.sleep(rng.uniform(0, 0.05))
    possible = running[0].kill()
    for saver in running[1:]:  # nothing has disturbed the others
        saver.wait()
        possible |= saver.kill()
    flat = bp.load(path).flat
    assert (flat == flat[0]).all(), "it is two files in one"
    assert flat[0] in possible, f"it is {flat[0]}; wanted one of {sorted(possible)}"
    left = [other for other in folder.iterdir() if other != path]
    for other in [path, *left]:
        assert stat.S_IMODE(other.stat().st_mode) in (MODE, MODE & 0o700), "more open than it was"
    net.save(path)
    assert bp.load(path).flat.tobytes() == net.flat.tobytes()
    assert list(folder.iterdir()) == [path], "something has stayed behind"
    return len(left)


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--kills", type=int, help="so many, whatever the time")
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=0)
    options = options.parse_args()
    rng, end, kills, left = np.random.default_rng(options.seed), options.seconds, 0, 0
    end += time.monotonic()
    while kills < options.kills if options.kills is not None else time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            left += kill_one(Path(folder), rng, savers=1 + kills % 2)
        kills += 1
    print(f"{kills} kills, seed {options.seed}: {left} left a file, which the next save removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

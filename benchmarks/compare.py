"""Compare a training step of two commits: exit code 1 when the second is slower beyond noise.

    python benchmarks/compare.py HEAD~1 HEAD

Both are built from git and run beside this interpreter's NumPy and SciPy, in processes of their
own that take turns of a millisecond or two: A B, B A, A B, ... So what slows the machine down slows
both. A round is a fresh pair of processes, because where memory happens to lie counts too, and
gives one ratio per network: the median of its turns. The verdict is on the median of the rounds
and its distribution-free confidence interval.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from scipy.stats import quantile_test
from tabulate import tabulate

HERE = Path(__file__).resolve().parent
NETS = ("4-16-3/1", "64-64-10/32", "784-128-10/32", "784-256-128-10/64", "784-512-512-10/128")
TURN = 2e-3  # seconds, or one step: shorter than a scheduler's time slice
CONFIDENCE = 0.95

# Speaks through stdin and stdout: a network's number and how many steps in, seconds out.
WORKER = """
import sys, time
folder, suite, *nets = sys.argv[1:]
sys.path[:0] = [folder, suite]
import fastbp as bp
assert bp.__file__.startswith(folder), bp.__file__
from suite.common import assert_network, problem
problems, optimizer = [problem(net, "float32") for net in nets], bp.SGD(1e-3)
for net, X, y in problems:
    assert_network(net, X, y)
for line in sys.stdin:
    i, steps = map(int, line.split())
    net, X, y = problems[i]
    start = time.perf_counter()
    for _ in range(steps):
        net.step(X, y, optimizer)
    print(time.perf_counter() - start, flush=True)
"""


def build(commit, folder):
    """Install a commit into a folder: fastbp alone, without what it needs."""
    source = f"git+file://{HERE.parent}@{commit}"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*command, "--target", str(folder), source], check=True)


class Worker:
    """A process with one of the two builds."""

    def __init__(self, folder, nets):
        command = [sys.executable, "-P", "-c", WORKER, str(folder), str(HERE), *nets]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def seconds(self, net, steps):
        """Time of so many steps."""
        self.process.stdin.write(f"{net} {steps}\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a worker ended with {self.process.wait()}; its error is above")
        return float(answer)


def measured(folders, nets, pairs):
    """One round: for each network, the median of B's time over A's."""
    with Worker(folders[0], nets) as a, Worker(folders[1], nets) as b:
        ratios = []
        for i in range(len(nets)):
            # a first step may be slow, and how many fill a turn is A's to say
            once = max(min(w.seconds(i, 1) for _ in range(3)) for w in (a, b))
            steps = max(1, round(TURN / once))
            found = []
            for turn in range(pairs):
                order = (a, b) if turn % 2 == 0 else (b, a)
                taken = {worker: worker.seconds(i, steps) for worker in order}
                found.append(taken[b] / taken[a])
            ratios.append(statistics.median(found))
        return ratios


def verdict(ratios, factor):
    """(median, low, high, word) of one network's rounds.

    Slower: by `factor`, and with confidence by half of that. Faster is the same for 1 / ratio.
    """
    middle = statistics.median(ratios)
    interval = quantile_test(ratios, q=1, p=0.5).confidence_interval(CONFIDENCE)
    half = 1 + (factor - 1) / 2
    if middle >= factor and interval.low > half:
        word = "SLOWER"
    elif middle <= 1 / factor and interval.high < 1 / half:
        word = "faster"
    else:
        word = "same"
    return middle, interval.low, interval.high, word


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("a", help="the commit to compare with")
    parser.add_argument("b", help="the commit to judge")
    parser.add_argument("--nets", nargs="+", default=NETS, metavar="NET", help=" ".join(NETS))
    parser.add_argument("--factor", type=float, default=1.1, help="a change from here on; 1.1")
    parser.add_argument("--rounds", type=int, default=10, help="pairs of processes, >= 6; 10")
    parser.add_argument("--pairs", type=int, default=40, help="turns in each of a round; 40")
    options = parser.parse_args(arguments)
    if options.rounds < 6:
        parser.error(f"--rounds: got {options.rounds}; wanted 6 or more, for {CONFIDENCE:.0%}")
    with tempfile.TemporaryDirectory() as work:
        folders = []
        try:
            for name in (options.a, options.b):
                command = ["git", "-C", str(HERE), "rev-parse", "--verify", f"{name}^{{commit}}"]
                commit = subprocess.run(command, check=True, capture_output=True, text=True)
                folders.append(Path(work, commit.stdout.strip()))
                if not folders[-1].exists():
                    build(folders[-1].name, folders[-1])
        except subprocess.CalledProcessError as exc:
            parser.error(f"{name}: {exc.stderr or 'cannot be built; see above'}")
        rounds = [measured(folders, options.nets, options.pairs) for _ in range(options.rounds)]
    verdicts = [verdict(ratios, options.factor) for ratios in zip(*rounds, strict=True)]
    rows = [(net, *found) for net, found in zip(options.nets, verdicts, strict=True)]
    headers = ("net/batch", "B over A", "low", "high", "")
    print(tabulate(rows, headers, floatfmt=".3f"))
    return int(any(found[-1] == "SLOWER" for found in verdicts))


if __name__ == "__main__":
    sys.exit(main())

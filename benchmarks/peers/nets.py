"""The networks, and what fastbp has to reach on each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

GRIDS = ("step", "fit", "widths", "threads")
ACTIVATIONS = ("relu", "tanh")
THREADS = {"step": 1, "fit": 1, "widths": 2, "threads": 2}

NO_SLOWER = 1 / 1.05  # two threads over one, at every row
TWO_CORES = 1.6  # the same where a step is long enough to share


@dataclass(frozen=True)
class Row:
    """A network and its batch, "n_0-...-n_L/batch", and its targets.

    ratio: times faster than the fastest of the other libraries; fraction: of the FMA peak. One of
    the two has to hold. speedup: one thread's time over that of two. activation: of hidden layers.
    """

    name: str
    ratio: float | None = None
    fraction: float | None = None
    speedup: float = NO_SLOWER
    activation: str = "relu"

    @property
    def sizes(self) -> list[int]:
        return [int(n) for n in self.name.split("/")[0].split("-")]

    @property
    def batch(self) -> int:
        return int(self.name.split("/")[1])

    @property
    def flops(self) -> int:
        """Of a step's matrix products: three a layer, and the input's gradient not formed."""
        products = sum(6 * n_in * n_out for n_in, n_out in pairwise(self.sizes))
        return self.batch * (products - 2 * self.sizes[0] * self.sizes[1])


class FitRow(NamedTuple):
    """A whole fit on the digits: sizes, batch, and times faster than scikit-learn."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    ratio: float


STEP = (
    Row("4-16-3/1", ratio=30),
    Row("64-32-10/1", ratio=25),
    Row("64-64-10/32", ratio=6),
    Row("784-128-10/1", ratio=4),
    Row("784-128-10/32", ratio=2.2, fraction=0.50),
    Row("784-256-128-10/64", ratio=1.5, fraction=0.55, speedup=TWO_CORES),
    Row("784-512-512-10/128", ratio=1.35, fraction=0.57, speedup=TWO_CORES),
    Row("784-1024-1024-10/256", ratio=1.1, fraction=0.60, speedup=TWO_CORES),
    Row("1024-2048-2048-1000/512", ratio=1.0, fraction=0.63, speedup=TWO_CORES),
)
# where PyTorch once became nine times slower between two of them, by going to more threads:
# https://github.com/pytorch/pytorch/issues/144633
WIDTHS = tuple(Row(f"10-{w}-{w}-10/128") for w in (32, 45, 46, 64, 128))
FIT = tuple(FitRow(f"digits/{b}", (64, 100, 10), b, ratio) for b, ratio in ((32, 15), (200, 7)))
EPOCHS = 50
ACCURACY = 0.003  # of the held-out rows; fastbp may be this far below scikit-learn

ROWS: dict[str, tuple[Row, ...] | tuple[FitRow, ...]] = {
    "step": STEP,
    "fit": FIT,
    "widths": WIDTHS,
    "threads": STEP,
}

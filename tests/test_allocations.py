"""A step of training, once warm, asks nobody for memory; fit asks no more for more steps.

The counter is the benchmark's: functions put before the C library's.
"""

import importlib
import sys
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SIZES = [784, 256, 128, 10]  # with 64 rows, enough work for two threads


@pytest.fixture(scope="module")
def allocations():
    if not BENCHMARKS.is_dir():
        pytest.skip("no benchmarks: this is an installed package")
    sys.path.insert(0, str(BENCHMARKS))
    try:
        with threadpool_limits(1):  # importing the suite sets one BLAS thread, for good otherwise
            module = importlib.import_module("suite.allocations")
    finally:
        sys.path.remove(str(BENCHMARKS))
    try:
        module.library()
    except NotImplementedError as exc:
        pytest.skip(str(exc))
    return module


def job(sizes, rows, optimizer="SGD", threads=1, **more):
    return {"sizes": sizes, "rows": rows, "optimizer": optimizer, "threads": threads} | more


def test_the_counter_counts(allocations):
    assert allocations.counted(allocations.NOTHING, job([4, 3], 1, "None")) == 0
    assert allocations.counted(allocations.ONE, job([4, 3], 1, "None")) == 1
    thrice = "start(); kept = [np.empty(100_000) for _ in range(3)]; print(stop())"
    assert allocations.counted(thrice, job([4, 3], 1, "None")) == 3
    mapped = "import mmap; start(); kept = mmap.mmap(-1, 4096); print(stop())"
    assert allocations.counted(mapped, job([4, 3], 1, "None")) >= 1


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize(("sizes", "rows", "threads"), [([4, 16, 3], 1, 1), (SIZES, 64, 2)])
def test_a_step_asks_for_no_memory(allocations, sizes, rows, threads, optimizer):
    wanted = job(sizes, rows, allocations.OPTIMIZERS[optimizer], threads, times=200)
    assert allocations.counted(allocations.STEP, wanted) == 0


@pytest.mark.parametrize(("sizes", "batch_size", "threads"), [([4, 16, 3], 1, 1), (SIZES, 64, 2)])
def test_an_epoch_asks_as_often_whatever_its_steps(allocations, sizes, batch_size, threads):
    counts = [
        allocations.counted(
            allocations.FIT,
            job(
                sizes, batch_size * steps, allocations.OPTIMIZERS["momentum"], threads,
                batch_size=batch_size,
            ),
        )
        for steps in (10, 40)
    ]  # fmt: skip
    assert 0 < counts[0] == counts[1]

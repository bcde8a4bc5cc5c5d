"""A whole training on the bundled digits: its time, and what it reaches on rows held out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import mean
from types import ModuleType
from typing import Any

import numpy as np

from fastbp.data import digits, split

from .nets import ACCURACY, EPOCHS, FitRow
from .timing import ratio

BESIDE = ("fastbp", "sklearn", "torch")


def run(row: FitRow, modules: Mapping[str, ModuleType], rounds: int) -> Any:
    """A round is a seed, of the weights, of the shuffling and of the rows held out."""
    fits = {name: modules[name].fit for name in BESIDE if name in modules}
    seconds: dict[str, list[float]] = {name: [] for name in fits}
    accuracy: dict[str, list[float]] = {name: [] for name in fits}
    X, y = digits()
    for fit in fits.values():  # the first call may compile, allocate or start threads
        fit(row.sizes, X, y, batch_size=row.batch, epochs=1, seed=0)
    for seed in range(rounds):
        train, held_out = split(y, seed)
        for name, fit in fits.items():
            start = time.perf_counter()
            predict = fit(
                row.sizes, X[train], y[train], batch_size=row.batch, epochs=EPOCHS, seed=seed
            )
            seconds[name].append(time.perf_counter() - start)
            accuracy[name].append(float(np.mean(predict(X[held_out]) == y[held_out])))
    return {"name": row.name, "seconds": seconds, "accuracy": accuracy} | judge(
        row, seconds, accuracy
    )


def judge(
    row: FitRow, seconds: Mapping[str, list[float]], accuracy: Mapping[str, list[float]]
) -> dict[str, Any]:
    """scikit-learn is the measure: times faster, and no less accurate."""
    result: dict[str, Any] = {"ratio": None, "wanted_ratio": row.ratio, "holds": None}
    if "sklearn" in seconds:
        result["ratio"] = ratio(seconds["sklearn"], seconds["fastbp"])
        as_good = mean(accuracy["fastbp"]) >= mean(accuracy["sklearn"]) - ACCURACY
        result["holds"] = result["ratio"] >= row.ratio and as_good
    return result

"""Checks of a loss as a network uses it: weights, reductions, and targets that make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.checks import Array
from fastbp.errors import FastbpError
from fastbp.losses.base import Loss
from fastbp.network import Network
from fastbp.optimizers import SGD
from fastbp.testing.arrays import close, error
from fastbp.testing.network_checks import ROWS, data, networks

TINY = 1e-30  # a learning rate that changes no parameter


def one_value(loss: Loss) -> None:
    """loss, gradients, loss_and_grad and step give one value; a row of weight 0 changes nothing."""
    for net in networks(loss):
        X, y = data(net)
        w = np.array([0.5, 2.0, 0.0, 1.0, 3.0, 0.25])
        spoilt, some = X.copy(), w != 0
        spoilt[~some] = np.nan
        for X_in, y_in, weight in ((X, y, None), (spoilt, y, w), (X[some], y[some], w[some])):
            g = net.gradients(X_in, y_in, sample_weight=weight)
            values = {
                "loss": net.loss(X_in, y_in, sample_weight=weight),
                "gradients": g.loss,
                "loss_and_grad": net.loss_and_grad(X_in, y_in, sample_weight=weight)[0],
                "step": net.copy().step(X_in, y_in, SGD(TINY), sample_weight=weight),
            }
            if weight is w:
                dropped = g
            for name, value in values.items():
                assert close(np.array([value], net.dtype), np.array([g.loss], net.dtype)), (
                    f"{loss!r}, {net.dtype}: {name} gives {value}, gradients {g.loss}"
                )
        same = close(np.array([dropped.loss], net.dtype), np.array([g.loss], net.dtype))
        assert same, (
            f"{loss!r}, {net.dtype}: rows of weight 0 make the loss {dropped.loss}, not {g.loss}"
        )
        assert close(dropped.flat, g.flat), (
            f"{loss!r}, {net.dtype}: rows of weight 0 change the gradient"
        )


def weights(loss: Loss) -> None:
    """Weighted sums and means of the single rows' losses and gradients."""
    if not loss.rows_independent:
        return  # it weights its rows in its own way; `gradients` looks at that
    for net in networks(loss):
        X, y = data(net)
        w = np.array([0.5, 2.0, 0.0, 1.0, 3.0, 0.25])
        ones = [net.gradients(X[n : n + 1], y[n : n + 1], reduction="sum") for n in range(ROWS)]
        losses = np.array([g.loss for g in ones])
        flat = np.array([g.flat for g in ones], np.float64)
        X = X.copy()
        X[2] = np.nan  # of weight 0: left out, whatever it holds
        for reduction, scale in (("sum", 1.0), ("mean", 1 / w.sum())):
            g = net.gradients(X, y, sample_weight=w, reduction=reduction)
            value = net.loss(X, y, sample_weight=w, reduction=reduction)
            want = float(w @ losses) * scale
            for got in (g.loss, value):
                assert close(np.array([got], net.dtype), np.array([want])), (
                    f"{loss!r}, {net.dtype}: the weighted {reduction} is {got}; wanted {want}"
                )
            slope = (w @ flat) * scale
            assert close(g.flat, slope), (
                f"{loss!r}, {net.dtype}: the gradient of the weighted {reduction} is "
                f"{error(g.flat, slope):.2g} (relative) off; the host applies weights and scale"
            )


def targets(loss: Loss) -> None:
    """Targets that make no sense are refused with an error of fastbp's own."""
    for net in networks(loss):
        X, y = data(net)
        bad: dict[str, Any] = {
            "text": np.array(["cat"] * ROWS),
            "a row too few": y[:-1],
            "None": None,
            "complex numbers": np.ones(y.shape, complex),
        }
        if y.ndim == 2:
            bad["a column too many"] = np.concatenate([y, y[:, :1]], axis=1)
        if y.ndim == 1 and loss.targets == "classes":
            bad["a class that is not there"] = np.full(ROWS, 10**9)
        if loss.targets == "binary":
            bad["labels outside [0, 1]"] = np.full(y.shape, 7.0)
        if y.dtype.kind == "f":
            bad["NaN"] = np.full(y.shape, np.nan)
        for what, y_bad in bad.items():
            _refused(net, X, y_bad, f"{loss!r}: took {what} as targets")


def _refused(net: Network, X: Array, y: Any, text: str) -> None:
    try:
        net.gradients(X, y)
    except FastbpError:
        return
    except Exception as exc:
        raise AssertionError(f"{text} and failed with {type(exc).__name__}: {exc}") from exc
    raise AssertionError(text)

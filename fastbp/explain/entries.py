"""The formulas of a loss, with numbers put in for one entry of each vector."""

from __future__ import annotations

import numpy as np

from fastbp.checks import Array
from fastbp.explain.jacobians import Jacobian
from fastbp.explain.symbols import subscript, with_numbers, with_value
from fastbp.losses.base import Formulas


class Entries:
    """What a loss's formulas say of the entry that is largest, or of the true class.

    Parameters
    ----------
    formulas : Formulas
    y_hat, targets : ndarray
        (n_L,); targets may be a class, ().
    """

    def __init__(self, formulas: Formulas, y_hat: Array, targets: Array) -> None:
        self.formulas, self.y_hat, self.targets = formulas, y_hat, targets
        self.label = int(targets) if targets.ndim == 0 else None

    def of_dy_hat(self, dy_hat: Array) -> str:
        formula, u = self.formulas.dy_hat, int(np.argmax(np.abs(dy_hat)))
        if "eₗ" in formula and self.label is not None:  # a vector, and no entry of one
            values = self._values(self.label)
            del values["eₗ"]
            return with_numbers(formula, values).replace("eₗ", subscript("e", self.label))
        return self._entry(formula, u, dy_hat)

    def of_delta(self, delta: Array) -> str:
        return self._entry(self.formulas.delta, int(np.argmax(np.abs(delta))), delta)

    def of_map(self, diagonal: str, output: Jacobian) -> str:
        if not diagonal:
            return ""
        u = int(np.argmax(self.y_hat)) if self.label is None else self.label
        unit = np.zeros(len(self.y_hat))
        unit[u] = 1
        return with_value(f"[{u},{u}]", diagonal, self._values(u), output.after(unit)[u])

    def _entry(self, formula: str, u: int, vector: Array) -> str:
        return with_value(f"[{u}]", formula, self._values(u), vector[u])

    def _values(self, u: int) -> dict[str, float]:
        values = {"ŷ": float(self.y_hat[u])}
        if self.label is not None:
            values["ŷₗ"], values["eₗ"] = float(self.y_hat[self.label]), float(u == self.label)
        elif self.targets.shape == self.y_hat.shape:
            values["t"] = values["p"] = float(self.targets[u])
            values["Σp"] = float(self.targets.sum())
        return values

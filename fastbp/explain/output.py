"""The first steps, "talk to the output layer": E4 and the output map, or E5 at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastbp import checks, plugins
from fastbp.checks import Array
from fastbp.errors import ConfigError
from fastbp.explain.factor import Factor, Product
from fastbp.explain.jacobians import Diagonal, Jacobian, Softmax
from fastbp.explain.symbols import number, operand, subscript, with_numbers
from fastbp.kernels.bodies import LossBody
from fastbp.losses import Loss
from fastbp.losses.base import Formulas
from fastbp.parts import says_itself

SENTENCE = "talk to the output layer"
MAPS = {  # ∂ŷ/∂a_L in letters; of an entry on the diagonal
    "identity": ("I, as ŷ is what the last layer puts out", ""),
    "softmax": ("diag(ŷ) - ŷ ŷᵀ", "ŷ (1 - ŷ)"),
    "sigmoid": ("diag(ŷ (1 - ŷ))", "ŷ (1 - ŷ)"),
}
TINY = float(np.finfo(np.float64).tiny)  # below it numbers lose digits


@dataclass(frozen=True)
class Output:
    """The loss of one example, and the chain from it to what the last layer put out.

    Attributes
    ----------
    loss : float
        ℓ_n, unscaled.
    formula : str
        ℓ_n in letters, where the loss says it.
    y_hat, targets : ndarray
        (n_L,); targets may be a class, ().
    factors : tuple of Factor
    note : str
        Why they begin with E5; "" where they don't.
    """

    loss: float
    formula: str
    y_hat: Array
    targets: Array
    factors: tuple[Factor, ...]
    note: str


def talk(loss: Loss, a: Array, targets: Array, below: str, ends_affine: bool, row: int) -> Output:
    """Begin the walk.

    Parameters
    ----------
    loss : Loss
    a : ndarray, (1, n_L)
        What the last layer put out.
    targets : ndarray, (1,) or (1, width)
        As ``loss.check_targets`` gave them, in float64 if they are no classes.
    below : str
        The name of a in the lecture.
    ends_affine : bool
        Whether a is a_L: else what follows a_L may be the output map itself.
    row : int
        The caller's number of it, for messages.
    """
    body = LossBody(loss, a.shape[1], np.float64, label=plugins.label(loss))
    y_hat, delta = np.empty_like(a), np.empty_like(a)
    with plugins.blamed(loss, "loss_and_delta"):
        losses = np.asarray(body.loss_and_delta(a, targets, delta))
    with plugins.blamed(loss, "y_hat"):
        body.y_hat(a, y_hat)
    rows = np.array([row])
    checks.finite("the loss", losses.reshape(1, -1), rows)
    checks.finite(f"∂ℒ/∂{below}", delta, rows)
    formulas = Formulas()
    if says_itself(
        loss, "formulas", "loss_and_delta", "y_hat", "y_hat_gradient", "__fastbp_loss__"
    ):
        with plugins.blamed(loss, "formulas"):
            formulas = Formulas(*map(str, loss.formulas(targets)))
    dy_hat, output, note = _e4(loss, a, targets, y_hat, delta)
    at = _Entry(formulas, y_hat[0], targets[0])
    if dy_hat is None or output is None:
        factors = [_whole(at, loss, below, delta[0])]
    else:
        factors = [_first(at, loss, dy_hat)]
        if loss.y_hat_map != "identity" or ends_affine:
            factors.append(_second(at, loss, below, output, dy_hat))
    return Output(float(losses[0]), formulas.loss, y_hat[0], targets[0], tuple(factors), note)


def _first(at: _Entry, loss: Loss, dy_hat: Array) -> Factor:
    """∂ℒ/∂ŷ (E4)."""
    equation = at.formulas.equation
    letters, numbers = at.formulas.dy_hat or _own(loss), at.of_dy_hat(dy_hat)
    product = Product("∂ℒ/∂ŷ", equation, letters, numbers, dy_hat)
    return Factor("∂ℒ/∂ŷ", SENTENCE, equation, letters, numbers, dy_hat, product)


def _second(at: _Entry, loss: Loss, below: str, output: Jacobian, dy_hat: Array) -> Factor:
    """∂ŷ/∂a_L, which leads to E5."""
    letters, diagonal = MAPS[loss.y_hat_map or "identity"]
    delta, name = output.after(dy_hat), f"∂ŷ/∂{below}"
    product = Product(
        f"∂ℒ/∂{below}", "E5", at.formulas.delta or f"∂ℒ/∂ŷ · {name}", at.of_delta(delta), delta
    )
    return Factor(name, SENTENCE, "E3", letters, at.of_map(diagonal, output), output, product)


def _whole(at: _Entry, loss: Loss, below: str, delta: Array) -> Factor:
    """E5 at once."""
    name = f"∂ℒ/∂{below}"
    letters, numbers = at.formulas.delta or _own(loss), at.of_delta(delta)
    product = Product(name, "E5", letters, numbers, delta)
    return Factor(name, SENTENCE, "E5", letters, numbers, delta, product)


def _own(loss: Loss) -> str:
    return f"{loss!r}'s own"


def _e4(
    loss: Loss, a: Array, targets: Array, y_hat: Array, delta: Array
) -> tuple[Array | None, Jacobian | None, str]:
    """∂ℒ/∂ŷ, ∂ŷ/∂a, and "", or why there are none that lead to delta."""
    name = plugins.label(loss)
    output = _map(loss, a[0], y_hat[0])
    if output is None:
        return None, None, f"{name} gives ŷ by a map of its own, so the walk begins behind it"
    dy_hat = np.empty_like(a)
    if type(loss).y_hat_gradient is Loss.y_hat_gradient and loss.y_hat_map == "identity":
        dy_hat[...] = delta
    else:
        try:
            with np.errstate(all="ignore"), plugins.blamed(loss, "y_hat_gradient"):
                loss.y_hat_gradient(a, targets, dy_hat)
        except ConfigError:
            return None, None, f"{name} gives no ∂ℒ/∂ŷ, so the walk begins with ∂ℒ/∂a"
    low = y_hat[0] if isinstance(output, Softmax) else _diagonal(output)
    faint = (np.abs(dy_hat[0]) > 1e16) & (low < TINY)  # a quotient whose divisor has lost digits
    if faint.any() or not np.isfinite(dy_hat).all():
        j = int(np.argmax(faint)) if faint.any() else int(np.argmin(np.isfinite(dy_hat[0])))
        y = "1 - ŷ" if y_hat[0, j] > 0.5 else "ŷ"
        why = f"ŷ[{j}] = {number(y_hat[0, j])}, and {y} there is too small to divide by"
        return None, None, f"{why}, so the walk begins with E5, which needs no quotient"
    with np.errstate(all="ignore"):
        product = output.after(dy_hat[0])
        off, largest = np.abs(product - delta[0]).max(), np.abs(delta).max()
        rounding = 1e-12 * max(np.abs(y_hat).max(), np.abs(dy_hat * y_hat).max())
    if off <= 1e-11 * largest:
        return dy_hat[0], output, ""
    if off <= rounding:
        why = "ŷ is so near the target that ∂ℒ/∂ŷ · ∂ŷ/∂a would lose digits"
        return None, None, f"{why}, so the walk begins with E5"
    why = f"{name}'s ∂ℒ/∂ŷ does not lead to its own ∂ℒ/∂a"
    return None, None, f"{why}, so the walk begins there"


def _map(loss: Loss, a: Array, y_hat: Array) -> Jacobian | None:
    """∂ŷ/∂a of the map that the loss says its y_hat is, if y_hat agrees."""
    with np.errstate(over="ignore", under="ignore"):
        if loss.y_hat_map == "identity" and (y_hat == a).all():
            return Diagonal(np.ones_like(a))
        if loss.y_hat_map == "softmax":
            e = np.exp(a - a.max())
            return Softmax(y_hat) if np.allclose(y_hat, e / e.sum(), rtol=1e-9) else None
        if loss.y_hat_map == "sigmoid":
            e = np.exp(-np.abs(a))  # ŷ (1 - ŷ) would cancel near 1
            if np.allclose(y_hat, np.where(a >= 0, 1, e) / (1 + e), rtol=1e-9):
                return Diagonal(e / (1 + e) ** 2)
    return None


def _diagonal(output: Jacobian) -> Array:
    assert isinstance(output, Diagonal)
    return output.diagonal


class _Entry:
    """A loss's formulas with the numbers of one entry."""

    def __init__(self, formulas: Formulas, y_hat: Array, targets: Array) -> None:
        self.formulas, self.y_hat, self.targets = formulas, y_hat, targets
        self.label = int(targets) if targets.ndim == 0 else None

    def of_dy_hat(self, dy_hat: Array) -> str:
        formula, u = self.formulas.dy_hat, int(np.argmax(np.abs(dy_hat)))
        if "eₗ" in formula and self.label is not None:  # a vector, and no entry of one
            values = self._values(self.label) | {"eₗ": subscript("e", self.label)}
            return with_numbers(formula, values)
        return self._entry(formula, u, dy_hat)

    def of_delta(self, delta: Array) -> str:
        return self._entry(self.formulas.delta, int(np.argmax(np.abs(delta))), delta)

    def of_map(self, diagonal: str, output: Jacobian) -> str:
        if not diagonal:
            return ""
        u = int(np.argmax(self.y_hat)) if self.label is None else self.label
        unit = np.zeros(len(self.y_hat))
        unit[u] = 1
        shown = with_numbers(diagonal, self._values(u))
        return f"[{u},{u}]: {shown} = {number(output.after(unit)[u])}"

    def _entry(self, formula: str, u: int, vector: Array) -> str:
        shown = with_numbers(formula, self._values(u))
        return f"[{u}]: {shown} = {number(vector[u])}" if formula else ""

    def _values(self, u: int) -> dict[str, str]:
        values = {"ŷ": operand(self.y_hat[u])}
        if self.label is not None:
            values["ŷₗ"], values["eₗ"] = operand(self.y_hat[self.label]), str(int(u == self.label))
        elif self.targets.shape == self.y_hat.shape:
            values["t"] = values["p"] = operand(self.targets[u])
            values["Σp"] = operand(float(self.targets.sum()))
        return values

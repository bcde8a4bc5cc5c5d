"""The first steps, "talk to the output layer": E4 and the output map, or E5 at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastbp import checks, reference, registry
from fastbp.checks import Array
from fastbp.explain.entries import Entries
from fastbp.explain.factor import Factor, Product
from fastbp.explain.jacobians import Diagonal, Jacobian, Softmax
from fastbp.explain.symbols import number
from fastbp.kernels.bodies import LossBody
from fastbp.losses import Loss
from fastbp.losses.base import Formulas
from fastbp.registry.part import says_itself

SENTENCE = "talk to the output layer"
MAPS = {  # ∂ŷ/∂a_L in letters; of an entry on the diagonal
    "identity": ("I, as ŷ is what the last layer puts out", ""),
    "softmax": ("diag(ŷ) - ŷ ŷᵀ", "ŷ (1 - ŷ)"),
    "sigmoid": ("diag(ŷ (1 - ŷ))", "ŷ (1 - ŷ)"),
}


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
    body = LossBody(loss, a.shape[1], np.float64, label=registry.label(loss))
    y_hat, delta = np.empty_like(a), np.empty_like(a)
    with registry.blamed(loss, "loss_and_delta"):
        losses = np.asarray(body.loss_and_delta(a, targets, delta))
    with registry.blamed(loss, "y_hat"):
        body.y_hat(a, y_hat)
    checks.finite("the loss", losses.reshape(1, -1), np.array([row]))
    formulas = Formulas()
    if says_itself(
        loss, "formulas", "loss_and_delta", "y_hat", "y_hat_gradient", "__fastbp_loss__"
    ):
        with registry.blamed(loss, "formulas"):
            formulas = Formulas(*map(str, loss.formulas(targets)))
    at = Entries(formulas, y_hat[0], targets[0])
    begun = _e4(loss, a, targets, y_hat, delta)
    if isinstance(begun, str):
        note, factors = begun, [_whole(at, loss, below, delta[0])]
    else:
        note, factors = "", [_first(at, loss, begun[0])]
        if loss.y_hat_map != "identity" or ends_affine:
            factors.append(_second(at, loss, below, *begun))
    return Output(float(losses[0]), formulas.loss, y_hat[0], targets[0], tuple(factors), note)


def _first(at: Entries, loss: Loss, dy_hat: Array) -> Factor:
    """∂ℒ/∂ŷ (E4)."""
    equation = at.formulas.equation
    letters, numbers = at.formulas.dy_hat or _own(loss), at.of_dy_hat(dy_hat)
    product = Product("∂ℒ/∂ŷ", equation, letters, numbers, dy_hat)
    return Factor("∂ℒ/∂ŷ", SENTENCE, equation, letters, numbers, dy_hat, product)


def _second(at: Entries, loss: Loss, below: str, dy_hat: Array, output: Jacobian) -> Factor:
    """∂ŷ/∂a_L, which leads to E5."""
    letters, diagonal = MAPS[loss.y_hat_map or "identity"]
    delta, name = output.after(dy_hat), f"∂ŷ/∂{below}"
    equation, e5 = "E3", "E5"
    if loss.y_hat_map == "identity":
        equation = e5 = at.formulas.equation
    product = Product(
        f"∂ℒ/∂{below}", e5, at.formulas.delta or f"∂ℒ/∂ŷ · {name}", at.of_delta(delta), delta
    )
    return Factor(name, SENTENCE, equation, letters, at.of_map(diagonal, output), output, product)


def _whole(at: Entries, loss: Loss, below: str, delta: Array) -> Factor:
    """E5 at once."""
    name = f"∂ℒ/∂{below}"
    letters, numbers = at.formulas.delta or _own(loss), at.of_delta(delta)
    product = Product(name, "E5", letters, numbers, delta)
    return Factor(name, SENTENCE, "E5", letters, numbers, delta, product)


def _own(loss: Loss) -> str:
    return f"{loss!r}'s own"


def _e4(
    loss: Loss, a: Array, targets: Array, y_hat: Array, delta: Array
) -> tuple[Array, Jacobian] | str:
    """∂ℒ/∂ŷ and ∂ŷ/∂a, or why there are none that lead to delta."""
    name = registry.label(loss)
    output = _map(loss, a[0], y_hat[0])
    if output is None:
        return f"{name} gives ŷ by a map of its own, so the walk begins with ∂ℒ/∂a"
    dy_hat, its_own = delta.copy(), type(loss).y_hat_gradient is not Loss.y_hat_gradient
    if its_own:
        with registry.blamed(loss, "y_hat_gradient"):
            loss.y_hat_gradient(a, targets, dy_hat)
    elif loss.y_hat_map != "identity":
        return f"{name} gives no ∂ℒ/∂ŷ, so the walk begins with ∂ℒ/∂a"
    faint = ~np.isfinite(dy_hat[0])
    if faint.any():
        j = int(np.argmax(faint))
        y = "1 - ŷ" if y_hat[0, j] > 0.5 else "ŷ"
        why = f"ŷ[{j}] = {number(y_hat[0, j])}, and {y} there is too small to divide by"
        return f"{why}, so the walk begins with E5, which needs no quotient"
    off, largest = np.abs(output.after(dy_hat[0]) - delta[0]).max(), np.abs(delta).max()
    rounding = 1e-12 * max(np.abs(y_hat).max(), np.abs(dy_hat * y_hat).max())
    if off <= 1e-11 * largest:
        return dy_hat[0], output
    if off <= rounding:
        why = "ŷ is so near the target that ∂ℒ/∂ŷ · ∂ŷ/∂a would lose digits"
        return f"{why}, so the walk begins with E5"
    return f"{name}'s ∂ℒ/∂ŷ does not lead to its own ∂ℒ/∂a, so the walk begins with that"


def _map(loss: Loss, a: Array, y_hat: Array) -> Jacobian | None:
    """∂ŷ/∂a of the map that the loss says its y_hat is, if y_hat agrees."""
    if loss.y_hat_map == "identity" and (y_hat == a).all():
        return Diagonal(np.ones_like(a))
    if loss.y_hat_map == "softmax" and _close(y_hat, reference.softmax(a[np.newaxis])[0]):
        return Softmax(y_hat)
    if loss.y_hat_map == "sigmoid" and _close(y_hat, reference.sigmoid_forward(a)):
        # 1 - ŷ would cancel
        return Diagonal(reference.sigmoid_forward(a) * reference.sigmoid_forward(-a))
    return None


def _close(y_hat: Array, want: Array) -> bool:
    """But for rounding, and for denormal numbers that may have been taken as 0."""
    return bool(np.allclose(y_hat, want, rtol=1e-9, atol=1e-300))

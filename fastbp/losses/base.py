"""The contract of a loss. The built-in losses keep to it like anybody else's."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from fastbp import checks
from fastbp.checks import Array
from fastbp.errors import ConfigError
from fastbp.registry.part import Part


class Formulas(NamedTuple):
    """A loss in letters, for one example; what :meth:`Network.explain` prints.

    Letters that stand alone get numbers: ŷ, t and p are entries of the output, the targets and a
    row of probabilities, ŷₗ the output of the true class l, eₗ its unit vector.

    Attributes
    ----------
    loss, dy_hat, delta : str
        ℓ, its gradient w.r.t. y_hat (E4), and w.r.t. what the loss acts on (E5).
    equation : str
        What the lecture numbers dy_hat with.
    """

    loss: str = ""
    dy_hat: str = ""
    delta: str = ""
    equation: str = "E4"


KINDS = {
    "classes": checks.class_targets,
    "values": checks.value_targets,
    "binary": checks.binary_targets,
}


class Loss(Part):
    """Base class of losses: immutable configuration and functions of arrays.

    A loss acts on what the last layer puts out, a (rows, n_out), and returns **unweighted**
    losses and gradients of single examples; the host applies weights, reduction and scale.

    A loss over the whole batch (contrastive, ranking), whose rows have no losses of their own, says
    ``rows_independent = False`` and gives :meth:`batch_loss_and_delta` instead: one number for all
    rows, which it weights and reduces itself.

    Attributes
    ----------
    contract : int
        Version of this contract.
    rows_independent : bool
        A row's loss depends on that row alone. False: one loss for the whole batch; then "none" is
        no reduction, and weight 2 need not be the same as having a row twice.
    targets : {"classes", "values", "binary"}
        What y holds: classes or probability rows; values; labels in [0, 1].
    probabilities : bool
        Whether y_hat are probabilities, so that ``predict_proba`` makes sense.
    y_hat_map : {"identity", "softmax", "sigmoid"} or None
        Which map :meth:`y_hat` is, if it is one of these; a loss that overrides ``y_hat`` says
        this anew.
    """

    contract = 1
    rows_independent = True
    targets: Literal["classes", "values", "binary"] = "values"
    probabilities = False
    y_hat_map: Literal["identity", "softmax", "sigmoid"] | None = "identity"

    def target_width(self, n_out: int) -> int:
        """Width of a row of targets for a network with n_out outputs; raises where none fits."""
        return n_out

    def check_targets(
        self, y: Array, n_out: int, dtype: np.dtype[Any], rows: Array | None = None
    ) -> Array:
        """The targets as the loss wants them, or an error naming the first bad row.

        Parameters
        ----------
        y : ndarray, real, first axis the batch
        n_out : int
        dtype : dtype
            The network's.
        rows : ndarray of int, optional
            The caller's number of each row, for messages.
        """
        kind = checks.choice(f"{type(self).__name__}.targets", self.targets, tuple(KINDS))
        return KINDS[kind](y, self.target_width(n_out), dtype, rows)

    def loss_and_delta(self, a: Array, targets: Array, delta: Array | None) -> Array:
        """Losses of single examples, float64 (rows,); fills delta, their gradient w.r.t. a."""
        raise NotImplementedError(f"{type(self).__name__}.loss_and_delta")

    def batch_loss_and_delta(
        self, a: Array, targets: Array, weight: Array, delta: Array | None
    ) -> float:
        """The loss of the whole batch; fills delta, its gradient w.r.t. a.

        Called, with ``rows_independent = False`` alone, on all rows of a batch at once, so that
        ``loss``, ``gradients`` and ``step`` agree. The host changes neither result.

        Parameters
        ----------
        a : ndarray, (rows, n_out)
            One row at least.
        targets : ndarray, first axis rows
            As :meth:`check_targets` returned them.
        weight : float64 ndarray, (rows,)
            Each row's weight times the factor of the reduction, 1 / Σ w for the mean and 1 for the
            sum: so they sum to 1 for the mean, in ``fit``'s minibatches in expectation. Rows of
            weight 0 were left out.
        delta : ndarray, (rows, n_out), or None

        Returns
        -------
        float
            Weighted and reduced.
        """
        raise NotImplementedError(f"{type(self).__name__}.batch_loss_and_delta")

    def y_hat(self, a: Array, out: Array) -> None:
        """Fill out with the output that predictions are made from; the identity unless given."""
        out[...] = a

    def y_hat_gradient(self, a: Array, targets: Array, out: Array) -> None:
        """Fill out with the gradient of single examples' losses w.r.t. y_hat (E4).

        Where y_hat is the identity this is delta; a loss that overrides y_hat overrides this too,
        unless it is over the whole batch, which has no such gradient then.
        """
        if type(self).y_hat is not Loss.y_hat:
            raise ConfigError(f"g.y_hat: {type(self).__name__} gives no gradient w.r.t. y_hat")
        self.loss_and_delta(a, targets, out)

    def formulas(self, targets: Array) -> Formulas:
        """The loss and its gradients in letters, for targets as :meth:`check_targets` gave them."""
        return Formulas()

    def decide(self, y_hat: Array) -> Array:
        """Predictions from y_hat: classes as int64, or values, (rows,) when there is one output."""
        return y_hat[:, 0] if y_hat.shape[1] == 1 else y_hat

    def correct(self, y_hat: Array, targets: Array) -> Array | None:
        """Whether each row is predicted right, (rows,) bool; None where that has no meaning."""
        return None

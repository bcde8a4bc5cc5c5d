"""The forward pass for its own sake: outputs, predictions, losses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastbp import checks, registry
from fastbp.batch import Batch
from fastbp.checks import Array
from fastbp.errors import ConfigError
from fastbp.kernels.plan import Plan
from fastbp.layout import Views
from fastbp.parameters import Parameters

BLOCK_ROWS = 512  # large inputs are walked in blocks of this many rows, so that memory is bounded


class Inference(Parameters):
    """The part of :class:`fastbp.Network` that runs forward."""

    def forward(self, X: Any, out: Array | None = None, *, threads: int | None = None) -> Array:
        """h_L, what the loss sees: a_L when nothing follows the last Dense (E1, E2).

        Parameters
        ----------
        X : array-like, (batch, n_in)
            NaN and infinity propagate. Large X is walked in blocks of rows.
            Denormal numbers count as 0 in the layers.
        out : ndarray, (batch, n_out), optional
            Filled and returned; C-contiguous, of the network's dtype, sharing no memory with X.
        threads : int, optional
            At most so many, within the limit in force (:class:`fastbp.thread_limit`); no bit of
            the result depends on it.

        Returns
        -------
        ndarray, (batch, n_out)

        Raises
        ------
        ShapeError, DtypeError, NonFiniteError, ConfigError
            X or out does not fit; a number of X overflows the network's dtype.

        Examples
        --------
        >>> import numpy as np, fastbp as bp
        >>> net = bp.mlp([3, 4, 2], rng=0)
        >>> net.forward(np.ones((5, 3))).shape
        (5, 2)
        """
        x = checks.matrix("X", X, self.n_in, self.dtype)
        if out is None:
            out = np.empty((len(x), self.n_out), self.dtype)
        else:
            checks.operand("out", out, (len(x), self.n_out), self.dtype, out=True)
            checks.no_overlap("out", out, X=x, parameters=self._flat)
        with self._turn(threads):
            for start, stop in self._blocks(len(x)):
                plan = self._plan_for(stop - start)
                plan.forward(x[start:stop], out=out[start:stop], first_row=start)
        return out

    def predict_proba(self, X: Any, *, threads: int | None = None) -> Array:
        """y_hat, the probabilities the loss makes from h_L (E3).

        Parameters
        ----------
        X : array-like, (batch, n_in)
            NaN and infinity propagate.
        threads : int, optional
            At most so many, within the limit in force (:class:`fastbp.thread_limit`); no bit of
            the result depends on it.

        Returns
        -------
        ndarray, (batch, n_out)

        Raises
        ------
        ConfigError
            The loss makes no probabilities (squared_error).
        ShapeError, DtypeError
            X does not fit.

        Examples
        --------
        >>> import numpy as np, fastbp as bp
        >>> bp.mlp([3, 2], rng=0).predict_proba(np.zeros((1, 3)))
        array([[0.5, 0.5]], dtype=float32)
        """
        if not self._loss.probabilities:
            raise ConfigError(f"predict_proba: {self._loss!r} makes no probabilities; use predict")
        return self._y_hat(X, threads)

    def predict(self, X: Any, *, threads: int | None = None) -> Array:
        """Classes as int64 (batch,), labels 0 or 1, or values ((batch,) for one output).

        Parameters
        ----------
        X : array-like, (batch, n_in)
            Not looked at: a row with NaN gets a class as well, one that says nothing.
        threads : int, optional
            At most so many, within the limit in force (:class:`fastbp.thread_limit`); no bit of
            the result depends on it.

        Returns
        -------
        ndarray
            softmax: the likeliest class; sigmoid: 1 where y_hat > 0.5; values otherwise.

        Raises
        ------
        ShapeError, DtypeError
            X does not fit.

        Examples
        --------
        >>> import numpy as np, fastbp as bp
        >>> bp.mlp([3, 1], loss="squared_error", rng=0).predict(np.zeros((2, 3)))
        array([0., 0.], dtype=float32)
        """
        y_hat = self._y_hat(X, threads)
        with registry.blamed(self._loss, "decide"):
            return self._loss.decide(y_hat)

    def loss(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        reduction: str = "mean",
        threads: int | None = None,
    ) -> float | Array:
        """The loss (E3), weighted, reduced, and with the l2 term.

        Parameters
        ----------
        X : array-like, (batch, n_in)
            NaN and infinity propagate, as they do in values and weights.
        y : array-like
            Classes (batch,), or rows of class probabilities (batch, n_out); values
            (batch, n_out), or (batch,) when there is one output.
        sample_weight : array-like, (batch,), optional
            w_n >= 0. A row of weight 0 is left out, whatever it holds.
        reduction : {"mean", "sum", "none"}
            Σ w_n ℓ_n / Σ w_n; Σ w_n ℓ_n; the vector w_n ℓ_n (without the l2 term). A loss over the
            whole batch has no such vector, and X is not walked in blocks.
        threads : int, optional
            At most so many, within the limit in force (:class:`fastbp.thread_limit`); no bit of
            the result depends on it.

        Returns
        -------
        float, or float64 ndarray (batch,) for "none"

        Raises
        ------
        ShapeError, DtypeError, LabelError, ConfigError
            An argument does not fit; the batch is empty or Σ w_n = 0 ("mean").

        Examples
        --------
        >>> import numpy as np, fastbp as bp
        >>> net = bp.mlp([3, 2], rng=0)
        >>> print(round(net.loss(np.zeros((4, 3)), [0, 1, 1, 0]), 4))
        0.6931
        """
        checks.choice("reduction", reduction, ("mean", "sum", "none"))
        if reduction == "none" and not self._loss.rows_independent:
            raise ConfigError(
                f"reduction: got 'none'; wanted 'mean' or 'sum', since {self._loss!r} gives one "
                "number for the whole batch"
            )
        batch = self._check(X, y, sample_weight, strict=False)
        if reduction == "none":
            return batch.expand(self._losses(batch, threads))
        return self._value(batch, batch.scale(reduction), threads) + self._penalty()

    def _check(
        self, X: Any, y: Any, sample_weight: Any, *, strict: bool = True, copy: bool = False
    ) -> Batch:
        return Batch.check(self._layout, self._loss, X, y, sample_weight, strict=strict, copy=copy)

    def _value(self, batch: Batch, scale: float, threads: int | None = None) -> float:
        """scale · Σ w_n ℓ_n, or what a loss over the whole batch makes of these weights."""
        if not self._loss.rows_independent:
            with self._turn(threads):
                plan = self._plan_for(len(batch.x))
                plan.forward(batch.x)
                return plan.batch_loss(batch.targets, batch.weight, scale)
        losses = self._losses(batch, threads)
        with np.errstate(over="ignore", invalid="ignore"):
            # no dot, whose order depends on BLAS's threads
            total = np.sum(losses if batch.weight is None else batch.weight * losses)
            return float(total * scale)

    def _losses(self, batch: Batch, threads: int | None = None) -> Array:
        """Each row's loss, unweighted, float64 (rows,)."""
        losses = np.empty(len(batch.x))
        with self._turn(threads):
            for start, stop in self._blocks(len(batch.x), losses=True):
                plan = self._plan_for(stop - start)
                plan.forward(batch.x[start:stop], first_row=start)
                losses[start:stop] = plan.losses(batch.targets[start:stop], gradient=False)
        return losses

    def _y_hat(self, X: Any, threads: int | None = None) -> Array:
        a = self.forward(X, threads=threads)
        y_hat = np.empty_like(a)
        with self._lock, registry.blamed(self._loss, "y_hat"):
            for start, stop in self._blocks(len(a)):
                self._plan_for(stop - start).y_hat(a[start:stop], y_hat[start:stop])
        return y_hat

    def _blocks(self, rows: int, losses: bool = False) -> Iterator[tuple[int, int]]:
        size = BLOCK_ROWS
        if rows > size + 1:
            plan = self._plan_for(0)
            if not plan.rows_independent or (losses and not plan.losses_independent):
                size = rows
        start = 0
        while start < rows:
            # a row alone would be added up in another order, with other last bits
            stop = rows if rows - start <= size + 1 else start + size
            yield start, stop
            start = stop

    def _plan_for(self, rows: int) -> Plan:
        """The network's own plan, bound to its parameters."""
        if self._plan is None or self._plan.capacity < rows:
            self._plan = self._new_plan(rows)
        self._bind_plan(self._plan, self._flat, self._views)
        return self._plan

    def _bind_plan(self, plan: Plan, flat: Array, views: Views) -> None:
        plan.most_threads = self._most_threads
        step = self.optimizer_state.steps if self.optimizer_state is not None else 0
        plan.bind(flat, views, self._buffers, self._seed, step)

    def _penalty(self, flat: Array | None = None) -> float:
        """λ Σ ‖W_k‖²."""
        if not self._l2:
            return 0.0
        weights = self._layout.weights(self._flat if flat is None else flat)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._l2 * float(sum(np.square(W, dtype=np.float64).sum() for W in weights))

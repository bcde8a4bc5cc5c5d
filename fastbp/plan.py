"""The plan: the buffers of one network, and the lecture's chain run over them.

Everything handed to a plan has been checked. Its arrays are built once for a capacity of rows and
used again; a pass over fewer rows uses their first rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp.batch import Batch
from fastbp.checks import Array
from fastbp.errors import NonFiniteError
from fastbp.kernels import dense_backward
from fastbp.layers import Context
from fastbp.layout import Layout
from fastbp.losses import Loss

Views = list[dict[str, Array]]


class Plan:
    """Buffers for up to `capacity` rows of one network.

    Attributes
    ----------
    y : list of ndarray, (rows, n_out) each
        What each layer put out in the last forward pass.
    dy : list of ndarray, (rows, n_out) each
        Gradient w.r.t. each layer's output after the last backward pass.
    """

    def __init__(self, layout: Layout, loss: Loss, capacity: int) -> None:
        self.layout, self.loss, self.capacity = layout, loss, capacity
        self._y = [np.empty((capacity, n), layout.dtype) for n in layout.widths[1:]]
        self._saved = [
            {key: np.empty((capacity, *shape), layout.dtype) for key, shape in spec.saved.items()}
            for spec in layout.specs
        ]
        self._dy: list[Array] = []  # made by the first backward pass: prediction needs none
        self._gradient: tuple[Array, Views] | None = None
        self.y: list[Array] = []
        self.dy: list[Array] = []
        self._contexts: list[Context] = []

    def _use(self, rows: int) -> None:
        if self.y and len(self.y[0]) == rows:
            return
        self.y = [array[:rows] for array in self._y]
        self.dy = [array[:rows] for array in self._dy]
        self._contexts = [
            Context(saved={key: array[:rows] for key, array in saved.items()})
            for saved in self._saved
        ]

    def forward(
        self,
        params: Views,
        buffers: Views,
        x: Array,
        training: bool = False,
        out: Array | None = None,
    ) -> Array:
        """E1 and E2, layer by layer: fills y and returns h_L (in `out` when given)."""
        self._use(len(x))
        last = len(self.y) - 1
        for i, layer in enumerate(self.layout.layers):
            ctx = self._contexts[i]
            ctx.training, ctx.buffers = training, buffers[i]
            y = out if out is not None and i == last else self.y[i]
            layer.forward(params[i], x, y, ctx)
            x = y
        return x

    def losses(self, targets: Array, gradient: bool) -> Array:
        """E3 (and E5): each row's loss, unweighted, float64; fills the last dy with its gradient."""
        delta = self.upstream() if gradient else None
        return self.loss.loss_and_delta(self.y[-1], targets, delta)

    def upstream(self) -> Array:
        """The last dy, ∂ℒ/∂h_L, to be filled before :meth:`backward`."""
        if not self._dy:
            self._dy = [np.empty_like(array) for array in self._y]
            self.dy = [array[: len(self.y[0])] for array in self._dy]
        return self.dy[-1]

    def gradient(self) -> tuple[Array, Views]:
        """A flat gradient of the plan's own, to be overwritten by the next, and its views."""
        if self._gradient is None:
            flat = np.empty(self.layout.size, self.layout.dtype)
            self._gradient = flat, self.layout.views(flat)
        return self._gradient

    def backward(
        self,
        params: Views,
        x: Array,
        grads: Views,
        input_gradient: Array | None = None,
        factors_only: bool = False,
    ) -> None:
        """E6 to E9 from the last dy down: fills dy, grads and, when given, input_gradient.

        With `factors_only` the matrices of affine layers are left to be formed from (dy, x).
        """
        for i in range(len(self.y) - 1, -1, -1):
            layer, y, dy = self.layout.layers[i], self.y[i], self.dy[i]
            below = self.y[i - 1] if i else x
            dx = self.dy[i - 1] if i else input_gradient
            if not (factors_only and layer.affine):
                layer.backward(params[i], below, y, dy, dx, grads[i], self._contexts[i])
            elif dx is not None:
                dense_backward(dy, params[i]["W"], out=dx)  # E6; E8 and E9 wait

    def gradients(
        self,
        params: Views,
        buffers: Views,
        batch: Batch,
        scale: float,
        grads: Views,
        *,
        training: bool,
        input_gradient: Array | None = None,
        factors_only: bool = False,
    ) -> float:
        """The whole chain: returns scale · Σ w_n ℓ_n and fills dy and grads with its gradient."""
        row_scale = batch.row_scale(scale, self.layout.dtype)
        self.forward(params, buffers, batch.x, training)
        losses = self.losses(batch.targets, gradient=True)
        delta = self.dy[-1]
        good = ~np.isnan(losses) & np.isfinite(delta).all(axis=1)
        if not good.all():
            row = int(np.argmin(good))
            raise NonFiniteError(
                f"h_L: got {self.y[-1][row]} at row {batch.number(row)}; "
                "wanted no NaN, no +inf, and not only -inf"
            )
        if isinstance(row_scale, float):
            delta *= delta.dtype.type(row_scale)
        else:
            delta *= row_scale[:, None]
        total = losses.sum() if batch.weight is None else np.dot(batch.weight, losses)
        self.backward(params, batch.x, grads, input_gradient, factors_only)
        return float(total * scale)

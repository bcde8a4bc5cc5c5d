"""How far rounding may move a network's gradients: measured, by shaking all that is rounded."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp import registry
from fastbp.batch import Batch
from fastbp.checks import Array
from fastbp.kernels.bodies import LayerBody, LossBody
from fastbp.kernels.context import Context
from fastbp.network import Network

DRAWS = 6
FACTOR = 30.0  # errors of a chain of operations add up; those of one draw may cancel


def slack(network: Network, batch: Batch, scale: float, eps: float) -> dict[str, Array]:
    """The error that arithmetic with this eps may leave in each entry of the gradients.

    The float64 network is run with its parameters, input and every array between two layers moved
    by up to one eps, some times over. A gradient that depends on the last digits, as behind a
    saturated sigmoid, is allowed more than one that does not. What becomes infinite or NaN by that
    allows nothing: else anything would pass for its rounding.
    """
    chain = _Chain(network, batch, scale)
    exact = chain.gradients(0.0, None)
    allowed = {name: np.zeros(array.shape) for name, array in exact.items()}
    for seed in range(DRAWS):
        moved = chain.gradients(eps, np.random.default_rng(seed))
        for name, array in exact.items():
            with np.errstate(invalid="ignore"):
                apart = FACTOR * np.abs(moved[name] - array)
            np.maximum(allowed[name], np.where(np.isfinite(apart), apart, 0), out=allowed[name])
    return allowed


class _Chain:
    """The layers and the loss of a float64 network, called one by one."""

    def __init__(self, network: Network, batch: Batch, scale: float) -> None:
        layout, self._network = network._layout, network
        self._bodies = [
            LayerBody(layer, n_in, "float64", label=registry.label(layer))
            for layer, n_in in zip(layout.layers, layout.widths[:-1], strict=True)
        ]
        self._loss = LossBody(network.loss_function, network.n_out, "float64")
        self._batch, self._layout = batch, layout
        self._row_scale = np.full(len(batch.x), scale)
        if batch.weight is not None:
            self._row_scale *= batch.weight

    def gradients(self, eps: float, rng: np.random.Generator | None) -> dict[str, Array]:
        """By parameter, and "x"; without the l2 term."""

        def shaken(array: Array) -> Array:
            if rng is None:
                return array
            moved: Array = array * (1 + eps * rng.uniform(-1, 1, array.shape))
            return moved

        rows, net = len(self._batch.x), self._network
        params = self._layout.views(shaken(net.flat))
        y: list[Any] = [shaken(self._batch.x)]
        contexts = []
        for i, body in enumerate(self._bodies):
            saved = {k: np.zeros((rows, *shape)) for k, shape in body.spec.saved.items()}
            buffers = {k: v.copy() for k, v in net._buffers[i].items()}
            contexts.append(Context(False, saved, buffers, (net._seed, 0, i, 0)))
            out = np.empty((rows, body.spec.n_out))
            body.forward(params[i], y[-1], out, contexts[-1])
            y.append(shaken(out))
        dy = np.empty_like(y[-1])
        if net.loss_function.rows_independent:
            self._loss.loss_and_delta(y[-1], self._batch.targets, dy)
            dy *= self._row_scale[:, None]
        else:
            self._loss.batch_loss_and_delta(y[-1], self._batch.targets, self._row_scale, dy)
        flat = np.zeros(self._layout.size)
        grads = self._layout.views(flat)
        for i in reversed(range(len(self._bodies))):
            dx = np.empty_like(y[i])
            body = self._bodies[i]
            body.backward(params[i], y[i], y[i + 1], shaken(dy), dx, grads[i], contexts[i])
            dy = dx
        slots = self._layout.slots.items()
        found = {name: flat[slot.start : slot.stop].reshape(slot.shape) for name, slot in slots}
        return found | {"x": dy}

"""One example on its way forward, layer by layer, with the Jacobian of each layer there."""

from __future__ import annotations

import numpy as np

from fastbp import checks, registry
from fastbp.checks import Array
from fastbp.explain.jacobians import Backward, Diagonal, Jacobian, Weights, is_elementwise, slope_of
from fastbp.kernels.bodies import LayerBody
from fastbp.kernels.context import Context
from fastbp.layout import Layout, Views


def forward(
    layout: Layout,
    params: Views,
    buffers: Views,
    key: tuple[int, int],
    x: Array,
    row: int,
) -> tuple[list[Array], list[Jacobian], list[Backward]]:
    """What stands at every boundary between layers, and ∂output/∂input of each layer there.

    Parameters
    ----------
    layout : Layout
        In float64, as all arrays.
    params, buffers : list of dict
        Of each layer.
    key : (int, int)
        The network's seed and step, for layers that draw random numbers.
    x : ndarray, (1, n_0)
    row : int
        The caller's number of it, for messages.

    Returns
    -------
    values : list of ndarray
        Row vectors (1, width): x and what each layer puts out, not in training mode (E1, E2).
    jacobians : list of Jacobian
        One for each layer (E6, E7).
    backwards : list of Backward
        The layer's own function; it is the Jacobian where the layer is of no kind that is known.

    Raises
    ------
    NonFiniteError
        A layer's output, or its slope, is not finite.
    """
    values: list[Array] = [x]
    jacobians: list[Jacobian] = []
    backwards: list[Backward] = []
    rows = np.array([row])
    for i, (layer, spec) in enumerate(zip(layout.layers, layout.specs, strict=True)):
        label, name = registry.label(layer), layout.names[i]
        body = LayerBody(layer, x.shape[1], layout.dtype, label=label)
        y = np.zeros((1, spec.n_out))
        saved = {key: np.zeros((1, *shape)) for key, shape in spec.saved.items()}
        ctx = Context(False, saved, buffers[i], (*key, i, 0))
        with registry.blamed(layer, "forward"):
            body.forward(params[i], x, y, ctx)
        checks.finite(f"{name}'s output", y, rows)
        own = Backward(body, params[i], x, y, ctx, name)
        values.append(y)
        backwards.append(own)
        if layer.affine:
            jacobians.append(Weights(params[i]["W"], f"{name}.W"))
        else:
            slope = slope_of(own) if is_elementwise(layer) else None
            if slope is not None:
                checks.finite(f"{name}'s slope", slope[np.newaxis], rows)
            jacobians.append(own if slope is None else Diagonal(slope))
        x = y
    return values, jacobians, backwards

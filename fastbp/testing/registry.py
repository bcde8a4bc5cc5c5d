"""Every check, by the kind of part it is for. A check takes a part; its name is its function's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastbp.testing import (
    layer_arrays,
    layer_gradients,
    layer_modes,
    loss_arrays,
    loss_network,
    loss_numbers,
    network_checks,
    part_checks,
)

Check = Callable[[Any], None]

PART: tuple[Check, ...] = (part_checks.config, part_checks.immutable, part_checks.bad_examples)
NETWORK: tuple[Check, ...] = (
    network_checks.network_gradients,
    network_checks.input_layouts,
    network_checks.training,
    network_checks.shared_part,
    network_checks.threads,
)
CHECKS: dict[str, tuple[Check, ...]] = {
    "layer": (
        layer_arrays.spec,
        layer_arrays.init,
        layer_arrays.float_types,
        layer_arrays.overwrites,
        layer_arrays.inputs_unchanged,
        layer_arrays.dx_none,
        layer_arrays.in_bounds,
        layer_arrays.empty_batch,
        layer_arrays.nan_rows,
        layer_gradients.gradients,
        layer_gradients.single_row,
        layer_gradients.odd_widths,
        layer_gradients.float32,
        layer_gradients.c_equals_python,
        layer_gradients.elementwise,
        layer_gradients.affine,
        layer_modes.blocks,
        layer_modes.flags,
        layer_modes.infallible,
        layer_modes.entries,
        layer_modes.evaluation,
        layer_modes.same_key_same_bits,
        layer_modes.saved_pass,
        *PART,
        *NETWORK,
    ),
    "loss": (
        loss_arrays.returned,
        loss_arrays.float_types,
        loss_arrays.overwrites,
        loss_arrays.inputs_unchanged,
        loss_arrays.delta_none,
        loss_arrays.in_bounds,
        loss_arrays.empty_batch,
        loss_arrays.nan_rows,
        loss_numbers.gradients,
        loss_numbers.odd_widths,
        loss_numbers.blocks,
        loss_numbers.float32,
        loss_numbers.c_equals_python,
        loss_numbers.y_hat,
        loss_numbers.y_hat_gradient,
        loss_numbers.decide,
        loss_network.one_value,
        loss_network.weights,
        loss_network.targets,
        *PART,
        *NETWORK,
    ),
}

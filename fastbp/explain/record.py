"""What a walk leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

from fastbp.checks import Array
from fastbp.explain.destination import Weight
from fastbp.explain.factor import Factor
from fastbp.explain.jacobians import Backward, Jacobian
from fastbp.explain.output import Output
from fastbp.explain.symbols import subscript
from fastbp.layout import Layout


@dataclass(frozen=True)
class Walk:
    """Everything that one walk came by, in float64.

    Attributes
    ----------
    row : int
        The caller's number of the example.
    weight : Weight
    layout : Layout
    output : Output
    factors : tuple of Factor
    names : tuple of str
        Of the boundaries between the layers, from the input on.
    values, gradients : tuple of ndarray
        What stands there, and ∂ℒ/∂ that.
    jacobians : tuple of Jacobian
        Of the layers.
    backwards : tuple of Backward
        The layers' own functions, which their parameters are asked with.
    """

    row: int
    weight: Weight
    layout: Layout
    output: Output
    factors: tuple[Factor, ...]
    names: tuple[str, ...]
    values: tuple[Array, ...]
    gradients: tuple[Array, ...]
    jacobians: tuple[Jacobian, ...]
    backwards: tuple[Backward, ...]

    @property
    def note(self) -> str:
        """What is unusual about it; "" for nothing."""
        layers = zip(self.layout.layers, self.layout.names, strict=True)
        wide = [name for layer, name in layers if not layer.rows_independent]
        notes = [f"{name} looks at whole batches, and got this example alone" for name in wide]
        return "; ".join(filter(None, [self.output.note, *notes, self._nothing()]))

    def _nothing(self) -> str:
        """Why the product is 0."""
        slot, index, last = self.weight.slot, self.weight.index, self.factors[-1]
        if last.running.value != 0 or not self.layout.layers[slot.layer].affine:
            return ""
        h, i, *j = subscript("h", self.layout.affine.index(slot.layer)), *index
        if self.gradients[slot.layer + 1][i] == 0:
            why = f"∂ℒ/∂{self.names[slot.layer + 1]}[{i}] is 0"
        elif self.values[slot.layer][j[0]] == 0:
            why = f"{h}[{j[0]}] is 0"
        else:
            why = "the product is too small for a number"
        return f"this weight moves nothing here, as {why}"

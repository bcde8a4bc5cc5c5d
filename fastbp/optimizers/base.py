"""What an optimizer is, and the state that the network keeps for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastbp import checks, memory
from fastbp.checks import Array
from fastbp.errors import FastbpError, OptimizerError
from fastbp.kernels.steps import OptimizerState as OptimizerState
from fastbp.parts import Part


class Optimizer(Part):
    """Base of optimizers. A frozen value: ``bp.Adam(1e-3)`` written inside a loop works.

    Attributes
    ----------
    lr : float
        Learning rate.
    slots : tuple of str
        Names of the arrays of state, each as long as ``net.flat``.
    """

    lr: float

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays of state."""
        return ()

    def rule(self) -> tuple[Any, ...] | None:
        """The update by name and constants, if the plan knows it: then ``update`` is not called."""
        return None

    def update(self, theta: Array, grad: Array, state: OptimizerState) -> None:
        """Make step number state.steps + 1 on theta, in place. Does not fail halfway."""
        raise NotImplementedError(f"{type(self).__name__}.update")

    def constants(self) -> dict[str, Any]:
        """The configuration without the learning rate."""
        return {name: value for name, value in self.config().items() if name != "lr"}

    def state_for(self, theta: Array, state: OptimizerState | None) -> OptimizerState:
        """The state to go on with: a fresh one, or `state` when it is of this optimizer.

        Raises
        ------
        OptimizerError
            The state is another optimizer's, or one with other constants.
        """
        name = type(self).__name__
        for key, value in self.config().items():
            if isinstance(value, float) and abs(value) > float(np.finfo(theta.dtype).max):
                raise OptimizerError(f"optimizer: got {key} {value}, which overflows {theta.dtype}")
        if state is None:
            arrays = {slot: memory.zeros(theta.size, theta.dtype) for slot in self.slots}
            return OptimizerState(name, self.constants(), 0, arrays)
        if not isinstance(state, OptimizerState):
            raise OptimizerError(
                f"optimizer_state: got {state!r}; wanted an OptimizerState or None"
            )
        if (state.name, state.constants) != (name, self.constants()):
            raise OptimizerError(
                f"optimizer: got {name} with {self.constants()}; the network was trained by "
                f"{state.name} with {state.constants}; net.reset_optimizer() forgets that"
            )
        if state.arrays.keys() != set(self.slots):
            raise OptimizerError(
                f"optimizer_state: got arrays {list(state.arrays)}; wanted {list(self.slots)}"
            )
        for slot in self.slots:
            where = f"optimizer_state.arrays[{slot!r}]"
            try:
                checks.operand(where, state.arrays[slot], theta.shape, theta.dtype, out=True)
            except FastbpError as exc:
                raise OptimizerError(str(exc)) from exc
        return state

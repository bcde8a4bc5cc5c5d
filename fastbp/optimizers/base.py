"""What an optimizer is, and the state that the network keeps for it."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np

from fastbp import checks, memory
from fastbp.checks import Array
from fastbp.errors import FastbpError, OptimizerError
from fastbp.kernels.modes import kept_mode
from fastbp.kernels.optimizer_state import OptimizerState as OptimizerState
from fastbp.kernels.optimizer_state import owned
from fastbp.registry.part import Part, equal


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

    def rule_for(self, dtype: np.dtype[Any]) -> tuple[Any, ...] | None:
        """:meth:`rule`, checked, unless a subclass has written an `update` of its own.

        Raises
        ------
        OptimizerError
            The rule has another name, other numbers or other arrays of state than the plan knows.
        """
        for cls in type(self).__mro__:
            if "rule" in vars(cls):
                with kept_mode():
                    rule = self.rule()
                return None if rule is None else _checked(rule, self._slots(), dtype)
            if "update" in vars(cls):
                return None
        return None

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
        with kept_mode():
            config, constants = self.config(), self.constants()
        for key, value in config.items():
            if isinstance(value, float) and abs(value) > float(np.finfo(theta.dtype).max):
                raise OptimizerError(f"optimizer: got {key} {value}, which overflows {theta.dtype}")
        if state is None:
            arrays = {slot: memory.zeros(theta.size, theta.dtype) for slot in self._slots()}
            return owned(name, constants, 0, arrays)
        if not isinstance(state, OptimizerState):
            raise OptimizerError(
                f"optimizer_state: got {state!r}; wanted an OptimizerState or None"
            )
        if state.name != name or not equal(state.constants, constants):
            raise OptimizerError(
                f"optimizer: got {name} with {constants}; the network was trained by "
                f"{state.name} with {state.constants}; net.reset_optimizer() forgets that"
            )
        self.check_state(theta, state)
        if not state._trusted:
            self.check_values(state)
        return state

    def check_state(self, theta: Array, state: OptimizerState) -> None:
        """Its arrays are those that :attr:`slots` names, each like theta; or OptimizerError.

        Each has memory of its own: what is written into one is written into no other.
        """
        arrays, slots = state._arrays, self._slots()
        if arrays.keys() != set(slots):
            raise OptimizerError(f"optimizer_state: got arrays {list(arrays)}; wanted {[*slots]}")
        others = {"net.flat": theta}
        for slot in slots:
            where = f"optimizer_state.arrays[{slot!r}]"
            try:
                checks.operand(where, arrays[slot], theta.shape, theta.dtype, out=True)
                checks.no_overlap(where, arrays[slot], **others)
            except FastbpError as exc:
                raise OptimizerError(str(exc)) from exc
            others[where] = arrays[slot]

    def check_values(self, state: OptimizerState) -> None:
        """A step can go on with what the arrays hold; or OptimizerError."""
        for slot in self._slots():
            try:
                checks.finite(f"optimizer_state.arrays[{slot!r}]", state._arrays[slot])
            except FastbpError as exc:
                raise OptimizerError(str(exc)) from exc

    def _slots(self) -> tuple[str, ...]:
        """:attr:`slots`, checked."""
        with kept_mode():
            slots: Any = self.slots  # anybody's
        names = isinstance(slots, tuple | list) and all(isinstance(slot, str) for slot in slots)
        if not names or len(set(slots)) < len(slots):
            raise OptimizerError(
                f"slots: got {reprlib.repr(slots)}; wanted a tuple of names, none of them twice"
            )
        return tuple(slots)


# The rules that the plan knows: the constants' names, and how many arrays of state
RULES: dict[str, tuple[tuple[str, ...], int]] = {
    "sgd": (("lr", "weight_decay"), 0),
    "momentum": (("lr", "momentum", "nesterov", "weight_decay"), 1),
    "adam": (("lr", "beta1", "beta2", "eps", "weight_decay"), 2),
}


def _checked(rule: Any, slots: tuple[str, ...], dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """A rule that C may trust; it may be anybody's."""
    given: tuple[Any, ...] = rule if isinstance(rule, tuple) else ()
    name = given[0] if given and isinstance(given[0], str) else ""
    names, arrays = RULES.get(name, ((), 0))
    if not names or len(given) != 1 + len(names):
        known = " or ".join(str((known, *names)) for known, (names, _) in RULES.items())
        raise OptimizerError(
            f"rule: got {reprlib.repr(rule)}; wanted {known}, without quotes but at the first"
        )
    if len(slots) != arrays:
        raise OptimizerError(f"slots: got {slots!r} beside the rule {name!r}; wanted {arrays}")
    for key, value in zip(names, given[1:], strict=True):
        high = 1.0 if key in ("momentum", "beta1", "beta2") else float(np.finfo(dtype).max)
        if isinstance(value, np.ndarray):
            got = f"an array of shape {value.shape}"
            raise OptimizerError(f"rule: {key}: got {got}; wanted one value")
        try:
            if key == "nesterov":
                checks.boolean(f"rule: {key}", value)
            else:
                checks.number(f"rule: {key}", value, high=high)
        except FastbpError as exc:
            raise OptimizerError(str(exc)) from exc
    tiny = float(np.finfo(dtype).tiny)
    if name == "adam" and not given[4] >= tiny:
        raise OptimizerError(
            f"optimizer: got eps {given[4]}, which counts as 0 in {dtype} and divides 0 by 0; "
            f"wanted {tiny:.3g} or more"
        )
    return given

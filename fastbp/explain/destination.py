"""Which example and which weight: found by what the caller says, or refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastbp import checks
from fastbp.batch import Batch
from fastbp.checks import Array
from fastbp.errors import ConfigError, NonFiniteError, UnknownNameError
from fastbp.layout import Layout, Slot
from fastbp.losses import Loss

# "dense1.W:1,2", and "dense1.W[1, 2]" as a walk prints it
INDEXED = re.compile(r"(.*?)\s*(?::|(\[))((?:\s*-?\d{1,18}\s*,?)+)(?(2)\])", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class Weight:
    """One entry of one parameter.

    Attributes
    ----------
    name : str
        Of the parameter, as in ``net.params``.
    slot : Slot
    index : tuple of int
    """

    name: str
    slot: Slot
    index: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.index))}]" if self.index else self.name


def example(
    layout: Layout, loss: Loss, X: Any, y: Any, row: Any, sample_weight: Any = None
) -> tuple[int, Batch]:
    """The number of the row, and it alone, checked; no other row is looked at.

    Raises
    ------
    ConfigError
        The loss has no ℓ_n for each example, or the row's weight is 0.
    UnknownNameError
        There is no such row.
    ShapeError, DtypeError, LabelError, NonFiniteError
        An argument does not fit, or the row holds NaN or infinity.
    """
    if not loss.rows_independent:
        raise ConfigError(
            f"explain: {loss!r} gives one number for the whole batch; wanted a loss with one for "
            "each example"
        )
    x = checks.rows_of("X", X, layout.n_in)
    checks.not_empty("X", x)
    if not _is_whole(row):
        raise ConfigError(f"row: got {row!r}; wanted a whole number, from 0")
    if not 0 <= row < len(x):
        raise UnknownNameError(f"row: got {_shown(row)}; X has rows 0 to {len(x) - 1}")
    row = int(row)
    weight = checks.sample_weight(sample_weight, len(x))
    if weight is not None and weight[row] == 0:
        raise ConfigError(
            f"row: got {row}, whose sample_weight is 0: it moves no weight; wanted another row"
        )
    alone = np.zeros(len(x))  # all other rows are left out, and messages name this one
    alone[row] = 1
    batch = Batch.check(layout, loss, x, y, alone)
    return row, Batch(batch.x, batch.targets, None, None, 1)


def finite(name: str, array: Array) -> None:
    """A parameter can be computed with."""
    if not np.isfinite(array).all():
        index = [int(i) for i in np.argwhere(~np.isfinite(array))[0]]
        raise NonFiniteError(
            f"explain: got {array[tuple(index)]} in {name}{index or ''}; wanted finite parameters"
        )


def find(layout: Layout, weight: Any, largest: Any) -> Weight:
    """The weight that is meant.

    Parameters
    ----------
    layout : Layout
    weight : None, str, or a sequence of a name and indices
        None is the first layer's W. Without indices it is the entry with the largest |gradient|.
        Text may hold both, as ``"dense1.W:1,2"`` or as a walk prints it, ``"dense1.W[1, 2]"``.
    largest : callable
        That entry's index, for a parameter's name.

    Raises
    ------
    UnknownNameError
        There is no such parameter or entry.
    ConfigError
        It is no name with indices, or the network has no parameters.
    """
    if not layout.size:
        raise ConfigError("explain: the network has no parameters; wanted one to walk to")
    if weight is None:
        first = [f"{layout.names[i]}.W" for i in layout.affine]
        weight = next(name for name in [*first, *layout.slots] if _size(layout.slots[name]))
    name, *index = _of_text(layout, weight) if isinstance(weight, str) else _sequence(weight)
    if not isinstance(name, str) or name not in layout.slots:
        raise UnknownNameError(_no_parameter(layout, name))
    slot, name = layout.slots[name], str(name)  # NumPy has a str of its own
    if not index and slot.shape:
        if not _size(slot):
            raise UnknownNameError(f"weight: got {name!r}, which has no entries: {slot.shape}")
        return Weight(name, slot, largest(name))
    ranges = " and ".join(f"0 to {n - 1}" for n in slot.shape)
    whole: list[Any] = [i for i in index if _is_whole(i)]
    if len(index) != len(slot.shape) or len(whole) != len(index):
        wanted = f"indices from {ranges}" if slot.shape else "no index"
        form = _form(name, slot, isinstance(weight, str))
        raise ConfigError(f"weight: got {weight!r}; wanted {name!r} with {wanted}: {form}")
    if not all(0 <= i < n for i, n in zip(whole, slot.shape, strict=True)):
        shown = ", ".join(map(_shown, whole))
        raise UnknownNameError(
            f"weight: got {name}[{shown}]; its shape is {slot.shape}, so indices go from {ranges}"
        )
    return Weight(name, slot, tuple(map(int, whole)))


def _of_text(layout: Layout, weight: str) -> list[Any]:
    found = INDEXED.fullmatch(weight)
    if weight in layout.slots or found is None:
        return [weight]
    return [found[1], *map(int, re.split(r"[\s,]+", found[3].strip(", ")))]


def _sequence(weight: Any) -> Sequence[Any]:
    if not isinstance(weight, tuple | list) or not weight:
        raise ConfigError(
            f'weight: got {weight!r}; wanted a name and indices, as ("dense1.W", 1, 2)'
        )
    return weight


def _is_whole(i: Any) -> bool:
    return isinstance(i, int | np.integer) and not isinstance(i, bool)


def _shown(i: Any) -> str:
    """A whole number, however large; Python refuses to print the largest."""
    return str(i) if abs(int(i)) < 10**18 else "a number beyond 10**18"


def _size(slot: Slot) -> int:
    return slot.stop - slot.start


def _form(name: str, slot: Slot, text: bool) -> str:
    letters = "ij"[: len(slot.shape)]
    if text:
        return ":".join(filter(None, [name, ",".join(letters)]))
    return f"({', '.join([repr(name), *letters])})"


def _no_parameter(layout: Layout, name: Any) -> str:
    text = f"weight: got {name!r}; wanted one of {', '.join(layout.slots)}"
    close = _closest(layout, name) if isinstance(name, str) else ""
    return text + (f"; did you mean {close!r}?" if close else "")


def _closest(layout: Layout, name: str) -> str:
    """The parameter of that name in another case, the layer's first one, or one spelled alike."""
    alike = difflib.get_close_matches(name, layout.slots, n=1)
    same = [slot for slot in layout.slots if slot.lower() == name.lower()]
    of_it = [slot for slot in layout.slots if slot.startswith(f"{re.split('[:[]', name)[0]}.")]
    whole = [slot for slot in layout.slots if re.match(rf"{re.escape(slot)}\W", name)]
    return [*same, *whole, *of_it, *alike, ""][0]

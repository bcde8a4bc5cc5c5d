"""What went wrong in a pass, and who is to blame: errors with the names of parts in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastbp.checks import Array
from fastbp.errors import NonFiniteError, PluginCallError

MAY_HELP = "X and y scaled to about 1, or a smaller learning rate, may help"

ERROR, NO_MEMORY, NON_FINITE = 1, 2, 3  # the codes of plugin.h


def of_code(label: str, function: str, code: int, text: str) -> Exception:
    """The error for a C function that returned a code other than OK."""
    if code == NO_MEMORY:
        return MemoryError(f"{label}: {function} ran out of memory")
    kind = NonFiniteError if code == NON_FINITE else PluginCallError
    return kind(f"{label}: {function} failed ({text or f'code {code}'})")


def of_exception(label: str, function: str, exc: BaseException) -> BaseException:
    """The error for a Python function that raised: with the part's name, the cause chained."""
    if isinstance(exc, KeyboardInterrupt | MemoryError):
        return exc
    kind = NonFiniteError if isinstance(exc, NonFiniteError) else PluginCallError
    error = kind(f"{label}: {function} failed ({type(exc).__name__}: {exc})")
    error.__cause__ = exc
    return error


def of_output(
    x: Array,
    y: Sequence[Array],
    delta: Array,
    losses: Array | None,
    labels: Sequence[str],
    rows: Any,
) -> NonFiniteError:
    """The error for losses that are NaN, or whose gradient is not finite, and where that began.

    Without `losses` it is the loss of the whole batch, which one bad row spoils for all.
    """
    bad = ~np.isfinite(delta).all(axis=1)
    if losses is not None:
        bad |= np.isnan(losses)
    elif not np.isfinite(y[-1]).all():
        bad = ~np.isfinite(y[-1]).all(axis=1)
    n = int(np.argmax(bad))
    row = n if rows is None else int(rows[n])
    for label, below, above in zip(labels, [x, *y], y, strict=False):
        if np.isfinite(below[n]).all() and not np.isfinite(above[n]).all():
            return NonFiniteError(
                f"h_L: got {y[-1][n]} at row {row}; wanted no NaN, no +inf, and not only -inf; "
                f"the first NaN or infinity came out of {label}; {MAY_HELP}"
            )
    return NonFiniteError(
        f"loss: got {'NaN or infinity' if losses is None else losses[n]} with gradient {delta[n]} "
        f"at row {row}, where h_L is {y[-1][n]}; "
        f"the first NaN or infinity came out of {labels[-1]}; {MAY_HELP}"
    )


def of_gradient(
    x: Array, dy: Sequence[Array], grads: Sequence[dict[str, Array]], labels: Sequence[str]
) -> NonFiniteError:
    """The error for a gradient w.r.t. the parameters that is not finite, and where that began."""
    culprit = ""
    for i in range(len(dy) - 1, -1, -1):
        made = [*grads[i].values(), *dy[i - 1 : i]]  # dy[-1:0] is empty: no dx of the first layer
        if np.isfinite(dy[i]).all() and not all(np.isfinite(array).all() for array in made):
            culprit = f"; the first NaN or infinity came out of {labels[i]}"
            break
    wanted = f"wanted finite numbers{culprit}; {MAY_HELP}"
    return NonFiniteError(f"gradient: became NaN or infinite; {wanted}")


def of_value(value: float) -> NonFiniteError:
    """The error for a loss that is not finite though its gradient is."""
    return NonFiniteError(f"loss: became {value}; wanted a finite number; {MAY_HELP}")


def of_update(layout: Any, entry: int) -> NonFiniteError:
    """The error for an optimizer's step that would have made a number NaN or infinite."""
    name = next(name for name, slot in layout.slots.items() if slot.start <= entry < slot.stop)
    return NonFiniteError(
        f"update: would make an entry of {name}, or of the optimizer's state for it, NaN or "
        f"infinite; nothing has changed; {MAY_HELP}"
    )

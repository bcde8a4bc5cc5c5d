"""One module per library, and what each has to bring.

`Step(problem)`
    The network and its optimizer, built once. Calling it makes one training step of plain SGD, in
    the fastest way that a user of the library has, and returns when the step is finished;
    `parameters()` gives [(W, b), ...] as they are now, W (n_out, n_in).
`COUNTS`, `threads(n)`
    The thread counts that the library can be told, and the context in which it uses n of them.
`ACTIVATIONS`
    Those that the library has; all where this is missing.
`fit(sizes, X, y, *, batch_size, epochs, seed)`
    A whole training with Adam at its usual constants, the rows shuffled in every epoch; returns
    a function of X that gives classes. Optional.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.metadata import version
from types import ModuleType

from ..say import say
from .names import DISTRIBUTIONS


def load(names: Iterable[str]) -> dict[str, ModuleType]:
    """The modules of fastbp and of those of `names` that are installed; who is missing is said."""
    modules = {"fastbp": importlib.import_module(f"{__name__}.with_fastbp")}
    for name in names:
        try:
            modules[name] = importlib.import_module(f"{__name__}.with_{name}")
        except ImportError as exc:
            say(f"{DISTRIBUTIONS[name]} is left out: {exc}")
    return modules


def versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions by the libraries' names in tables."""
    return {name: version(DISTRIBUTIONS[name]) for name in names}

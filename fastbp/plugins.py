"""From a name to a part's class.

The built-in parts stand here as strings, the same ones that stand as entry points in
pyproject.toml, so that asking for one by name imports that part alone.
"""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from fastbp.errors import ConfigError, UnknownNameError
from fastbp.parts import Part

BUILTIN: dict[str, dict[str, str]] = {
    "layer": {
        "dense": "fastbp.layers.dense:Dense",
        "relu": "fastbp.layers.relu:ReLU",
        "sigmoid": "fastbp.layers.sigmoid:Sigmoid",
        "tanh": "fastbp.layers.tanh:Tanh",
    },
    "loss": {
        "sigmoid_cross_entropy": "fastbp.losses.sigmoid_cross_entropy:SigmoidCrossEntropy",
        "softmax_cross_entropy": "fastbp.losses.softmax_cross_entropy:SoftmaxCrossEntropy",
        "squared_error": "fastbp.losses.squared_error:SquaredError",
    },
}


def available(kind: str) -> list[str]:
    """The names of all parts of a kind ("layer" or "loss"), sorted; nothing is imported.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.plugins.available("loss")
    ['sigmoid_cross_entropy', 'softmax_cross_entropy', 'squared_error']
    """
    return sorted(_table(kind))


def get(kind: str, name: str) -> type[Any]:
    """The class of a part by its name.

    Raises
    ------
    UnknownNameError
        No part of that kind goes by the name; close matches and all known names are listed.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.plugins.get("layer", "relu")
    <class 'fastbp.layers.relu.ReLU'>
    """
    table = _table(kind)
    if name not in table:
        close = difflib.get_close_matches(str(name), table, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UnknownNameError(
            f"{kind}: got {name!r}; wanted one of {', '.join(sorted(table))}{hint}"
        )
    module, _, attribute = table[name].partition(":")
    part: type[Any] = getattr(importlib.import_module(module), attribute)
    return part


def name_of(part: Part) -> str | None:
    """The name a part's class is registered under, or None."""
    value = f"{type(part).__module__}:{type(part).__qualname__}"
    for table in BUILTIN.values():
        for name, known in table.items():
            if known == value:
                return name
    return None


def resolve(kind: str, part: Any, base: type[Any]) -> Any:
    """An instance of `base` from an instance or from the name of a part without arguments."""
    if isinstance(part, base):
        return part
    if isinstance(part, str):
        cls = get(kind, part)
        try:
            return cls()
        except TypeError as exc:
            raise ConfigError(
                f"{kind}: got {part!r}, which needs arguments ({exc}); pass {cls.__name__}(...)"
            ) from exc
    if isinstance(part, type) and issubclass(part, base):
        raise ConfigError(f"{kind}: got the class {part.__name__}; pass {part.__name__}(...)")
    raise ConfigError(
        f"{kind}: got {type(part).__name__} {part!r}; wanted a {base.__name__} or a name"
    )


def _table(kind: str) -> dict[str, str]:
    if kind not in BUILTIN:
        raise ConfigError(f"kind: got {kind!r}; wanted {' or '.join(map(repr, BUILTIN))}")
    return BUILTIN[kind]

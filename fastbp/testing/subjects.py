"""What is checked: from a name, a class or an instance to the parts to look at."""

from __future__ import annotations

import inspect
from typing import Any

from fastbp import registry
from fastbp.errors import ConfigError, UnknownNameError
from fastbp.layers.base import Layer
from fastbp.losses.base import Loss

GUESSES = {
    "n_out": 3,
    "width": 3,
    "pieces": 2,
}  # arguments without a default that have a usual meaning


def kind_of(part: Any) -> str:
    """ "layer" or "loss", for a name, a class or an instance."""
    if isinstance(part, str):
        for kind in registry.GROUPS:
            try:
                registry.get(kind, part)
            except UnknownNameError:
                continue
            return kind
        registry.get("layer", part)  # raises, and says which names there are
    cls = part if isinstance(part, type) else type(part)
    for kind, base in (("layer", Layer), ("loss", Loss)):
        if issubclass(cls, base):
            return kind
    raise ConfigError(f"part: got {part!r}; wanted a layer or a loss, its class or its name")


def examples(part: Any) -> list[Any]:
    """The instances to check: the one given, or those that the class offers or can be guessed."""
    kind = kind_of(part)
    if isinstance(part, Layer | Loss):
        return [part]
    cls = registry.get(kind, part) if isinstance(part, str) else part
    if hasattr(cls, "examples"):
        found = list(cls.examples())
        if not found:
            raise ConfigError(f"{cls.__name__}.examples(): gave nothing; wanted one part or more")
        return found
    _, *arguments = inspect.signature(cls.__init__).parameters.values()
    needed = [
        p.name
        for p in arguments
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if not set(needed) <= GUESSES.keys():
        raise ConfigError(
            f"{cls.__name__}: needs {', '.join(needed)}; give it a class method examples() that "
            "returns a list of instances, or pass an instance"
        )
    return [cls(**{name: GUESSES[name] for name in needed})]


def title(part: Any) -> str:
    """What messages and test ids call a part."""
    if isinstance(part, str):
        return part
    return part.__name__ if isinstance(part, type) else repr(part)

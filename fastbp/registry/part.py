"""What layers, losses and optimizers have in common: a part is immutable configuration.

A part keeps its constructor's arguments under their own names and nothing else, so that one object
may serve many networks at once. Whatever changes (parameters, buffers, optimizer state) belongs to
the network.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np


class _Frozen(type):
    """Seals each instance once its constructor, however deep its inheritance, has returned."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        part = super().__call__(*args, **kwargs)
        part.__dict__["_sealed"] = True
        return part

    @property
    def __signature__(cls) -> inspect.Signature:
        """What help() and editors show, instead of this metaclass's own arguments."""
        return inspect.Signature(list(_arguments(cls).values()))


class Part(metaclass=_Frozen):
    """Base of layers, losses and optimizers.

    ``config()``, ``repr``, equality, hashing and pickling come from here. They read the arguments
    of ``__init__`` by name, so a subclass stores each argument under its own name, as a JSON value.
    """

    def config(self) -> dict[str, Any]:
        """The constructor's arguments: ``type(part)(**part.config()) == part``.

        Examples
        --------
        >>> import fastbp as bp
        >>> bp.Dense(3).config()
        {'n_out': 3, 'bias': True, 'init': 'auto', 'name': None}
        """
        return {name: getattr(self, name) for name in _arguments(type(self))}

    def __repr__(self) -> str:
        signature = _arguments(type(self))
        shown = []
        for name, value in self.config().items():
            default = signature[name].default
            if default is inspect.Parameter.empty:
                shown.append(repr(value))
            elif not equal(value, default):
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Part) or type(other) is not type(self):
            return NotImplemented
        return equal(self.config(), other.config())

    def __hash__(self) -> int:
        return hash(type(self))  # arguments may be lists, and 2 == 2.0 must hash alike

    def __setattr__(self, name: str, value: Any) -> None:
        if "_sealed" in self.__dict__:
            kind = type(self).__name__
            raise AttributeError(f"{kind}.{name}: a {kind} does not change; make a new one")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        kind = type(self).__name__
        raise AttributeError(f"{kind}.{name}: a {kind} does not change; make a new one")


def says_itself(part: Part, name: str, *functions: str) -> bool:
    """Whether what a part's class says under `name` was said with these functions in sight.

    It was not where a subclass gives another function and inherits the word about the old one.
    """
    classes = type(part).__mro__

    def level(attribute: str) -> int:
        found = (i for i, cls in enumerate(classes) if attribute in vars(cls))
        return next(found, len(classes))

    return all(level(name) <= level(function) for function in functions)


def equal(one: Any, other: Any) -> bool:
    """Whether two configurations are equal, arrays in them too, which compare entry by entry.

    An object is equal to itself and NaN to NaN: else nothing that holds one would be equal to what
    it was.
    """
    if one is other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and type(one) is type(other):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(equal(*pair) for pair in pairs)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return _equal_arrays(one, other)
    if isinstance(one, float | np.floating) and isinstance(other, float | np.floating):
        return bool(one == other or (one != one and other != other))
    if isinstance(one, list | tuple) != isinstance(other, list | tuple):
        return False  # and a number of NumPy's would compare with each entry
    return bool(one == other)


def _equal_arrays(one: Any, other: Any) -> bool:
    try:
        one, other = np.asarray(one), np.asarray(other)
    except ValueError:  # rows of different lengths are no array
        return False
    if one.shape != other.shape:
        return False
    if "O" in (one.dtype.kind, other.dtype.kind):
        return all(map(equal, one.flat, other.flat))
    inexact = one.dtype.kind in "fc" and other.dtype.kind in "fc"
    return np.array_equal(one, other, equal_nan=inexact)


@functools.cache
def _arguments(cls: type[Any]) -> dict[str, inspect.Parameter]:
    init: Any = cls.__init__
    _, *parameters = inspect.signature(init).parameters.values()  # without self
    return {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}

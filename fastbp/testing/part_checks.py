"""Checks of a part as an object: immutable configuration that can be written down."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from fastbp.checks import Array
from fastbp.layers.base import Layer
from fastbp.testing import layer_case, loss_case
from fastbp.testing.arrays import same_bits


def results(part: Any) -> dict[str, Array]:
    """What a part computes on fixed data, evaluating and training, by name."""
    found: dict[str, Array] = {}
    if isinstance(part, Layer):
        for case in layer_case.cases(part):
            for training in (False, True):
                run = case.run(4, training=training).forward().backward()
                found |= {f"{case} {training} {k}": v for k, v in run.outputs().items()}
    else:
        for other in loss_case.cases(part):
            loss_run = other.run(4)
            found |= {f"{other} losses": loss_run.losses, f"{other} delta": loss_run.delta}
    return found


def config(part: Any) -> None:
    """config() is JSON and makes an equal part that computes the same; so does pickling."""
    kind, given = type(part).__name__, _config(part)
    assert isinstance(given, dict), f"{kind}.config() gave {given!r}; wanted a dict"
    try:
        stored = json.loads(json.dumps(given))
    except (TypeError, ValueError) as exc:
        raise AssertionError(f"{kind}.config() gave {given}; wanted JSON values ({exc})") from exc
    want = results(part)
    cls: Any = type(part)
    makers: dict[str, Callable[[], Any]] = {
        f"{kind}(**config())": lambda: cls(**given),
        "config() through JSON": lambda: cls(**stored),
        "pickle": lambda: pickle.loads(pickle.dumps(part)),
        "copy.deepcopy": lambda: copy.deepcopy(part),
    }
    for how, make in makers.items():
        try:
            twin = make()
        except Exception as exc:
            raise AssertionError(f"{kind}: {how} failed ({type(exc).__name__}: {exc})") from exc
        assert twin == part, f"{part!r}: {how} gives {twin!r}, which is not equal"
        assert hash(twin) == hash(part), f"{part!r}: {how} gives an equal part with another hash"
        assert twin.config() == given, f"{part!r}: {how} gives config {twin.config()}; had {given}"
        got = results(twin)
        assert got.keys() == want.keys(), f"{part!r}: {how} gives a part that looks different"
        for name, array in want.items():
            assert same_bits(array, got[name]), f"{how} gives a part that computes other {name}"
    assert part != object(), f"{part!r} equals any object"
    assert kind in repr(part), f"repr gave {part!r}; wanted it to name {kind}"


def _config(part: Any) -> Any:
    try:
        return part.config()
    except AttributeError as exc:
        raise AssertionError(
            f"{type(part).__name__}.config() failed ({exc}); wanted every argument of "
            "__init__ kept under its own name"
        ) from exc


def immutable(part: Any) -> None:
    """No attribute can be set, and calls leave none changed: what changes belongs to the host."""
    given = _config(part)
    part = type(part)(**given)  # one that no other check has called yet
    for name in [*given, "new_attribute"]:
        try:
            setattr(part, name, None)
        except AttributeError:
            continue
        raise AssertionError(f"{part!r}: {name} could be set; parts do not change")
    before = copy.deepcopy(vars(part))
    results(part)
    _compare(part, before)


def _compare(part: Any, before: dict[str, Any]) -> None:
    now = vars(part)
    for name in [*before, *(set(now) - set(before))]:
        assert name in now, f"{part!r}: a call removed the attribute {name}"
        assert name in before, (
            f"{part!r}: a call left the attribute {name}; what backward needs belongs into "
            "ctx.saved, what training gathers into buffers"
        )
        assert _same(before[name], now[name]), f"{part!r}: a call changed the attribute {name}"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return same_bits(one, other)
    if isinstance(one, list | tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    cls: Any = type(one)
    if cls.__eq__ is object.__eq__:  # a deep copy of it never compares equal
        return type(one) is type(other)
    return bool(one == other)


def bad_examples(part: Any) -> None:
    """Each dict of arguments that bad_examples() gives is refused by the constructor."""
    cls = type(part)
    for arguments in cls.bad_examples() if hasattr(cls, "bad_examples") else ():
        try:
            made = cls(**arguments)
        except (ValueError, TypeError):
            continue
        raise AssertionError(f"{cls.__name__}(**{arguments}) gave {made!r}; wanted an error")

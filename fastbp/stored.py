"""Parts in files: by name, by who brings the class, and by the arguments to make them with.

Nothing is pickled: a plugin's class is found through its package's entry points again, and a class
that no package registers is handed over by whoever loads the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from fastbp import registry
from fastbp.errors import ConfigError, PluginError, UnknownNameError
from fastbp.kernels.modes import kept_mode
from fastbp.layers import Layer
from fastbp.losses import Loss

LONGEST = 500  # letters of a name in a file


def describe(kind: str, part: Layer | Loss) -> dict[str, Any]:
    """What a file says of a part: who brings its class, and the arguments to make it with."""
    entry = registry.entry_of(part)
    if entry is None and not type(part).__qualname__.isidentifier():
        raise ConfigError(
            f"{kind}: got a part of {type(part).__qualname__}, a class that is neither registered "
            "nor at the top level of a module, so a file cannot name it"
        )
    try:
        with kept_mode():
            config = json.loads(json.dumps(part.config()))
            equal = bool(type(part)(**config) == part)
    except MemoryError:
        raise
    except Exception as exc:
        raise ConfigError(
            f"{kind}: got {registry.label(part)}, whose config() a file cannot keep or make it "
            f"from ({type(exc).__name__}: {exc})"
        ) from exc
    if not equal:
        raise ConfigError(
            f"{kind}: got {registry.label(part)}, which is not equal to what is made from its "
            f"config() after a way through JSON, {config}"
        )
    return {
        "name": entry.name if entry is not None else _own_name(type(part)),
        "distribution": entry.distribution if entry is not None else None,
        "version": entry.version if entry is not None else None,
        "contract": part.contract,
        "config": config,
    }


def _own_name(cls: type[Any]) -> str:
    """The name in files of a class that nobody registered: MyLoss is my_loss."""
    words = re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__)
    return words.lower()


def one_class_per_name(parts: list[Layer | Loss]) -> None:
    """Refuse classes that nobody registered and that would have one name in the file."""
    classes: dict[str, type[Any]] = {}
    for cls in (type(part) for part in parts if registry.entry_of(part) is None):
        other = classes.setdefault(_own_name(cls), cls)
        if other is not cls:
            raise ConfigError(
                f"save: got the classes {other.__module__}.{other.__qualname__} and "
                f"{cls.__module__}.{cls.__qualname__}, which are both {_own_name(cls)!r} in a file"
            )


def check_parts(parts: Any) -> Mapping[str, Any]:
    """The argument of ``load``: classes by name."""
    if parts is None:
        return {}
    if not isinstance(parts, Mapping):
        raise ConfigError(f"parts: got {parts!r}; wanted a mapping of names to classes")
    for name, cls in parts.items():
        if not (isinstance(cls, type) and issubclass(cls, Layer | Loss)):
            raise ConfigError(f"parts: got {name!r}: {cls!r}; wanted a class of layer or loss")
    return parts


def rebuild(kind: str, stored: Any, base: type[Any], parts: Mapping[str, Any]) -> Any:
    """The part that :func:`describe` described, of a class that is installed or among `parts`."""
    name, config = _word(stored["name"]), dict(stored["config"])
    for key in ("distribution", "version"):
        if stored.get(key) is not None:
            _word(stored[key])
    distribution = stored.get("distribution", "fastbp")
    if distribution == "fastbp":
        part = _builtin(kind, name, stored)(**config)
        assert isinstance(part, base)
        return part
    cls: Any
    key = name if distribution is None else f"{distribution}:{name}"
    if key in parts:
        cls, source = parts[key], f"parts: {key!r}: {parts[key].__qualname__}"
        if not issubclass(cls, base):
            raise PluginError(f"{source} is no {base.__name__}, as the file's {kind} {name!r} is")
    elif distribution is None:
        raise UnknownNameError(
            f"{kind} {name!r} in the file is of a class that no package registers; hand it over: "
            f"load(path, parts={{{name!r}: <the class>}})"
        )
    else:
        cls = _plugin(kind, key, stored)
        source = str(registry.registered(cls))
    origin = "" if distribution is None else f" by {distribution} {stored['version']}"
    if cls.contract != stored["contract"]:
        raise PluginError(
            f"{source} keeps contract {cls.contract!r}; the file's was saved{origin} with contract "
            f"{stored['contract']!r:.{LONGEST}}"
        )
    try:
        with kept_mode():
            return cls(**config)
    except MemoryError:
        raise
    except Exception as exc:
        raise PluginError(
            f"{source} cannot be made with {config!s:.{LONGEST}}, what was saved{origin} "
            f"({type(exc).__name__}: {exc!s:.{LONGEST}})"
        ) from exc


def _word(value: Any) -> str:
    """A name, which messages may show."""
    if not isinstance(value, str) or len(value) > LONGEST:
        raise ConfigError(f"name: got {value!r}; wanted text of at most {LONGEST} letters")
    return value


def _builtin(kind: str, name: str, stored: Any) -> type[Any]:
    if name not in registry.BUILTIN[kind]:
        version = stored.get("version")
        by = f"; the file is of fastbp {version}: pip install fastbp=={version}" if version else ""
        known = ", ".join(sorted(registry.BUILTIN[kind]))
        raise UnknownNameError(f"{kind}: got {name!r}; wanted one of {known}{by}")
    return registry.get(kind, name)


def _plugin(kind: str, key: str, stored: Any) -> type[Any]:
    """The class of a plugin's part, or an error that says what to install."""
    try:
        return registry.get(kind, key)
    except UnknownNameError as exc:
        distribution, version = stored["distribution"], stored["version"]
        wanted = f"{kind} {stored['name']!r} in the file is of {distribution} {version}, which "
        raise UnknownNameError(wanted + _missing(kind, key, distribution, version)) from exc


def _missing(kind: str, key: str, distribution: str, version: str) -> str:
    here = [row for row in registry.describe() if registry.same(row.distribution, distribution)]
    if any(row.state == "disabled" for row in here):
        return "FASTBP_DISABLE_PLUGINS disables"
    if not here:
        return f"is not installed: pip install {distribution}=={version}"
    return (
        f"brought it; {distribution} {here[0].version}, which is installed, does not: "
        f"pip install {distribution}=={version}"
    )

"""From a name to a part: the built-in ones answer first, then what packages bring.

A part is loaded when its name is asked for, and one that fails disturbs no other.
"""

from __future__ import annotations

import difflib
import importlib
import re
from pathlib import Path
from typing import Any

from fastbp.errors import ConfigError, PluginError, UnknownNameError
from fastbp.kernels.modes import kept_mode
from fastbp.registry.blame import label
from fastbp.registry.builtin import CONTRACT, ELSEWHERE, builtin
from fastbp.registry.entries import enabled, is_disabled, same, scan
from fastbp.registry.listing import available
from fastbp.registry.loading import import_class, load, registered


def get(kind: str, name: str) -> type[Any]:
    """The class of a part by its name; imports it when it was not yet.

    Parameters
    ----------
    kind : {"layer", "loss"}
    name : str
        A name from :func:`available`, or ``"distribution:name"`` to pick one of several.

    Returns
    -------
    type

    Raises
    ------
    UnknownNameError
        No part of that kind goes by the name: close matches, what is installed and what is
        disabled are listed.
    PluginError
        The part could not be loaded, is no part, keeps another contract, or two distributions
        bring the name. The cause is chained; asking again tries again.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.plugins.get("layer", "relu")
    <class 'fastbp.layers.relu.ReLU'>
    """
    if not isinstance(name, str):
        raise UnknownNameError(f"{kind}: got {name!r}; wanted one of {', '.join(available(kind))}")
    if name in builtin(kind):
        return import_class(builtin(kind)[name])
    distribution, _, short = name.rpartition(":")
    if same(distribution, "fastbp") and short in builtin(kind):
        return import_class(builtin(kind)[short])
    found = [found for found in enabled(kind) if found.point.name == short]
    if distribution:
        found = [found for found in found if same(found.entry.distribution, distribution)]
    if not found:
        raise UnknownNameError(_unknown(kind, name))
    entries = [found.entry for found in found]
    if len(found) > 1:
        raise PluginError(
            f"{kind} {short!r} is brought by {' and by '.join(map(str, entries))}; pick one as "
            f"{entries[0].distribution + ':' + short!r}, or disable one with FASTBP_DISABLE_PLUGINS"
        )
    return load(found[0])


def layer(name: str, **config: Any) -> Any:
    """A layer by the name it is registered under.

    Parameters
    ----------
    name : str
    **config
        The arguments of its class.

    Returns
    -------
    Layer

    Raises
    ------
    UnknownNameError, PluginError, ConfigError
        As :func:`fastbp.plugins.get`; the arguments do not fit.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.layer("dense", n_out=3)
    Dense(3)
    """
    return _make("layer", name, config)


def loss(name: str, **config: Any) -> Any:
    """A loss by the name it is registered under.

    Parameters
    ----------
    name : str
    **config
        The arguments of its class.

    Returns
    -------
    Loss

    Raises
    ------
    UnknownNameError, PluginError, ConfigError
        As :func:`fastbp.plugins.get`; the arguments do not fit.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.loss("squared_error")
    SquaredError()
    """
    return _make("loss", name, config)


def get_include() -> str:
    """The folder to compile C plugins with: ``#include <fastbp/plugin.h>`` is found in it.

    Returns
    -------
    str

    Examples
    --------
    >>> import os, fastbp as bp
    >>> os.path.exists(os.path.join(bp.get_include(), "fastbp", "plugin.h"))
    True
    """
    return str(Path(__file__).parents[1] / "include")


def refresh() -> None:
    """Look again at what is installed: packages may have come or gone since.

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.plugins.refresh()
    """
    importlib.invalidate_caches()
    scan.cache_clear()
    registered.cache_clear()


def resolve(kind: str, part: Any, base: type[Any]) -> Any:
    """An instance of `base` from an instance or from the name of a part without arguments."""
    if isinstance(part, base):
        contract = getattr(part, "contract", None)
        if contract != CONTRACT:
            raise PluginError(
                f"{label(part)} keeps contract {contract!r}; this fastbp keeps {CONTRACT}"
            )
        return part
    if isinstance(part, str):
        return _make(kind, part, {})
    if isinstance(part, type) and issubclass(part, base):
        raise ConfigError(f"{kind}: got the class {part.__name__}; pass {part.__name__}(...)")
    raise ConfigError(
        f"{kind}: got {type(part).__name__} {part!r}; wanted a {base.__name__} or a name"
    )


def _make(kind: str, name: str, config: dict[str, Any]) -> Any:
    cls = get(kind, name)
    try:
        with kept_mode():
            return cls(**config)
    except TypeError as exc:
        given = f" with {config}" if config else ", which needs arguments"
        raise ConfigError(f"{kind}: got {name!r}{given} ({exc}); pass {cls.__name__}(...)") from exc


def _unknown(kind: str, name: str) -> str:
    names = available(kind)
    short = name.rpartition(":")[2].lower()
    close = difflib.get_close_matches(short, names, n=1)
    text = f"{kind}: got {name!r}; wanted one of {', '.join(names)}"
    plain = re.sub("[-_ ]", "", short)
    ours = [ours for ours, words in ELSEWHERE[kind].items() if plain in words.split()]
    if ours:
        text += f"; here that is {ours[0]}"
        if plain == "linear":
            text += ", and no layer where an activation is wanted"
    elif close:
        text += f"; did you mean {close[0]!r}?"
    disabled = [str(found.entry) for found in scan(kind) if is_disabled(found)]
    if disabled:
        text += f"; disabled by FASTBP_DISABLE_PLUGINS: {', '.join(disabled)}"
    return text

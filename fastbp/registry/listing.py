"""Every part that there is, and its state; nothing is imported."""

from __future__ import annotations

from dataclasses import dataclass

from fastbp.registry.builtin import CONTRACT, GROUPS, builtin
from fastbp.registry.entries import enabled, is_disabled, is_name, own_version, scan
from fastbp.registry.loading import loaded


@dataclass(frozen=True)
class Description:
    """What is known of a part without loading it.

    Attributes
    ----------
    kind, name : str
    distribution, version : str
        Who brings it.
    contract : int or None
        Version of the contract it was written for; None before it is loaded.
    state : str
        "built-in", "not loaded", "loaded", "disabled", "conflict" (two distributions bring the
        name), "shadowed" (by a built-in part) or "bad name".
    """

    kind: str
    name: str
    distribution: str
    version: str
    contract: int | None
    state: str


def available(kind: str) -> list[str]:
    """The names of all parts of a kind, sorted; nothing is imported.

    Parameters
    ----------
    kind : {"layer", "loss"}

    Returns
    -------
    list of str
        Built-in parts and those of installed, not disabled distributions.

    Raises
    ------
    ConfigError
        There is no such kind.

    Examples
    --------
    >>> import fastbp as bp
    >>> {"dense", "relu"} <= set(bp.plugins.available("layer"))
    True
    """
    names = {found.point.name for found in enabled(kind)}
    return sorted({name for name in names if is_name(name)} | builtin(kind).keys())


def describe() -> list[Description]:
    """Every part, built-in ones first, with its distribution and state; nothing is imported.

    Returns
    -------
    list of Description

    Examples
    --------
    >>> import fastbp as bp
    >>> bp.plugins.describe()[0].name
    'dense'
    """
    rows = []
    for kind in GROUPS:
        for name in sorted(builtin(kind)):
            rows.append(Description(kind, name, "fastbp", own_version(), CONTRACT, "built-in"))
    for kind in GROUPS:
        enabled = [found.entry for found in scan(kind) if not is_disabled(found)]
        entries = [found.entry for found in scan(kind)]
        for entry in sorted(entries, key=lambda entry: (entry.name, entry.distribution)):
            part = loaded.get(entry)
            same = [other for other in enabled if other.name == entry.name]
            state = "loaded" if part is not None else "not loaded"
            if entry not in enabled:
                state = "disabled"
            elif not is_name(entry.name):
                state = "bad name"
            elif entry.name in builtin(kind):
                state = "shadowed"
            elif len(same) > 1:
                state = "conflict"
            contract = getattr(part, "contract", None)
            rows.append(
                Description(kind, entry.name, entry.distribution, entry.version, contract, state)
            )
    return rows

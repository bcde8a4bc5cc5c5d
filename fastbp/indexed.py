"""Quantities by the lecture's index k."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fastbp.errors import UnknownNameError


class Indexed(Mapping[int, Any]):
    """Quantities that carry the lecture's index k, formed when asked for.

    Parameters
    ----------
    symbol : str
        What messages call it: ``"g.W"``.
    keys : dict
        For each k what to form.
    form : callable
        Forms it.
    """

    def __init__(self, symbol: str, keys: Mapping[int, Any], form: Callable[[Any], Any]) -> None:
        self._symbol, self._keys, self._form = symbol, keys, form

    def __getitem__(self, k: int) -> Any:
        known = isinstance(k, int | np.integer) and not isinstance(k, bool) and k in self._keys
        if not known:
            raise UnknownNameError(f"{self._symbol}: got index {k!r}; wanted one of {[*self]}")
        return self._form(self._keys[k])

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"{self._symbol}[k], k in {[*self]}"

"""What the host hands to a layer written in Python, beside its arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastbp.checks import Array
from fastbp.kernels.host import random_uniform


@dataclass
class Context:
    """What the host hands to a layer written in Python, beside its arrays.

    Attributes
    ----------
    training : bool
        True in ``step`` and ``fit``; False in ``forward``, ``predict``, ``loss``.
    saved : dict of str to ndarray
        One array (rows, *shape per row) for each name in ``LayerSpec.saved``.
    buffers : dict of str to ndarray
        The layer's buffers, writable while training.
    """

    training: bool = False
    saved: dict[str, Array] = field(default_factory=dict)
    buffers: dict[str, Array] = field(default_factory=dict)
    _place: tuple[int, int, int, int] = (0, 0, 0, 0)  # seed, step, layer, first row

    def random(self, out: Array) -> Array:
        """Fill `out`, (rows, ...), with uniform numbers in [0, 1) and return it.

        They depend on the network's seed, the step, the layer and the row alone: not on blocks of
        rows or threads, and a second call in the same pass gives the same numbers.
        """
        return random_uniform(*self._place, out)

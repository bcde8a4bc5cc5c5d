"""Layers and losses by name: the built-in ones, and those that other packages bring.

A package brings parts by entry points in the groups ``fastbp.layers`` and ``fastbp.losses``.
Listing names loads nothing; a part is loaded when its name is asked for.
"""

from fastbp.registry import Description as Description
from fastbp.registry import available as available
from fastbp.registry import describe as describe
from fastbp.registry import get as get
from fastbp.registry import get_include as get_include
from fastbp.registry import layer as layer
from fastbp.registry import loss as loss
from fastbp.registry import refresh as refresh

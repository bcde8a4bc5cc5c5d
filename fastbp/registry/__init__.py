"""The switchboard: how a layer or a loss is found by its name, and who is blamed when it fails.

A package brings parts by entry points in the groups ``fastbp.layers`` and ``fastbp.losses``.
Listing names loads nothing.
"""

from fastbp.registry.blame import blamed as blamed
from fastbp.registry.blame import label as label
from fastbp.registry.builtin import BUILTIN as BUILTIN
from fastbp.registry.builtin import CONTRACT as CONTRACT
from fastbp.registry.builtin import GROUPS as GROUPS
from fastbp.registry.entries import Entry as Entry
from fastbp.registry.entries import same as same
from fastbp.registry.listing import Description as Description
from fastbp.registry.listing import available as available
from fastbp.registry.listing import describe as describe
from fastbp.registry.loading import entry_of as entry_of
from fastbp.registry.loading import name_of as name_of
from fastbp.registry.loading import registered as registered
from fastbp.registry.lookup import get as get
from fastbp.registry.lookup import get_include as get_include
from fastbp.registry.lookup import layer as layer
from fastbp.registry.lookup import loss as loss
from fastbp.registry.lookup import refresh as refresh
from fastbp.registry.lookup import resolve as resolve

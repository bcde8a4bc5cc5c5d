"""The whole chain: forward, loss, backward, update, as users call it."""

import numpy as np

import fastbp as bp
from fastbp import reference

from .common import DTYPES, NETS, allocated, assert_equal, normal, parse_net, ratio
from .whole import NumPyNetwork, assert_network, batch_for

LR = bp.SGD(1e-3)  # small: the same batch is stepped on thousands of times

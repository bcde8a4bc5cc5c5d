"""Training: fit's loop of steps, what it tells, and how it is stopped."""

from fastbp.training.history import Callback as Callback
from fastbp.training.history import History as History

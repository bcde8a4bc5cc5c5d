"""What an optimizer remembers, and whether it may be trusted to."""

cimport numpy as cnp
from libc.math cimport INFINITY, isfinite
from libc.stdint cimport int64_t

import numbers
from collections.abc import Mapping

import numpy as np

from fastbp.errors import OptimizerError
from fastbp.memory import line_copy

from fastbp.kernels.product cimport RULE_ADAM, dense_type, update_rule

cnp.import_array()

cdef int64_t MOST_STEPS = 2**62


cdef class OptimizerState:
    """The optimizer's memory, owned by the network and saved with it.

    Attributes
    ----------
    name : str
        Class name of the optimizer, e.g. ``"Adam"``.
    constants : dict of str to float or bool
        Its configuration without the learning rate, which may change from call to call.
    steps : int
        Updates made so far.
    arrays : dict of str to ndarray
        Flat arrays in the layout of ``net.flat`` (momentum; first and second moment). Whoever asks
        for them may write into them, so from then on each step looks at them.

    Raises
    ------
    OptimizerError
        `steps` or `arrays` are, or are given, something else.
    """

    def __init__(self, name, constants, steps=0, arrays=None):
        self.name, self.constants = name, constants
        self.steps = steps
        self.arrays = {} if arrays is None else arrays

    @property
    def steps(self):
        return self._steps

    @steps.setter
    def steps(self, value):
        if (isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral)
                or not 0 <= value < MOST_STEPS):
            raise OptimizerError(
                f"optimizer_state.steps: got {value!r}; wanted a whole number from 0 to 2**62 - 1")
        self._steps = value

    @property
    def arrays(self):
        self.handed_out = True
        return self._arrays

    @arrays.setter
    def arrays(self, value):
        if not isinstance(value, Mapping):
            raise OptimizerError(
                f"optimizer_state.arrays: got {value!r}; wanted a dict of names to arrays")
        for name, array in value.items():
            if not isinstance(name, str) or not isinstance(array, np.ndarray):
                raise OptimizerError(
                    f"optimizer_state.arrays: got {name!r}: {array!r}; wanted names of arrays")
        self._arrays = dict(value)
        self.handed_out = True
        self.forget_bounds()

    @property
    def _trusted(self):
        """Whether nobody can have written into the arrays since a step has looked at them."""
        return (not self.handed_out and self.bounds.m < INFINITY and self.bounds.v < INFINITY)

    cdef void forget_bounds(self) noexcept:
        self.bounds.m = self.bounds.v = INFINITY

    cdef bint sound(
            self, const dense_type* own, int64_t n, int type, const update_rule* rule) noexcept:
        # Whether a step by this rule may go on with the arrays: a look at what may be others' work.
        cdef int64_t i
        cdef bint good = True
        if not self.handed_out:
            return True
        self.forget_bounds()
        if rule.m != NULL and not isfinite(own.largest(n, <const char*>rule.m)):
            return False
        if rule.v != NULL and not isfinite(own.largest(n, <const char*>rule.v)):
            return False
        if rule.kind == RULE_ADAM:
            for i in range(n):
                good &= ((<const double*>rule.v)[i] if type else (<const float*>rule.v)[i]) >= 0
        return good

    def __repr__(self):
        return (f"OptimizerState(name={self.name!r}, constants={self.constants!r}, "
                f"steps={self._steps!r}, arrays={self._arrays!r})")

    def __reduce__(self):
        return restored, (self.name, self.constants, self._steps, self._arrays)


def owned(name, constants, steps, arrays):
    """A state whose arrays nobody else has.

    Parameters
    ----------
    name, constants, steps, arrays
        As :class:`OptimizerState` has them.

    Returns
    -------
    OptimizerState
    """
    cdef OptimizerState state = OptimizerState(name, constants, steps, arrays)
    state.handed_out = False
    return state


def restored(name, constants, steps, arrays):
    """A state from a file or a copy, its arrays on cache lines.

    Parameters
    ----------
    name, constants, steps, arrays
        As :class:`OptimizerState` has them.

    Returns
    -------
    OptimizerState
    """
    return owned(name, constants, steps, dict(zip(arrays, map(line_copy, arrays.values()))))

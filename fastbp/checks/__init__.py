"""The only validation: everything a user or a plugin hands over passes through here once.

Each function returns what the kernels may trust (C-contiguous, aligned, native byte order, the
network's dtype) or raises an error that names the argument, what came and what was wanted.
Nothing is written before all checks of a call have passed.
"""

from fastbp.checks.arrays import as_real as as_real
from fastbp.checks.arrays import cast as cast
from fastbp.checks.arrays import finite as finite
from fastbp.checks.arrays import matrix as matrix
from fastbp.checks.arrays import not_empty as not_empty
from fastbp.checks.arrays import rows_of as rows_of
from fastbp.checks.arrays import sample_weight as sample_weight
from fastbp.checks.arrays import viewed as viewed
from fastbp.checks.labels import RAVEL as RAVEL
from fastbp.checks.labels import binary_targets as binary_targets
from fastbp.checks.labels import class_targets as class_targets
from fastbp.checks.labels import targets as targets
from fastbp.checks.labels import value_targets as value_targets
from fastbp.checks.operands import FLOATS as FLOATS
from fastbp.checks.operands import Array as Array
from fastbp.checks.operands import describe_shape as describe_shape
from fastbp.checks.operands import no_overlap as no_overlap
from fastbp.checks.operands import operand as operand
from fastbp.checks.settings import MOST_THREADS as MOST_THREADS
from fastbp.checks.settings import boolean as boolean
from fastbp.checks.settings import choice as choice
from fastbp.checks.settings import float_dtype as float_dtype
from fastbp.checks.settings import integer as integer
from fastbp.checks.settings import number as number
from fastbp.checks.settings import path as path
from fastbp.checks.settings import threads as threads

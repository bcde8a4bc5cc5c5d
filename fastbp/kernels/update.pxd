from libc.stdint cimport int64_t

from fastbp.kernels.product cimport update_rule

# An optimizer's step number t as plain numbers, from its `rule()`; without one its kind is
# RULE_NONE. The arrays are the caller's to fill in.
cdef update_rule make_rule(rule, int64_t t) except *

# The same rule for step number t.
cdef void count_step(update_rule* rule, int64_t t) noexcept nogil

from fastbp.plugin cimport fastbp_elementwise, fastbp_layer, fastbp_loss

cdef enum Builtin:
    RELU
    TANH
    SIGMOID
    SOFTMAX_CROSS_ENTROPY
    SIGMOID_CROSS_ENTROPY
    SQUARED_ERROR

# The table of a built-in part of that kind.
cdef const fastbp_elementwise* elementwise_table(Builtin part) noexcept nogil
cdef const fastbp_loss* loss_table(Builtin part) noexcept nogil

# Losses of checked arrays by a built-in loss: float64 (batch,); fills delta unless it is None.
cdef object run_loss(Builtin part, object a, object targets, object delta, int target_kind)

# Whether this is the table of fastbp's own dense layer, for which the plan has kernels of its own.
cdef bint is_dense(const fastbp_layer* table) noexcept nogil
# Likewise of fastbp's own ReLU, which goes along with the products.
cdef bint is_relu(const fastbp_elementwise* table) noexcept nogil
# Whether these are tables of fastbp's own parts.
cdef bint is_own_elementwise(const fastbp_elementwise* table) noexcept nogil
cdef bint is_own_loss(const fastbp_loss* table) noexcept nogil

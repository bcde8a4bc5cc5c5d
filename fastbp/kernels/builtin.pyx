"""The tables of the built-in parts, and the capsules that hand them out.

Built-in layers and losses come through the same door as anybody's. The elementwise layers and the
losses are C files, one each, in src/; Dense is put together here from E1, E6, E8 and E9.
"""

from cpython.pycapsule cimport PyCapsule_New, PyCapsule_SetContext

from libc.stdint cimport int64_t

import numpy as np

from fastbp.kernels.dense cimport c_dense_backward, c_dense_forward
from fastbp.kernels.host cimport pointer, start_call
from fastbp.kernels.outer cimport c_bias_sum, c_outer_sum
from fastbp.kernels.product cimport c_isa_level
from fastbp.plugin cimport (
    FASTBP_ELEMENTWISE_V1, FASTBP_INFALLIBLE, FASTBP_LAYER_V1, FASTBP_LOSS_V1, FASTBP_MINOR,
    FASTBP_OK, FASTBP_ROWS_INDEPENDENT, fastbp_call, fastbp_elementwise, fastbp_layer, fastbp_loss,
)

cdef extern from "src/isa.h" nogil:
    void isa_use(int level)

cdef extern from "src/tables.h" nogil:
    const fastbp_elementwise fastbp_relu, fastbp_tanh, fastbp_sigmoid
    const fastbp_loss fastbp_softmax_cross_entropy, fastbp_sigmoid_cross_entropy
    const fastbp_loss fastbp_squared_error

isa_use(c_isa_level())

ctypedef fused real:
    float
    double


cdef int dense_forward(
        const fastbp_call* call, real* type, const void* x, void* a) noexcept nogil:
    # E1; params W (n_out, n_in) and, when the context is NULL, b (n_out,).
    cdef const real* b = <const real*>call.params[1] if call.context == NULL else NULL
    c_dense_forward(<const real*>x, <const real*>call.params[0], b, <real*>a, call.rows,
                    call.n_in, call.n_out)
    return FASTBP_OK


cdef int dense_backward(
        const fastbp_call* call, real* type, const void* x, const void* delta,
        void* dx) noexcept nogil:
    # E6, E8 and E9.
    cdef const real* upstream = <const real*>delta
    if dx != NULL:
        c_dense_backward(upstream, <const real*>call.params[0], <real*>dx, call.rows, call.n_in,
                         call.n_out)
    c_outer_sum(upstream, <const real*>x, <real*>call.grads[0], call.rows, call.n_in, call.n_out)
    if call.context == NULL:
        c_bias_sum(upstream, <real*>call.grads[1], call.rows, call.n_out)
    return FASTBP_OK


cdef int forward_f32(const fastbp_call* call, const void* x, void* y) noexcept nogil:
    return dense_forward(call, <float*>NULL, x, y)


cdef int forward_f64(const fastbp_call* call, const void* x, void* y) noexcept nogil:
    return dense_forward(call, <double*>NULL, x, y)


cdef int backward_f32(
        const fastbp_call* call, const void* x, const void* y, const void* dy,
        void* dx) noexcept nogil:
    return dense_backward(call, <float*>NULL, x, dy, dx)


cdef int backward_f64(
        const fastbp_call* call, const void* x, const void* y, const void* dy,
        void* dx) noexcept nogil:
    return dense_backward(call, <double*>NULL, x, dy, dx)


cdef fastbp_layer dense_table
dense_table.struct_size = sizeof(fastbp_layer)
dense_table.minor = FASTBP_MINOR
dense_table.flags = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE
dense_table.forward[0] = forward_f32
dense_table.forward[1] = forward_f64
dense_table.backward[0] = backward_f32
dense_table.backward[1] = backward_f64
dense_table.scratch = NULL


cdef bint is_dense(const fastbp_layer* table) noexcept nogil:
    return table.backward[0] == backward_f32


cdef bint is_relu(const fastbp_elementwise* table) noexcept nogil:
    return table.f[0] == fastbp_relu.f[0]


cdef bint is_own_elementwise(const fastbp_elementwise* table) noexcept nogil:
    return (table.f[0] == fastbp_relu.f[0] or table.f[0] == fastbp_tanh.f[0]
            or table.f[0] == fastbp_sigmoid.f[0])


cdef bint is_own_loss(const fastbp_loss* table) noexcept nogil:
    return (table.loss_and_delta[0] == fastbp_softmax_cross_entropy.loss_and_delta[0]
            or table.loss_and_delta[0] == fastbp_sigmoid_cross_entropy.loss_and_delta[0]
            or table.loss_and_delta[0] == fastbp_squared_error.loss_and_delta[0])


cdef const fastbp_elementwise* elementwise_table(Builtin part) noexcept nogil:
    if part == RELU:
        return &fastbp_relu
    return &fastbp_tanh if part == TANH else &fastbp_sigmoid


cdef const fastbp_loss* loss_table(Builtin part) noexcept nogil:
    if part == SOFTMAX_CROSS_ENTROPY:
        return &fastbp_softmax_cross_entropy
    if part == SIGMOID_CROSS_ENTROPY:
        return &fastbp_sigmoid_cross_entropy
    return &fastbp_squared_error


cdef object run_loss(Builtin part, object a, object targets, object delta, int target_kind):
    cdef fastbp_call call
    cdef int64_t rows = a.shape[0], n = a.shape[1]
    cdef int type = a.dtype == np.float64
    cdef const void* source
    cdef const void* aim
    cdef double* values
    cdef void* slope = NULL
    losses = np.zeros(rows)
    if rows > 0 and n > 0:
        source, aim, values = pointer(a), pointer(targets), <double*>pointer(losses)
        if delta is not None:
            slope = pointer(delta)
        with nogil:
            start_call(&call, rows, n, n)
            call.target_kind = target_kind
            loss_table(part).loss_and_delta[type](&call, source, aim, values, slope)
    return losses


_PARTS = {
    "relu": RELU,
    "tanh": TANH,
    "sigmoid": SIGMOID,
    "softmax_cross_entropy": SOFTMAX_CROSS_ENTROPY,
    "sigmoid_cross_entropy": SIGMOID_CROSS_ENTROPY,
    "squared_error": SQUARED_ERROR,
}


def dense_capsule(bint bias):
    """The capsule of ``Dense.__fastbp_layer__``; its context says whether there is no bias."""
    cdef object capsule = PyCapsule_New(<void*>&dense_table, FASTBP_LAYER_V1, NULL)
    if not bias:
        PyCapsule_SetContext(capsule, <void*>&dense_table)
    return capsule


def elementwise_capsule(name):
    """The capsule of a built-in elementwise layer's ``__fastbp_elementwise__``."""
    return PyCapsule_New(<void*>elementwise_table(_PARTS[name]), FASTBP_ELEMENTWISE_V1, NULL)


def loss_capsule(name):
    """The capsule of a built-in loss's ``__fastbp_loss__``."""
    return PyCapsule_New(<void*>loss_table(_PARTS[name]), FASTBP_LOSS_V1, NULL)

from libc.stdint cimport uint32_t

from fastbp.plugin cimport fastbp_elementwise, fastbp_layer, fastbp_loss

cdef enum Body:
    PYTHON
    LAYER
    ELEMENTWISE

cdef struct LayerTable:
    Body body
    void* context
    fastbp_layer layer
    fastbp_elementwise elementwise

cdef struct LossTable:
    bint python
    bint whole_batch  # one number for all rows, which the loss weights itself
    void* context
    fastbp_loss loss

# A layer's flags; all of them for a body in Python, of which its class says what is so.
cdef uint32_t flags_of(const LayerTable* table) noexcept nogil
cdef object read_layer(object part, str label, int type, LayerTable* table)
cdef object read_loss(object part, str label, int type, LossTable* table)

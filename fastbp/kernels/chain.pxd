from libc.stdint cimport int64_t, uint64_t

from fastbp.kernels.callbacks cimport Callbacks
from fastbp.kernels.product cimport dense_type
from fastbp.kernels.tables cimport LayerTable, LossTable
from fastbp.plugin cimport fastbp_call

cdef extern from "fpmode.h" nogil:
    ctypedef uint64_t fpmode
    fpmode fpmode_get()
    void fpmode_set(fpmode mode)
    fpmode fpmode_flush()

cdef enum:
    MESSAGE_SIZE = 512

cdef struct Node:  # one layer, its table and where its numbers stand
    LayerTable table
    fastbp_call call
    bint affine
    bint dense  # fastbp's own: the chain has kernels for E1, E6, E8 and E9
    bint under_relu  # such a layer, with fastbp's own ReLU next: steps take both at once
    bint under_g  # or an elementwise layer of independent entries that cannot fail or reread x
    int64_t n_in
    int64_t n_out
    char* y
    char* dy
    void** pointers  # params, grads, buffers, saved: what the call points to
    int64_t* offsets  # of the parameters in the flat vector, in numbers
    int64_t* sizes
    int n_params
    int weight  # which parameter is W, when the layer is affine
    int n_buffers
    int n_saved

cdef enum Stage:
    FORWARD
    LOSS
    OUTPUT  # what the host makes of the losses
    BACKWARD
    GRADIENT  # whether it is finite
    UPDATE  # whether what it makes is finite
    DONE

cdef struct Pass:  # one run of the chain
    const char* x
    const char* targets
    const double* weight  # NULL: all ones
    double scale
    char* out  # where h_L goes, NULL: to its own place
    char* dx  # NULL: not wanted
    bint factors_only  # affine layers leave E8 and E9 to whoever asks for them
    double largest_x  # max |x| or, not known, infinity; below 0: no step, which alone needs it
    bint measures  # bounds of |h| and |delta| are wanted
    int divided  # the first so many layers have their E1 divided by outputs
    int divided_back  # and so many their E6 by inputs
    bint fuses  # y of layers under_relu and under_g, and dy of that ReLU, are not kept
    bint flushes  # denormals count as zero
    fpmode mode  # the caller's, to go back to
    Stage stage
    double value

cdef struct Block:  # some of a pass's rows, from E1 to E7
    int64_t first
    int64_t rows
    Stage stage
    int code
    int failed  # which part, `count` for the loss
    double* bounds  # for each layer of |x| and of |dy|, this also of a share of its columns
    char message[MESSAGE_SIZE]

cdef class Chain(Callbacks):
    cdef Node* nodes
    cdef LossTable loss_table
    cdef fastbp_call loss_call
    cdef const dense_type* own
    cdef int type, itemsize
    cdef bint in_c  # every part has a body in C, and no buffers
    cdef bint foreign  # a part is not fastbp's own, and may change the floating-point mode
    cdef bint divisible  # rows may be computed in blocks, by several threads
    cdef int64_t size  # of all parameters
    cdef double* loss_values
    cdef double* row_scale
    cdef int64_t target_bytes  # from one row of targets to the next
    cdef int failed  # which part failed
    cdef char* message  # and what it said

    cdef void enter(self, Pass* p) noexcept nogil
    cdef void leave(self, const Pass* p) noexcept nogil
    cdef void chain_block(self, Pass* p, Block* block) noexcept nogil
    cdef const fastbp_call* call_of(
        self, const fastbp_call* call, Block* block, fastbp_call* own) noexcept nogil
    cdef int forward_block(self, Pass* p, Block* block) noexcept nogil
    cdef int loss_block(self, Pass* p, Block* block, bint gradient) noexcept nogil
    cdef bint good_block(self, const Pass* p, Block* block) noexcept nogil
    cdef void weigh_block(self, const Pass* p, Block* block) noexcept nogil
    cdef int backward_block(self, Pass* p, Block* block) noexcept nogil
    cdef char* bias_sums(self, const Pass* p, int i) noexcept nogil
    cdef int elementwise_backward(
        self, Node* node, const fastbp_call* call, int64_t n, const char* x, const char* y,
        const char* dy, char* dx) noexcept nogil
    cdef void measure_block(self, Pass* p, Block* block) noexcept nogil

    cdef void affine_outputs(
        self, const Pass* p, int i, int64_t first, int64_t n) noexcept nogil
    cdef void upstream_inputs(
        self, const Pass* p, int i, int64_t first, int64_t n, double* bounds) noexcept nogil

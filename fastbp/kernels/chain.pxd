from libc.stdint cimport int64_t, uint64_t

from fastbp.kernels.product cimport dense_type, update_rule
from fastbp.kernels.tables cimport LayerTable, LossTable
from fastbp.plugin cimport fastbp_call

cdef enum:
    MESSAGE_SIZE = 512

cdef struct Node:  # one layer, its table and where its numbers stand
    LayerTable table
    fastbp_call call
    bint affine
    bint dense  # fastbp's own: E1, E6, E8 and E9 may be asked for one by one
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
    DONE

cdef enum Want:
    FACTORS  # affine layers leave E8 and E9 to whoever asks for them
    DELTAS  # fastbp's own dense layers leave E8
    MATRICES  # every gradient is formed

cdef struct Pass:  # one run of the chain
    const char* x
    const char* targets
    const double* weight  # NULL: all ones
    double scale
    double largest_x  # max |x|
    char* dx  # NULL: not wanted
    Want want
    Stage stage
    double value

cdef class Chain:
    # Parts in Python see these: views of as many rows as the pass has
    cdef readonly object layout, loss, y, dy, flat, grads
    cdef object _y_read, _params, _buffers, _contexts, _exception, _x, _targets, _out, _dx, _losses

    cdef Node* nodes
    cdef LossTable loss_table
    cdef fastbp_call loss_call
    cdef const dense_type* own
    cdef int count, type, itemsize
    cdef bint in_c  # every part has a body in C, and no buffers
    cdef int64_t rows
    cdef uint64_t seed, step
    cdef bint training
    cdef void* gradient  # where flat's numbers stand
    cdef int64_t size  # how many
    cdef double* loss_values
    cdef double* row_scale
    cdef int failed  # which part, `count` for the loss
    cdef char message[MESSAGE_SIZE]

    cdef void c_use(self, int64_t rows, bint training, int64_t first_row) noexcept nogil
    cdef int c_output(self, Pass* p) noexcept nogil
    cdef int c_chain(self, Pass* p) noexcept nogil
    cdef int c_step(self, Pass* p, char* theta, double l2, const update_rule* rule) noexcept nogil
    cdef int c_forward(self, const char* x, char* out) noexcept nogil
    cdef int c_losses(self, const char* targets, bint gradient) noexcept nogil
    cdef bint c_good(self) noexcept nogil
    cdef double c_weigh(self, Pass* p) noexcept nogil
    cdef int c_backward(self, const char* x, char* input_gradient, Want want) noexcept nogil
    cdef int c_elementwise_backward(self, Node* node, const char* x, char* dx) noexcept nogil
    cdef bint c_bounded(self, const Pass* p, double l2) noexcept nogil
    cdef void c_step_along(
        self, const char* x, char* theta, double l2, const update_rule* rule) noexcept nogil
    cdef void c_form_matrices(self, const char* x) noexcept nogil
    cdef double c_add_l2(self, char* theta, char* g, double l2) noexcept nogil
    cdef double c_penalty(self, const char* theta, double l2) noexcept nogil
    cdef int py_forward(self, int i, bint has_out) noexcept with gil
    cdef int py_losses(self, bint gradient) noexcept with gil
    cdef int py_backward(self, int i, bint has_dx) noexcept with gil

cdef object read_only(object array)

"""The plan: the buffers of one network, and the lecture's chain run over them in C.

Everything handed to a plan has been checked. Its arrays are built once for a capacity of rows and
used again; a pass over fewer rows uses their first rows. A part with a C table is called without
Python's lock; for a part written in Python the lock is taken for that call alone.
"""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport NAN, isfinite, isnan
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

import numpy as np

from fastbp.errors import NonFiniteError
from fastbp.kernels import failures
from fastbp.kernels.context import Context

from fastbp.kernels.host cimport pointer, start_call, the_host
from fastbp.kernels.tables cimport (
    LAYER, PYTHON, LayerTable, LossTable, read_layer, read_loss,
)
from fastbp.kernels.update cimport Update, apply_update, read_rule
from fastbp.plugin cimport (
    FASTBP_CLASSES, FASTBP_ERROR, FASTBP_NON_FINITE, FASTBP_OK, FASTBP_VALUES, fastbp_call,
)

cdef extern from "src/scan.h" nogil:
    bint finite_float(const float* x, int64_t n)
    bint finite_double(const double* x, int64_t n)
    void scale_rows_float(float* delta, const double* scale, int64_t rows, int64_t n)
    void scale_rows_double(double* delta, const double* scale, int64_t rows, int64_t n)
    void multiply_float(float* dx, const float* dy, int64_t n)
    void multiply_double(double* dx, const double* dy, int64_t n)
    double add_l2_float(float* dW, const float* W, double l2, int64_t n)
    double add_l2_double(double* dW, const double* W, double l2, int64_t n)

cdef enum:
    MESSAGE_SIZE = 512

cdef struct Node:  # one layer, its table and where its numbers stand
    LayerTable table
    fastbp_call call
    bint affine
    int64_t n_in
    int64_t n_out
    char* y
    char* dy
    void** pointers  # params, grads, buffers, saved: what the call points to
    int64_t* offsets  # of the parameters in the flat vector, in numbers
    int n_params
    int weight  # which parameter is W, when the layer is affine
    int n_buffers
    int n_saved

cdef enum Stage:
    FORWARD
    LOSS
    OUTPUT  # what the host makes of the losses
    BACKWARD

cdef struct Pass:  # one run of the chain
    const char* x
    const char* targets
    const double* weight  # NULL: all ones
    double scale
    double* row_scale
    char* dx  # NULL: not wanted
    bint factors_only
    Stage stage
    double value


@cython.final
cdef class Plan:
    """Buffers for up to `capacity` rows of one network.

    Attributes
    ----------
    y : list of ndarray, (rows, n_out) each
        What each layer put out in the last forward pass.
    dy : list of ndarray, (rows, n_out) each
        Gradient w.r.t. each layer's output after the last backward pass.
    flat, grads : ndarray and list of dict of str to ndarray
        The last gradient w.r.t. the parameters, as one vector and as views of it by layer.
    """

    cdef readonly object layout, loss, y, dy, flat, grads
    cdef readonly int64_t capacity
    cdef Node* nodes
    cdef LossTable loss_table
    cdef fastbp_call loss_call
    cdef int count, type, itemsize
    cdef int64_t rows
    cdef uint64_t seed, step
    cdef bint training
    cdef object _labels, _kept, _y, _y_read, _dy, _saved, _losses, _row_scale, _scratch
    cdef object _theta, _params, _buffers, _contexts, _exception, _x, _targets, _out, _dx
    cdef double* loss_values
    cdef double* row_scale_values
    cdef int failed  # which part, `count` for the loss
    cdef char message[MESSAGE_SIZE]

    def __cinit__(self, layout, loss, int64_t capacity, labels):
        self.layout, self.loss, self.capacity = layout, loss, capacity
        self._labels = labels
        self.count = len(layout.layers)
        self.type = 1 if layout.dtype.itemsize == 8 else 0
        self.itemsize = layout.dtype.itemsize
        self.rows = -1
        self.nodes = <Node*>PyMem_Calloc(self.count, sizeof(Node))
        if self.nodes == NULL:
            raise MemoryError
        self._kept = []
        self._y = arena([(capacity, n) for n in layout.widths[1:]], layout.dtype)
        self._saved = [
            dict(zip(spec.saved, arena(
                [(capacity, *shape) for shape in spec.saved.values()], layout.dtype)))
            for spec in layout.specs
        ]
        self._losses = np.empty(capacity)
        self._row_scale = np.empty(capacity)
        self.loss_values = <double*>pointer(self._losses)
        self.row_scale_values = <double*>pointer(self._row_scale)
        self._dy = None  # made by the first backward pass: prediction needs none
        self._read_parts()

    def __dealloc__(self):
        if self.nodes != NULL:
            for i in range(self.count):
                PyMem_Free(self.nodes[i].pointers)
                PyMem_Free(self.nodes[i].offsets)
            PyMem_Free(self.nodes)

    def _read_parts(self):
        cdef Node* node
        cdef size_t scratch = 0, wanted
        layout = self.layout
        cdef int i
        for i in range(self.count):
            node = &self.nodes[i]
            layer, spec = layout.layers[i], layout.specs[i]
            node.n_in, node.n_out = layout.widths[i], layout.widths[i + 1]
            node.affine = layer.affine
            node.weight = list(spec.params).index("W") if layer.affine else 0
            node.n_params, node.n_buffers = len(spec.params), len(spec.buffers)
            node.n_saved = len(spec.saved)
            node.pointers = <void**>PyMem_Calloc(
                2 * node.n_params + node.n_buffers + node.n_saved + 1, sizeof(void*))
            node.offsets = <int64_t*>PyMem_Calloc(node.n_params + 1, sizeof(int64_t))
            if node.pointers == NULL or node.offsets == NULL:
                raise MemoryError
            self._kept.append(read_layer(layer, self._labels[i], self.type, &node.table))
            start_call(&node.call, 0, node.n_in, node.n_out)
            node.call.context = node.table.context
            node.call.params = <const void* const*>node.pointers
            node.call.grads = node.pointers + node.n_params
            node.call.buffers = node.pointers + 2 * node.n_params
            node.call.saved = node.pointers + 2 * node.n_params + node.n_buffers
            node.call.layer = i
            node.call.message = self.message
            node.call.message_size = MESSAGE_SIZE
            for j, array in enumerate(self._saved[i].values()):
                node.pointers[2 * node.n_params + node.n_buffers + j] = pointer(array)
            node.y = <char*>pointer(self._y[i])
            if node.table.body == LAYER and node.table.layer.scratch != NULL:
                wanted = node.table.layer.scratch(
                    node.table.context, self.capacity, node.n_in, node.n_out, self.type)
                node.call.scratch_size = wanted
                scratch = max(scratch, wanted)
        for slot in layout.slots.values():
            node = &self.nodes[slot.layer]
            keys = list(layout.specs[slot.layer].params)
            node.offsets[keys.index(slot.key)] = slot.start
        self._kept.append(read_loss(self.loss, self._labels[self.count], self.type,
                                    &self.loss_table))
        start_call(&self.loss_call, 0, layout.n_out, layout.n_out)
        self.loss_call.context = self.loss_table.context
        self.loss_call.message = self.message
        self.loss_call.message_size = MESSAGE_SIZE
        if not self.loss_table.python and self.loss_table.loss.scratch != NULL:
            wanted = self.loss_table.loss.scratch(
                self.loss_table.context, self.capacity, layout.n_out, self.type)
            self.loss_call.scratch_size = wanted
            scratch = max(scratch, wanted)
        if scratch:
            self._scratch = arena([(scratch,)], np.dtype(np.uint8))[0]
            for i in range(self.count):
                self.nodes[i].call.scratch = pointer(self._scratch)
            self.loss_call.scratch = pointer(self._scratch)

    def bind(self, theta, params, buffers, uint64_t seed, uint64_t step):
        """Compute at these parameters: a flat vector, and its views by layer.

        `buffers` are the layers', by layer; seed and step key the layers' random numbers.
        """
        cdef Node* node
        cdef char* base
        cdef int i, j
        self.seed, self.step = seed, step
        if theta is self._theta:
            return
        base = <char*>pointer(theta)
        for i in range(self.count):
            node = &self.nodes[i]
            for j in range(node.n_params):
                node.pointers[j] = base + node.offsets[j] * self.itemsize
            for j, array in enumerate(buffers[i].values()):
                node.pointers[2 * node.n_params + j] = pointer(array)
        # parts may look at parameters, not write: a call that fails leaves them as they were
        self._params = [{key: read_only(array) for key, array in views.items()} for views in params]
        self._buffers, self._theta = buffers, theta

    def forward(self, x, bint training=False, out=None, int64_t first_row=0):
        """E1 and E2, layer by layer: fills y and returns h_L (in `out` when given)."""
        cdef const char* start = <const char*>pointer(x)
        cdef char* end = NULL
        cdef int code
        self._use(len(x), training, first_row)
        if out is not None:
            end = <char*>pointer(out)
        self._x, self._out = x, out
        with nogil:
            code = self.c_forward(start, end)
        if code:
            self._raise(code, "forward")
        return self.y[self.count - 1] if out is None else out

    def y_hat(self, a, out):
        """Fill out with y_hat (rows, n_out), by the loss's C function where it has one."""
        cdef fastbp_call call
        cdef const void* source = pointer(a)
        cdef void* target = pointer(out)
        cdef int code
        if self.loss_table.python or self.loss_table.loss.y_hat[self.type] == NULL:
            self.loss.y_hat(a, out)
            return
        call = self.loss_call
        call.rows, call.first_row = len(a), 0
        self.message[0] = 0
        with nogil:
            code = self.loss_table.loss.y_hat[self.type](&call, source, target)
        if code:
            self.failed = self.count
            self._raise(code, "y_hat")

    def losses(self, targets, bint gradient):
        """E3 (and E5): each row's loss, unweighted, float64; fills the last dy with its gradient.

        The array is the plan's own, and overwritten by the next call.
        """
        cdef int code
        cdef const char* where = self._targets_of(targets)
        self._need_dy(gradient)
        self.loss_call.row_scale = NULL
        with nogil:
            code = self.c_losses(where, gradient)
        if code:
            self._raise(code, "loss_and_delta")
        return self._losses[:self.rows]

    def upstream(self):
        """The last dy, ∂ℒ/∂h_L, to be filled before :meth:`backward`."""
        self._need_dy(True)
        return self.dy[self.count - 1]

    def backward(self, x, input_gradient=None, bint factors_only=False):
        """E6 to E9 from the last dy down: fills dy, grads and, when given, input_gradient.

        With `factors_only` the matrices of affine layers are left to be formed from (dy, x).
        """
        cdef int code
        cdef const char* start = <const char*>pointer(x)
        cdef char* end = NULL
        self._need_gradient()
        if input_gradient is not None:
            end = <char*>pointer(input_gradient)
        self._x, self._dx = x, input_gradient
        with nogil:
            code = self.c_backward(start, end, factors_only)
        if code:
            self._raise(code, "backward")

    def gradients(
            self, x, targets, weight, double scale, *, bint training=False, input_gradient=None,
            bint factors_only=False, rows=None):
        """The whole chain: returns scale · Σ w_n ℓ_n and fills dy and grads with its gradient.

        `weight` is (rows,) float64, or None for all ones; `rows` numbers the rows for messages.
        """
        cdef Pass p
        cdef int code
        self._start(&p, x, targets, weight, scale, training, input_gradient)
        p.factors_only = factors_only
        with nogil:
            code = self.c_chain(&p)
        if code:
            self._raise_at(code, p.stage, rows)
        return p.value

    def train(
            self, x, targets, weight, double scale, *, double l2=0.0, rule=None, slots=(),
            int64_t t=1, rows=None):
        """One training step at the parameters bound: returns the loss before it, l2 included.

        The update follows `rule`, (name, constants...), on the optimizer's arrays `slots` as its
        t-th. Without a rule the gradient is left in `flat`. Where the loss or the gradient is not
        finite, nothing is updated.
        """
        cdef Pass p
        cdef Update u
        cdef int code
        cdef bint finite = True
        cdef void* theta = pointer(self._theta)
        self._start(&p, x, targets, weight, scale, True, None)
        read_rule(&u, rule, slots, t)
        cdef void* g = pointer(self.flat)
        cdef int64_t n = self.flat.size
        with nogil:
            code = self.c_chain(&p)
            if code == FASTBP_OK:
                if l2 != 0:
                    p.value += self.c_add_l2(<char*>theta, <char*>g, l2)
                if self.type:
                    finite = finite_double(<double*>g, n)
                else:
                    finite = finite_float(<float*>g, n)
                if finite and isfinite(p.value):
                    if self.type:
                        apply_update[double](&u, <double*>theta, <double*>g, n)
                    else:
                        apply_update[float](&u, <float*>theta, <float*>g, n)
        if code:
            self._raise_at(code, p.stage, rows)
        if not isfinite(p.value):
            raise NonFiniteError(f"loss: became {p.value}; a smaller learning rate may help")
        if not finite:
            raise failures.of_gradient(self._x, self.dy, self.grads, self._labels)
        return p.value

    def add_l2(self, double l2):
        """Add the gradient of l2 Σ ‖W_k‖² to flat, and return that term."""
        if l2 == 0 or not self.flat.size:
            return 0.0
        return self.c_add_l2(<char*>pointer(self._theta), <char*>pointer(self.flat), l2)

    # In C

    cdef int c_chain(self, Pass* p) noexcept nogil:
        # E1 to E9, weights and scale; p.stage says how far it came.
        cdef int code
        p.stage = FORWARD
        code = self.c_forward(p.x, NULL)
        if code != FASTBP_OK:
            return code
        p.stage = LOSS
        self.loss_call.row_scale = p.row_scale
        code = self.c_losses(p.targets, True)
        if code != FASTBP_OK:
            return code
        p.stage = OUTPUT
        if not self.c_good():
            return FASTBP_NON_FINITE
        p.value = self.c_weigh(p)
        p.stage = BACKWARD
        return self.c_backward(p.x, p.dx, p.factors_only)

    cdef int c_forward(self, const char* x, char* out) noexcept nogil:
        # E1, E2: y of layer i from y of layer i - 1.
        cdef Node* node
        cdef char* y
        cdef int i, code
        for i in range(self.count):
            node = &self.nodes[i]
            y = out if out != NULL and i == self.count - 1 else node.y
            self.failed = i
            if node.table.body == PYTHON:
                code = self.py_forward(i, out != NULL)
            elif node.table.body == LAYER:
                code = node.table.layer.forward[self.type](&node.call, x, y)
            else:
                code = node.table.elementwise.f[self.type](
                    &node.call, self.rows * node.n_out, x, y)
            if code != FASTBP_OK:
                return code
            x = y
        return FASTBP_OK

    cdef int c_losses(self, const char* targets, bint gradient) noexcept nogil:
        # E3 and E5 on the last y.
        cdef Node* last = &self.nodes[self.count - 1]
        self.failed = self.count
        if self.loss_table.python:
            return self.py_losses(gradient)
        return self.loss_table.loss.loss_and_delta[self.type](
            &self.loss_call, last.y, targets, self.loss_values, last.dy if gradient else NULL)

    cdef bint c_good(self) noexcept nogil:
        # Whether no loss is NaN and no gradient w.r.t. h_L is NaN or infinite.
        cdef Node* last = &self.nodes[self.count - 1]
        cdef int64_t n
        for n in range(self.rows):
            if isnan(self.loss_values[n]):
                return False
        if self.type:
            return finite_double(<double*>last.dy, self.rows * last.n_out)
        return finite_float(<float*>last.dy, self.rows * last.n_out)

    cdef double c_weigh(self, Pass* p) noexcept nogil:
        # Σ_n scale w_n ℓ_n, and delta_n *= scale w_n.
        cdef Node* last = &self.nodes[self.count - 1]
        cdef double total = 0
        cdef int64_t n
        for n in range(self.rows):
            total += (1 if p.weight == NULL else p.weight[n]) * self.loss_values[n]
        if self.type:
            scale_rows_double(<double*>last.dy, p.row_scale, self.rows, last.n_out)
        else:
            scale_rows_float(<float*>last.dy, p.row_scale, self.rows, last.n_out)
        return total * p.scale

    cdef int c_backward(
            self, const char* x, char* input_gradient, bint factors_only) noexcept nogil:
        # E6 to E9, from the last dy down.
        cdef Node* node
        cdef const char* below
        cdef char* dx
        cdef int i, code
        for i in range(self.count - 1, -1, -1):
            node = &self.nodes[i]
            below = <const char*>self.nodes[i - 1].y if i else x
            dx = self.nodes[i - 1].dy if i else input_gradient
            self.failed = i
            if factors_only and node.affine:
                code = FASTBP_OK
                if dx != NULL:  # E6; E8 and E9 wait until they are asked for
                    the_host().gemm[self.type](
                        0, 0, self.rows, node.n_in, node.n_out, 1, node.dy, node.n_out,
                        node.pointers[node.weight], node.n_in, 0, dx, node.n_in)
            elif node.table.body == PYTHON:
                code = self.py_backward(i, dx != NULL)
            elif node.table.body == LAYER:
                code = node.table.layer.backward[self.type](&node.call, below, node.y, node.dy, dx)
            elif dx == NULL:
                code = FASTBP_OK
            else:
                code = self.c_elementwise_backward(node, below, dx)
            if code != FASTBP_OK:
                return code
        return FASTBP_OK

    cdef int c_elementwise_backward(self, Node* node, const char* x, char* dx) noexcept nogil:
        # E7: dx = dy * g'(x).
        cdef int64_t n = self.rows * node.n_out
        cdef int code
        if node.table.elementwise.backward[self.type] != NULL:
            return node.table.elementwise.backward[self.type](
                &node.call, n, x, node.y, node.dy, dx)
        code = node.table.elementwise.df[self.type](&node.call, n, x, node.y, dx)
        if code == FASTBP_OK:
            if self.type:
                multiply_double(<double*>dx, <double*>node.dy, n)
            else:
                multiply_float(<float*>dx, <float*>node.dy, n)
        return code

    cdef double c_add_l2(self, char* theta, char* g, double l2) noexcept nogil:
        # dW += 2 l2 W for every W of an affine layer; returns l2 Σ W².
        cdef Node* node
        cdef double total = 0
        cdef int64_t at
        cdef int i
        for i in range(self.count):
            node = &self.nodes[i]
            if node.affine:
                at = node.offsets[node.weight] * self.itemsize
                if self.type:
                    total += add_l2_double(
                        <double*>(g + at), <double*>(theta + at), l2, node.n_in * node.n_out)
                else:
                    total += add_l2_float(
                        <float*>(g + at), <float*>(theta + at), l2, node.n_in * node.n_out)
        return l2 * total

    # Parts written in Python: an exception is kept, and raised when C has come back

    cdef int py_forward(self, int i, bint has_out) noexcept with gil:
        try:
            y = self._out if has_out and i == self.count - 1 else self.y[i]
            below = self._y_read[i - 1] if i else read_only(self._x)
            self.layout.layers[i].forward(self._params[i], below, y, self._context(i))
            return FASTBP_OK
        except BaseException as exc:
            self._exception = exc
            return FASTBP_ERROR

    cdef int py_losses(self, bint gradient) noexcept with gil:
        cdef int last = self.count - 1
        try:
            delta = self.dy[last] if gradient else None
            losses = self.loss.loss_and_delta(self._y_read[last], self._targets, delta)
            if (not isinstance(losses, np.ndarray) or losses.dtype != np.float64
                    or losses.shape != (self.rows,)):
                got = (f"{losses.dtype} {losses.shape}" if isinstance(losses, np.ndarray)
                       else type(losses).__name__)
                raise TypeError(
                    f"it returned {got}; wanted a float64 array of shape ({self.rows},)")
            self._losses[:self.rows] = losses
            return FASTBP_OK
        except BaseException as exc:
            self._exception = exc
            return FASTBP_ERROR

    cdef int py_backward(self, int i, bint has_dx) noexcept with gil:
        try:
            dx = None if not has_dx else self.dy[i - 1] if i else self._dx
            below = self._y_read[i - 1] if i else read_only(self._x)
            self.layout.layers[i].backward(
                self._params[i], below, self._y_read[i], read_only(self.dy[i]), dx, self.grads[i],
                self._context(i))
            return FASTBP_OK
        except BaseException as exc:
            self._exception = exc
            return FASTBP_ERROR

    def _context(self, int i):
        context = self._contexts[i]
        context.training = self.training
        buffers = self._buffers[i]
        context.buffers = buffers if self.training else {
            key: read_only(array) for key, array in buffers.items()}
        context._place = (self.seed, self.step, i, self.nodes[i].call.first_row)
        return context

    # Before and after

    cdef int _use(self, int64_t rows, bint training, int64_t first_row) except -1:
        # Point everything at the first `rows` rows.
        cdef Node* node
        cdef int i
        self.training = training
        self.message[0] = 0
        for i in range(self.count):
            node = &self.nodes[i]
            node.call.rows = rows
            node.call.first_row = first_row
            node.call.training = training
            node.call.seed, node.call.step = self.seed, self.step
        self.loss_call.rows = rows
        self.loss_call.first_row = first_row
        self.loss_call.training = training
        self.loss_call.seed, self.loss_call.step = self.seed, self.step
        self.loss_call.layer = self.count
        if rows == self.rows:
            return 0
        self.y = [array[:rows] for array in self._y]
        self._y_read = [read_only(array) for array in self.y]
        self.dy = None if self._dy is None else [array[:rows] for array in self._dy]
        self._contexts = [Context() for _ in range(self.count)]
        for context, saved in zip(self._contexts, self._saved):
            context.saved = {key: array[:rows] for key, array in saved.items()}
        self.rows = rows
        return 0

    cdef int _need_dy(self, bint wanted) except -1:
        cdef int i
        if wanted and self._dy is None:
            widths = self.layout.widths[1:]
            self._dy = arena([(self.capacity, n) for n in widths], self.layout.dtype)
            for i in range(self.count):
                self.nodes[i].dy = <char*>pointer(self._dy[i])
        if wanted and self.dy is None:
            self.dy = [array[:self.rows] for array in self._dy]
        return 0

    cdef int _need_gradient(self) except -1:
        cdef Node* node
        cdef char* base
        cdef int i, j
        if self.flat is not None:
            return 0
        self.flat = arena([(self.layout.size,)], self.layout.dtype)[0]
        self.grads = self.layout.views(self.flat)
        base = <char*>pointer(self.flat)
        for i in range(self.count):
            node = &self.nodes[i]
            for j in range(node.n_params):
                node.pointers[node.n_params + j] = base + node.offsets[j] * self.itemsize
        return 0

    cdef int _start(
            self, Pass* p, x, targets, weight, double scale, bint training,
            input_gradient) except -1:
        # Everything a pass through the chain needs, before the lock is let go.
        cdef int64_t n
        self._use(len(x), training, 0)
        self._need_dy(True)
        self._need_gradient()
        self._x, self._out, self._dx = x, None, input_gradient
        p.x = <const char*>pointer(x)
        p.targets = self._targets_of(targets)
        p.dx = NULL
        if input_gradient is not None:
            p.dx = <char*>pointer(input_gradient)
        p.weight = NULL
        if weight is not None:
            p.weight = <const double*>pointer(weight)
        p.scale, p.factors_only, p.value = scale, False, NAN
        p.row_scale = self.row_scale_values
        for n in range(self.rows):
            self.row_scale_values[n] = scale * (1 if p.weight == NULL else p.weight[n])
        return 0

    cdef const char* _targets_of(self, targets) except? NULL:
        self._targets = targets
        self.loss_call.target_kind = FASTBP_CLASSES if targets.dtype.kind == "i" else FASTBP_VALUES
        return <const char*>pointer(targets)

    def _raise_at(self, int code, Stage stage, rows):
        if stage == OUTPUT:
            last = self.dy[self.count - 1]
            raise failures.of_output(
                self._x, self.y, last, self._losses[:self.rows], self._labels, rows)
        self._raise(code, ("forward", "loss_and_delta", "", "backward")[stage])

    def _raise(self, int code, function):
        exc, self._exception = self._exception, None
        label = self._labels[self.failed]
        if exc is not None:
            raise failures.of_exception(label, function, exc)
        text = self.message[:MESSAGE_SIZE].split(b"\0")[0].decode(errors="replace")
        raise failures.of_code(label, function, code, text)


cdef object read_only(object array):
    view = array.view()
    view.flags.writeable = False
    return view


def arena(shapes, dtype):
    """Uninitialised arrays in one piece of memory, each aligned to 64 bytes."""
    sizes = [-(-dtype.itemsize * int(np.prod(shape)) // 64) * 64 for shape in shapes]
    memory = np.empty(sum(sizes) + 64, np.uint8)
    at = -memory.ctypes.data % 64
    arrays = []
    for shape, size in zip(shapes, sizes):
        wanted = dtype.itemsize * int(np.prod(shape))
        arrays.append(memory[at:at + wanted].view(dtype).reshape(shape))
        at += size
    return arrays

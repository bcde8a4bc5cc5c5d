"""The plan: the buffers of one network, and passes of the lecture's chain over them.

Everything handed to a plan has been checked. Its arrays are built once for a capacity of rows and
used again; a pass over fewer rows uses their first rows.
"""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport INFINITY, NAN, isfinite
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

import numpy as np

from fastbp.errors import NonFiniteError
from fastbp.kernels import failures, product
from fastbp.kernels.context import Context
from fastbp.kernels.threads import num_threads
from fastbp.memory import arena

from fastbp.kernels.builtin cimport is_dense, is_relu
from fastbp.kernels.callbacks cimport read_only
from fastbp.kernels.chain cimport (
    GRADIENT, MESSAGE_SIZE, OUTPUT, Block, Node, Pass, Stage,
)
from fastbp.kernels.descent cimport Descent
from fastbp.kernels.host cimport pointer, start_call
from fastbp.kernels.passes cimport MOST_BLOCKS
from fastbp.kernels.product cimport kernels, update_rule
from fastbp.kernels.tables cimport ELEMENTWISE, LAYER, PYTHON, read_layer, read_loss
from fastbp.kernels.update cimport make_rule
from fastbp.plugin cimport (
    FASTBP_CLASSES, FASTBP_ENTRIES_INDEPENDENT, FASTBP_INFALLIBLE, FASTBP_NEEDS_X, FASTBP_OK,
    FASTBP_ROWS_INDEPENDENT, FASTBP_VALUES, fastbp_call,
)


@cython.final
cdef class Plan(Descent):
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

    def __cinit__(self, layout, loss, int64_t capacity, labels):
        cdef int i
        # refuse a FASTBP_ISA or a FASTBP_NUM_THREADS that makes no sense
        product.instruction_set()
        num_threads()
        self.layout, self.loss, self.capacity = layout, loss, capacity
        self._labels = labels
        self.count = len(layout.layers)
        self.type = 1 if layout.dtype.itemsize == 8 else 0
        self.itemsize = layout.dtype.itemsize
        self.own = kernels(self.type)
        self.size = layout.size
        self.rows = self.rows_seen = -1
        self.nodes = <Node*>PyMem_Calloc(self.count, sizeof(Node))
        self.blocks = <Block*>PyMem_Calloc(MOST_BLOCKS, sizeof(Block))
        self.block_bounds = <double*>PyMem_Calloc(MOST_BLOCKS * self.count * 2, sizeof(double))
        if self.nodes == NULL or self.blocks == NULL or self.block_bounds == NULL:
            raise MemoryError
        for i in range(MOST_BLOCKS):
            self.blocks[i].bounds = self.block_bounds + i * self.count * 2
        self._kept = []
        self._y = arena([(capacity, n) for n in layout.widths[1:]], layout.dtype)
        self._saved = [
            dict(zip(spec.saved, arena(
                [(capacity, *shape) for shape in spec.saved.values()], layout.dtype)))
            for spec in layout.specs
        ]
        self._losses = np.empty(capacity)
        self._row_scale = np.empty(capacity)
        self._classes = np.empty(capacity, np.int64)
        self.loss_values = <double*>pointer(self._losses)
        self.row_scale = <double*>pointer(self._row_scale)
        self.classes = <int64_t*>pointer(self._classes)
        self.n_in, self.type_number = layout.n_in, layout.dtype.num
        self._dy = None  # made by the first backward pass: prediction needs none
        self._read_parts()

    def __dealloc__(self):
        if self.nodes != NULL:
            for i in range(self.count):
                PyMem_Free(self.nodes[i].pointers)
                PyMem_Free(self.nodes[i].offsets)
                PyMem_Free(self.nodes[i].sizes)
            PyMem_Free(self.nodes)
        PyMem_Free(self.blocks)
        PyMem_Free(self.block_bounds)

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
            node.sizes = <int64_t*>PyMem_Calloc(node.n_params + 1, sizeof(int64_t))
            if node.pointers == NULL or node.offsets == NULL or node.sizes == NULL:
                raise MemoryError
            self._kept.append(read_layer(layer, self._labels[i], self.type, &node.table))
            node.dense = node.table.body == LAYER and is_dense(&node.table.layer)
            if i > 0 and self.nodes[i - 1].dense and node.table.body == ELEMENTWISE:
                self.nodes[i - 1].under_relu = is_relu(&node.table.elementwise)
                self.nodes[i - 1].under_g = (
                    not self.nodes[i - 1].under_relu and node.table.elementwise.flags
                    & (FASTBP_ENTRIES_INDEPENDENT | FASTBP_INFALLIBLE | FASTBP_NEEDS_X)
                    == FASTBP_ENTRIES_INDEPENDENT | FASTBP_INFALLIBLE
                    and node.n_params == node.n_saved == node.n_buffers == 0)
            start_call(&node.call, 0, node.n_in, node.n_out)
            node.call.context = node.table.context
            node.call.params = <const void* const*>node.pointers
            node.call.grads = node.pointers + node.n_params
            node.call.buffers = node.pointers + 2 * node.n_params
            node.call.saved = node.pointers + 2 * node.n_params + node.n_buffers
            node.call.layer = i
            node.call.message = self.blocks[0].message
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
            node.sizes[keys.index(slot.key)] = slot.stop - slot.start
        self._kept.append(read_loss(self.loss, self._labels[self.count], self.type,
                                    &self.loss_table))
        start_call(&self.loss_call, 0, layout.n_out, layout.n_out)
        self.loss_call.context = self.loss_table.context
        self.loss_call.layer = self.count
        self.loss_call.message = self.blocks[0].message
        self.loss_call.message_size = MESSAGE_SIZE
        if not self.loss_table.python and self.loss_table.loss.scratch != NULL:
            wanted = self.loss_table.loss.scratch(
                self.loss_table.context, self.capacity, layout.n_out, self.type)
            self.loss_call.scratch_size = wanted
            scratch = max(scratch, wanted)
        self.in_c = not self.loss_table.python
        self.divisible = (self.in_c and self.loss_call.scratch_size == 0
                          and self.loss_table.loss.flags & FASTBP_ROWS_INDEPENDENT != 0)
        for i in range(self.count):
            node = &self.nodes[i]
            self.in_c = self.in_c and node.table.body != PYTHON and node.n_buffers == 0
            self.divisible = self.divisible and (node.dense or (
                node.table.body == ELEMENTWISE and node.n_params == 0
                and node.n_saved == 0 and node.n_buffers == 0
                and node.table.elementwise.flags & FASTBP_ROWS_INDEPENDENT != 0))
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

    def forward(self, x, bint training=False, out=None, int64_t first_row=0, bint exact=False):
        """E1 and E2, layer by layer: fills y and returns h_L (in `out` when given).

        Denormal numbers count as zero, unless `exact`.
        """
        cdef Pass p
        cdef int code
        start_pass(&p, <const char*>pointer(x), NULL, 1)
        self._use(len(x), training, first_row)
        if out is not None:
            p.out = <char*>pointer(out)
        p.flushes = not exact
        self._x, self._out = x, out
        with nogil:
            code = self.c_forward(&p)
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
        self.message = self.blocks[0].message
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
        cdef Pass p
        cdef Block whole
        cdef int code
        start_pass(&p, NULL, self._targets_of(targets), 1)
        whole.first, whole.rows = 0, self.rows
        self._need_dy(gradient)
        self.loss_call.row_scale = NULL
        self.message = self.blocks[0].message
        with nogil:
            code = self.loss_block(&p, &whole, gradient)
        self.failed = self.count
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
        cdef Pass p
        cdef Block whole
        cdef int code
        start_pass(&p, <const char*>pointer(x), NULL, 1)
        p.factors_only = factors_only
        whole.first, whole.rows = 0, self.rows
        self._need_gradient()
        if input_gradient is not None:
            p.dx = <char*>pointer(input_gradient)
        self._x, self._dx = x, input_gradient
        self.message = self.blocks[0].message
        with nogil:
            code = self.backward_block(&p, &whole)
            if code == FASTBP_OK and not factors_only:
                self.form_gradients(&p)
        self.failed = whole.failed
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
            self._raise_at(code, p.stage, rows, p.value)
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
        cdef update_rule u = make_rule(rule, t)
        cdef int code
        cdef char* theta = <char*>pointer(self._theta)
        self._start(&p, x, targets, weight, scale, True, None)
        u.theta = theta
        p.largest_x = INFINITY
        if len(slots) > 0:
            u.m = pointer(slots[0])
        if len(slots) > 1:
            u.v = pointer(slots[1])
        with nogil:
            code = self.c_step(&p, theta, l2, &u)
        if code:
            self._raise_at(code, p.stage, rows, p.value)
        return p.value

    def add_l2(self, double l2):
        """Add the gradient of l2 Σ ‖W_k‖² to flat, and return that term."""
        if l2 == 0 or not self.flat.size:
            return 0.0
        return self.c_l2(<const char*>pointer(self._theta), l2, self.gradient)

    # Before and after

    cdef int _use(self, int64_t rows, bint training, int64_t first_row) except -1:
        # Point everything at the first `rows` rows.
        self.c_use(rows, training, first_row)
        return self._see()

    cdef int _see(self) except -1:
        # Views of the rows of the last pass.
        if self.rows == self.rows_seen:
            return 0
        cdef int64_t rows = self.rows
        self.y = [array[:rows] for array in self._y]
        self._y_read = [read_only(array) for array in self.y]
        self.dy = None if self._dy is None else [array[:rows] for array in self._dy]
        self._contexts = [Context() for _ in range(self.count)]
        for context, saved in zip(self._contexts, self._saved):
            context.saved = {key: array[:rows] for key, array in saved.items()}
        self.rows_seen = rows
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
        self.gradient = base
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
        start_pass(p, <const char*>pointer(x), self._targets_of(targets), scale)
        if input_gradient is not None:
            p.dx = <char*>pointer(input_gradient)
        if weight is not None:
            p.weight = <const double*>pointer(weight)
        self.loss_call.row_scale = self.row_scale
        for n in range(self.rows):
            self.row_scale[n] = scale * (1 if p.weight == NULL else p.weight[n])
        return 0

    cdef const char* _targets_of(self, targets) except? NULL:
        self._targets = targets
        self.target_bytes = targets.strides[0]
        self.loss_call.target_kind = FASTBP_CLASSES if targets.dtype.kind == "i" else FASTBP_VALUES
        return <const char*>pointer(targets)

    def _raise_at(self, int code, Stage stage, rows, double value):
        self._see()
        if stage == GRADIENT and not isfinite(value):
            raise NonFiniteError(f"loss: became {value}; a smaller learning rate may help")
        if stage == GRADIENT:
            raise failures.of_gradient(self._x, self.dy, self.grads, self._labels)
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


cdef void start_pass(
        Pass* p, const char* x, const char* targets, double scale) noexcept nogil:
    # A pass over rows of weight 1 that is no step.
    p.x, p.targets, p.weight, p.out, p.dx = x, targets, NULL, NULL, NULL
    p.scale, p.value, p.factors_only, p.largest_x = scale, NAN, False, -1
    p.fuses = p.flushes = p.measures = False
    p.divided = p.divided_back = 0

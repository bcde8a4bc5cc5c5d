"""The buffers of one network: arrays for a number of rows, and where its parts' numbers stand.

They are made once for a capacity of rows and used again; a pass over fewer rows uses their first
rows. Everything handed to them has been checked.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

import numpy as np

from fastbp.kernels import product
from fastbp.kernels.context import Context
from fastbp.kernels.modes import kept_mode
from fastbp.threads.pool import num_threads
from fastbp.memory import arena, first_rows, per_row

from fastbp.kernels.builtin cimport is_dense, is_own_elementwise, is_own_loss, is_relu
from fastbp.kernels.callbacks cimport read_only
from fastbp.kernels.chain cimport MESSAGE_SIZE, Block, Node
from fastbp.kernels.descent cimport Descent
from fastbp.kernels.host cimport pointer, start_call
from fastbp.kernels.passes cimport MOST_BLOCKS
from fastbp.kernels.product cimport kernels
from fastbp.kernels.tables cimport (
    ELEMENTWISE, LAYER, PYTHON, flags_of, read_layer, read_loss,
)
from fastbp.plugin cimport (
    FASTBP_ENTRIES_INDEPENDENT, FASTBP_INFALLIBLE, FASTBP_NEEDS_X, FASTBP_ROWS_INDEPENDENT,
)


cdef class Buffers(Descent):
    """Buffers for up to `capacity` rows of one network.

    Attributes
    ----------
    rows_independent, losses_independent : bool
        Whether blocks of rows give what the whole batch gives: through the layers; through the
        loss, as far as it has one for each row.
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
        self._y = per_row(capacity, zip(layout.widths[1:]), layout.dtype)
        self._saved = []
        for spec in layout.specs:
            arrays = per_row(capacity, spec.saved.values(), layout.dtype)
            self._saved.append(dict(zip(spec.saved, arrays)))
        self._losses = np.empty(max(capacity, 1))  # of a whole batch there is one
        self._row_scale = np.empty(capacity)
        self._classes = np.empty(capacity, np.int64)
        self.loss_values = <double*>pointer(self._losses)
        self.row_scale = <double*>pointer(self._row_scale)
        self.classes = <int64_t*>pointer(self._classes)
        self.n_in, self.type_number = layout.n_in, layout.dtype.num
        self._dy = None  # made by the first backward pass: prediction needs none
        with kept_mode():  # parts' functions are called
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
        self.rows_independent = True
        self.losses_independent = self.loss_table.python or (
            self.loss_table.loss.flags & FASTBP_ROWS_INDEPENDENT != 0)
        self.foreign = self.loss_table.python or not is_own_loss(&self.loss_table.loss)
        self.divisible = (self.in_c and self.loss_call.scratch_size == 0
                          and self.loss_table.loss.flags & FASTBP_ROWS_INDEPENDENT != 0)
        for i in range(self.count):
            node = &self.nodes[i]
            self.rows_independent = (
                self.rows_independent and layout.layers[i].rows_independent
                and flags_of(&node.table) & FASTBP_ROWS_INDEPENDENT != 0)
            self.foreign = self.foreign or not (node.dense or (
                node.table.body == ELEMENTWISE and is_own_elementwise(&node.table.elementwise)))
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
        self._theta = None  # until all that follows is done: no memory may be left for some of it
        base = <char*>pointer(theta)
        for i in range(self.count):
            node = &self.nodes[i]
            for j in range(node.n_params):
                node.pointers[j] = base + node.offsets[j] * self.itemsize
            for j, array in enumerate(buffers[i].values()):
                node.pointers[2 * node.n_params + j] = pointer(array)
        # parts may look at parameters, not write: a call that fails leaves them as they were
        seen = []
        for views in params:
            seen.append({key: read_only(array) for key, array in views.items()})
        self._params, self._buffers, self._theta = seen, buffers, theta

    # What is made when it is first needed counts as made, to whoever asks next, only when all of it
    # is: there may be no memory left for some of it. Nowhere in compiled modules is there a list
    # comprehension: where the list cannot grow, Cython 3.3 lets go of the item twice
    # (github.com/cython/cython/pull/7748).

    cdef int _see(self) except -1:
        # Views of the rows of the last pass.
        if self.rows == self.rows_seen:
            return 0
        cdef int64_t rows = self.rows
        y, y_read = first_rows(self._y, rows), first_rows(self._y, rows)
        for array in y_read:
            array.flags.writeable = False
        dy = None if self._dy is None else first_rows(self._dy, rows)
        contexts = []
        for saved in self._saved:
            context = Context()
            context.saved = dict(zip(saved, first_rows(saved.values(), rows)))
            contexts.append(context)
        self.y, self._y_read, self.dy, self._contexts = y, y_read, dy, contexts
        self.rows_seen = rows
        return 0

    cdef int _need_dy(self, bint wanted) except -1:
        cdef int i
        if not wanted or self._dy is not None:
            return 0
        whole = per_row(self.capacity, zip(self.layout.widths[1:]), self.layout.dtype)
        seen = first_rows(whole, self.rows)
        for i in range(self.count):
            self.nodes[i].dy = <char*>pointer(whole[i])
        self.dy, self._dy = seen, whole
        return 0

    cdef int _need_gradient(self) except -1:
        cdef Node* node
        cdef char* base
        cdef int i, j
        if self.flat is not None:
            return 0
        flat = arena([(self.layout.size,)], self.layout.dtype)[0]
        grads = self.layout.views(flat)
        base = <char*>pointer(flat)
        for i in range(self.count):
            node = &self.nodes[i]
            for j in range(node.n_params):
                node.pointers[node.n_params + j] = base + node.offsets[j] * self.itemsize
        self.gradient, self.grads, self.flat = base, grads, flat
        return 0

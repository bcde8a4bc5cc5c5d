"""The lecture's chain, E1 to E7, run in C over a plan's buffers.

Each function here does a block of the batch's rows, or some outputs or inputs of one layer;
passes.pyx says which thread does what. A part with a C table is called without Python's lock; for
a part written in Python the lock is taken for that call alone, and the thread has the caller's
floating-point mode meanwhile.
"""

from libc.math cimport isfinite, isnan
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastbp.kernels.host cimport the_host
from fastbp.kernels.product cimport LINK_X, LINK_Y, activation, activation_g, plugin_call
from fastbp.kernels.tables cimport LAYER, PYTHON
from fastbp.plugin cimport FASTBP_NON_FINITE, FASTBP_OK

cdef activation RELU  # without a g, which is fastbp's own


cdef class Chain(Callbacks):
    cdef void enter(self, Pass* p) noexcept nogil:
        # A pass begins: with denormals as zero, or in the caller's floating-point mode. Only parts
        # of others' may leave another behind, and for small networks reading all of it takes long.
        cdef fpmode mode
        if self.foreign:
            p.mode = fpmode_get()
        if p.flushes:
            mode = fpmode_flush()
            p.mode = p.mode if self.foreign else mode

    cdef void leave(self, const Pass* p) noexcept nogil:
        # It ends, in the mode that the caller had.
        if p.flushes or self.foreign:
            fpmode_set(p.mode)

    cdef void chain_block(self, Pass* p, Block* block) noexcept nogil:
        # E1 to E7 with weights and scale.
        if self.forward_block(p, block) != FASTBP_OK:
            return
        block.stage = LOSS
        block.code = self.loss_block(p, block, True)
        if block.code != FASTBP_OK:
            return
        block.stage = OUTPUT
        if not self.good_block(p, block):
            block.code = FASTBP_NON_FINITE
            return
        self.weigh_block(p, block)
        block.stage = BACKWARD
        block.code = self.backward_block(p, block)
        if block.code == FASTBP_OK and p.measures:
            self.measure_block(p, block)

    cdef const fastbp_call* call_of(
            self, const fastbp_call* call, Block* block, fastbp_call* own) noexcept nogil:
        # The call for these rows: the layer's or the loss's own, or a copy of it.
        if block.rows == self.rows:
            return call
        memcpy(own, call, sizeof(fastbp_call))
        own.rows, own.first_row = block.rows, call.first_row + block.first
        own.message = block.message
        if own.row_scale != NULL:
            own.row_scale += block.first
        return own

    cdef int forward_block(self, Pass* p, Block* block) noexcept nogil:
        # E1, E2: y of layer i from y of layer i - 1.
        cdef int64_t first = block.first * self.itemsize
        cdef const char* x = p.x + first * self.nodes[0].n_in
        cdef fastbp_call own
        cdef const fastbp_call* call
        cdef Node* node
        cdef char* y
        cdef fpmode mode
        cdef activation g
        cdef const activation* then
        cdef int i = p.divided, code = FASTBP_OK, link = 0
        block.stage = FORWARD
        if i > 0:
            x = self.nodes[i - 1].y + first * self.nodes[i - 1].n_out
        while i < self.count:
            node = &self.nodes[i]
            then = &RELU if p.fuses and node.under_relu else NULL
            block.failed = i
            i += 1 if then == NULL else 2
            y = self.nodes[i - 1].y if p.out == NULL or i < self.count else p.out
            y += first * node.n_out
            if node.dense:  # E1, or E1 and E2
                if p.fuses and node.under_g:
                    g.g = <activation_g>self.nodes[i].table.elementwise.f[self.type]
                    g.call = <const plugin_call*>self.call_of(&self.nodes[i].call, block, &own)
                    g.h = self.nodes[i].y + first * node.n_out
                    then = &g
                    i += 1
                link = LINK_X if link & LINK_Y else 0
                if i < self.count and self.nodes[i].dense:
                    link |= LINK_Y
                self.own.affine(
                    block.rows, node.n_in, node.n_out, x, node.pointers[node.weight],
                    node.pointers[1 - node.weight] if node.n_params > 1 else NULL, then, link, y,
                    node.n_out)
                if then == &g:
                    y = <char*>g.h
            elif node.table.body == PYTHON:
                mode = step_out(p)
                code = self.py_forward(i - 1, p.out != NULL)
                fpmode_set(mode)
            else:
                call = self.call_of(&node.call, block, &own)
                if node.table.body == LAYER:
                    code = node.table.layer.forward[self.type](call, x, y)
                else:
                    code = node.table.elementwise.f[self.type](
                        call, block.rows * node.n_out, x, y)
            if code != FASTBP_OK:
                break
            x = y
        block.code = code
        return code

    cdef int loss_block(self, Pass* p, Block* block, bint gradient) noexcept nogil:
        # E3 and E5 on the last y; of a loss over the whole batch, its first number is the only one.
        cdef Node* last = &self.nodes[self.count - 1]
        cdef int64_t at = block.first * last.n_out * self.itemsize
        cdef fastbp_call own
        cdef fpmode mode
        cdef int code
        block.failed = self.count
        if self.loss_table.whole_batch and block.rows == 0:
            self.loss_values[0] = 0
            return FASTBP_OK
        if self.loss_table.python:
            mode = step_out(p)
            code = self.py_losses(gradient)
            fpmode_set(mode)
            return code
        return self.loss_table.loss.loss_and_delta[self.type](
            self.call_of(&self.loss_call, block, &own), last.y + at,
            p.targets + block.first * self.target_bytes, self.loss_values + block.first,
            last.dy + at if gradient else NULL)

    cdef bint good_block(self, const Pass* p, Block* block) noexcept nogil:
        # Whether no loss is NaN and no gradient w.r.t. h_L is NaN or infinite.
        cdef Node* last = &self.nodes[self.count - 1]
        cdef const char* dy = last.dy + block.first * last.n_out * self.itemsize
        cdef int64_t n, size = block.rows * last.n_out
        for n in range(block.first, block.first + (
                1 if self.loss_table.whole_batch else block.rows)):
            if isnan(self.loss_values[n]):
                return False
        return isfinite(self.own.bound(size, dy) if p.flushes else self.own.largest(size, dy))

    cdef void weigh_block(self, const Pass* p, Block* block) noexcept nogil:
        # delta_n *= scale w_n.
        cdef Node* last = &self.nodes[self.count - 1]
        cdef char* delta = last.dy + block.first * last.n_out * self.itemsize
        cdef int64_t rows = block.rows, n = last.n_out
        if self.loss_table.whole_batch or p.weight == NULL and p.scale == 1:
            return
        if p.weight == NULL:  # one scale for all
            rows, n = 1, rows * n
        self.own.scale_rows(rows, n, self.row_scale + block.first, delta)

    cdef int backward_block(self, Pass* p, Block* block) noexcept nogil:
        # E6 and E7, from the last dy down; other layers' own backward.
        cdef int64_t first = block.first * self.itemsize
        cdef fastbp_call own
        cdef const fastbp_call* call
        cdef Node* node
        cdef const char* x
        cdef const char* y
        cdef const char* dy
        cdef char* dx
        cdef char* sums
        cdef fpmode mode
        cdef bint relu
        cdef int i = self.count, code = FASTBP_OK
        while i > p.divided_back:
            i -= 1
            node = &self.nodes[i]
            x = (<const char*>self.nodes[i - 1].y if i else p.x) + first * node.n_in
            dx = self.nodes[i - 1].dy if i else p.dx
            if dx != NULL:
                dx += first * node.n_in
            y, dy = node.y + first * node.n_out, node.dy + first * node.n_out
            block.failed = i
            if node.dense:
                relu = p.fuses and i > 1 and self.nodes[i - 2].under_relu
                sums = NULL
                if relu:  # E6 and E7, and half of E9
                    i -= 1
                    dx = self.nodes[i - 1].dy + first * node.n_in
                    sums = self.bias_sums(p, i - 1)
                    if sums != NULL:
                        sums += first // self.own.sum_rows * node.n_in
                if dx != NULL:  # E6
                    self.own.upstream(
                        block.rows, node.n_in, node.n_out, dy, node.pointers[node.weight],
                        x if relu else NULL, dx, sums, node.n_in)
            elif p.factors_only and node.affine:
                if dx != NULL:
                    the_host().gemm[self.type](
                        0, 0, block.rows, node.n_in, node.n_out, 1, dy, node.n_out,
                        node.pointers[node.weight], node.n_in, 0, dx, node.n_in)
            elif node.table.body == PYTHON:
                mode = step_out(p)
                code = self.py_backward(i, dx != NULL)
                fpmode_set(mode)
            else:
                call = self.call_of(&node.call, block, &own)
                if node.table.body == LAYER:
                    code = node.table.layer.backward[self.type](call, x, y, dy, dx)
                elif dx != NULL:
                    code = self.elementwise_backward(
                        node, call, block.rows * node.n_out, x, y, dy, dx)
            if code != FASTBP_OK:
                break
        return code

    cdef char* bias_sums(self, const Pass* p, int i) noexcept nogil:
        # Where E6 puts sums over each sum_rows rows of layer i's delta, which E9 adds up: where the
        # dy of the ReLU upon it would be, which is not kept then. NULL: there are none.
        if (self.rows > 1 and p.fuses and self.own.sum_rows > 1 and self.nodes[i].under_relu
                and i + 2 < self.count and self.nodes[i + 2].dense):
            return self.nodes[i + 1].dy
        return NULL

    cdef int elementwise_backward(
            self, Node* node, const fastbp_call* call, int64_t n, const char* x, const char* y,
            const char* dy, char* dx) noexcept nogil:
        # E7: dx = dy * g'(x).
        cdef int code
        if node.table.elementwise.backward[self.type] != NULL:
            return node.table.elementwise.backward[self.type](call, n, x, y, dy, dx)
        code = node.table.elementwise.df[self.type](call, n, x, y, dx)
        if code == FASTBP_OK:
            self.own.multiply(n, dy, dx)
        return code

    cdef void measure_block(self, Pass* p, Block* block) noexcept nogil:
        # Bounds of |h| and |delta| of every dense layer, while they are in the cache.
        cdef int64_t first = block.first * self.itemsize
        cdef Node* node
        cdef const char* h
        cdef int i
        for i in range(self.count):
            node = &self.nodes[i]
            if not node.dense:
                continue
            h = (<const char*>self.nodes[i - 1].y if i else p.x) + first * node.n_in
            block.bounds[2 * i] = p.largest_x
            if i > 0 or not isfinite(p.largest_x):
                block.bounds[2 * i] = self.own.bound(block.rows * node.n_in, h)
            # of dy that upstream_inputs brings, the bound too
            block.bounds[2 * i + 1] = 0 if i + 1 < p.divided_back else self.own.bound(
                block.rows * node.n_out, node.dy + first * node.n_out)

    # Some numbers of every row, of fastbp's own dense layers

    cdef void affine_outputs(
            self, const Pass* p, int i, int64_t first, int64_t n) noexcept nogil:
        # E1, or E1 and E2, of some of layer i's outputs.
        cdef Node* node = &self.nodes[i]
        cdef bint relu = p.fuses and node.under_relu
        cdef char* y = self.nodes[i + 1].y if relu else node.y
        if n == 0:
            return
        self.own.affine(
            self.rows, node.n_in, n, <const char*>self.nodes[i - 1].y if i else p.x,
            <char*>node.pointers[node.weight] + first * node.n_in * self.itemsize,
            (<char*>node.pointers[1 - node.weight] + first * self.itemsize
             if node.n_params > 1 else NULL),
            &RELU if relu else NULL, 0, y + first * self.itemsize, node.n_out)

    cdef void upstream_inputs(
            self, const Pass* p, int i, int64_t first, int64_t n, double* bounds) noexcept nogil:
        # E6, or E6 and E7, of some of layer i's inputs; a bound of what comes out, in a block's.
        cdef Node* node = &self.nodes[i]
        cdef bint relu = p.fuses and i > 1 and self.nodes[i - 2].under_relu
        cdef int below = i - 2 if relu else i - 1  # the layer whose dy comes out
        cdef int64_t at = first * self.itemsize, row
        cdef char* dx = (self.nodes[below].dy if i else p.dx) + at
        cdef char* sums = self.bias_sums(p, below) if relu else NULL
        cdef double bound = 0
        if n > 0:
            self.own.upstream(
                self.rows, n, node.n_out, node.dy, <char*>node.pointers[node.weight] + at,
                self.nodes[i - 1].y + at if relu else NULL, dx,
                sums + at if sums != NULL else NULL, node.n_in)
        if p.measures and i > 0:  # as measure_block does
            for row in range(self.rows):
                bound += self.own.bound(n, dx + row * node.n_in * self.itemsize)
            bounds[2 * below + 1] = bound


cdef fpmode step_out(const Pass* p) noexcept nogil:
    # The pass's mode, to return to; the caller's is set. Outside the calls that take Python's lock,
    # so that objects dying there are met by the caller's too.
    cdef fpmode mode = fpmode_get()
    fpmode_set(p.mode)
    return mode

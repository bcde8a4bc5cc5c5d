"""The lecture's chain, E1 to E7, run in C over a plan's buffers.

It goes row by row, so the batch is divided into blocks of rows, each of which runs through all of
it on one thread. Of the first layers, where they have many weights for the batch, threads divide
the outputs instead, and the inputs on the way back. Neither changes a bit. A part with a C table is
called without Python's lock; for a part written in Python the lock is taken for that call alone.

In a step and in a forward pass for its own sake denormal numbers count as zero, since some
processors take ten times as long with them. Afterwards, and for each part written in Python, the
thread has the caller's floating-point mode. What gives gradients, losses or y_hat to users runs in
that mode.
"""

from libc.math cimport isfinite, isnan
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from fastbp.kernels.host cimport the_host
from fastbp.kernels.product cimport LINK_X, LINK_Y, activation, activation_g, plugin_call
from fastbp.kernels.tables cimport LAYER, PYTHON
from fastbp.kernels.threads cimport c_pool_run, c_pool_shares, c_threads, pool_task
from fastbp.plugin cimport FASTBP_NON_FINITE, FASTBP_OK

# Rows that run through the chain together, so that what they leave for the next layer is still in
# the cache, where all parameters (BLOCK_BYTES) are in the cache too; a multiple of every register's
# width. 256 were up to 10% faster than 96. In blocks of 96, 1024-2048-2048-1000 at 512 rows was 15%
# slower, reading its weights 6 times.
cdef int64_t BLOCK_ROWS = 256
cdef int64_t BLOCK_BYTES = 500_000

# Multiply-adds of E1 from which a pass is worth a second thread: some 20 us of one.
cdef int64_t SHARED_WORK = 1_000_000

# Numbers of W from which on layers after the first are divided by outputs and inputs: then two
# threads take 0.97 of the time at 784-320-256-10 on 64 rows, and 0.81 at 784-1024-1024-10.
cdef int64_t DIVIDED_LEAST = 1 << 16

cdef activation RELU  # without a g, which is fastbp's own


cdef void run_forward(void* context, int part) noexcept nogil:
    cdef Task* task = <Task*>context
    cdef Block* block = &(<Chain>task.chain).blocks[part]
    if block.rows > 0 or (<Chain>task.chain).rows == 0:
        (<Chain>task.chain).forward_block(task.p, block)


cdef void run_chain(void* context, int part) noexcept nogil:
    cdef Task* task = <Task*>context
    cdef Block* block = &(<Chain>task.chain).blocks[part]
    if block.rows > 0 or (<Chain>task.chain).rows == 0:
        (<Chain>task.chain).chain_block(task.p, block)


cdef void run_affine(void* context, int part) noexcept nogil:
    cdef Task* task = <Task*>context
    (<Chain>task.chain).affine_share(task.p, task.layer, part)


cdef void run_upstream(void* context, int part) noexcept nogil:
    cdef Task* task = <Task*>context
    (<Chain>task.chain).upstream_share(task.p, task.layer, part)


cdef class Chain(Callbacks):
    cdef void c_use(self, int64_t rows, bint training, int64_t first_row) noexcept nogil:
        # What every call of this pass says, and how its rows are divided.
        cdef Node* node
        cdef int i
        self.training, self.rows, self.first_row = training, rows, first_row
        for i in range(self.count):
            node = &self.nodes[i]
            node.call.rows, node.call.first_row, node.call.training = rows, first_row, training
            node.call.seed, node.call.step = self.seed, self.step
        self.loss_call.rows, self.loss_call.first_row = rows, first_row
        self.loss_call.training = training
        self.loss_call.seed, self.loss_call.step = self.seed, self.step
        self.threads = self.n_blocks = 1
        self.blocks[0].first, self.blocks[0].rows, self.blocks[0].message[0] = 0, rows, 0
        if self.divisible and rows > 1:
            self.divide_rows()

    cdef void divide_rows(self) noexcept nogil:
        # The pass's threads, their shares, and blocks of rows: a thread's share or, where they are
        # more, of equal size; of whole registers. A share may be empty.
        cdef int64_t blocks, size = 0, start = 0, stop
        cdef Block* block
        if self.rows * self.size >= SHARED_WORK:
            self.threads = min(c_threads(), <int>MOST_BLOCKS)
            if 0 < self.most_threads < self.threads:
                self.threads = self.most_threads
        if self.threads > 1:
            c_pool_shares(self.threads, self.upto)
        blocks = self.threads
        if self.size * self.itemsize <= BLOCK_BYTES:
            blocks = max(blocks, min(1 + (self.rows - 1) // BLOCK_ROWS, <int64_t>MOST_BLOCKS))
        if blocks == 1:
            return
        if blocks > self.threads:
            size = ((self.rows + blocks - 1) // blocks + 15) // 16 * 16
        self.n_blocks = 0
        while start < self.rows or self.n_blocks < self.threads:
            block = &self.blocks[self.n_blocks]
            self.n_blocks += 1
            stop = self.n_blocks * size if size else self.share(self.n_blocks, self.rows, 16)
            if self.rows - stop <= 1:  # a row alone would be added up in another order
                stop = self.rows
            block.first, block.rows, block.message[0] = start, stop - start, 0
            block.code = FASTBP_OK
            if start == stop:
                memset(block.bounds, 0, 2 * self.count * sizeof(double))
            start = stop

    cdef int64_t share(self, int part, int64_t n, int64_t unit) noexcept nogil:
        # Where the share of that thread begins and the one before it ends, of n, by whole units.
        if part >= self.threads:
            return n
        return min(n, <int64_t>(self.upto[part] * n / unit + .5) * unit)

    cdef int c_forward(self, Pass* p) noexcept nogil:
        # E1 and E2.
        cdef int code
        if not p.flushes:
            return self.run_blocks(p, run_forward)
        p.mode = fpmode_flush()
        code = self.run_blocks(p, run_forward)
        fpmode_set(p.mode)
        return code

    cdef int c_rows(self, Pass* p) noexcept nogil:
        # E1 to E7: the first, large layers by numbers of a row, all others by rows.
        cdef Task task
        cdef int i, code
        p.divided = p.divided_back = 0
        if 1 < self.threads == self.n_blocks:
            self.divide_layers(p)
        task.chain, task.p = <void*>self, p
        for i in range(p.divided):
            if self.nodes[i].dense:
                task.layer = i
                self.give(self.nodes[i].n_out, 8)
                c_pool_run(self.threads, self.threads, self.given, run_affine, &task)
        code = self.run_blocks(p, run_chain)
        if code != FASTBP_OK:
            return code
        for i in range(p.divided_back - 1, -1, -1):
            if self.nodes[i].dense and (i > 0 or p.dx != NULL):
                task.layer = i
                self.give(self.nodes[i].n_in, 16)
                c_pool_run(self.threads, self.threads, self.given, run_upstream, &task)
        return FASTBP_OK

    cdef void divide_layers(self, Pass* p) noexcept nogil:
        # How many layers have their E1 divided by outputs, and their E6 by inputs; none has this if
        # only the first would.
        cdef Node* node
        cdef int i = 0
        while i < self.count:
            node = &self.nodes[i]
            if not (node.dense and self.by_numbers(node, i == 0)):
                break
            if i > 0:
                p.divided_back = i + 1
            i += 2 if p.fuses and node.under_relu else 1
            p.divided = i

    cdef bint by_numbers(self, const Node* node, bint first) noexcept nogil:
        # Whether cores then have less of x and h to hand over than else of W.
        cdef int64_t size = node.n_in * node.n_out, least = 32 * self.threads
        if node.n_out < least or self.rows * (node.n_in + node.n_out) >= size:
            return False
        return first or (node.n_in >= least and size >= DIVIDED_LEAST)

    cdef void give(self, int64_t n, int64_t unit) noexcept nogil:
        # What the next job gives each thread.
        cdef int part
        for part in range(self.threads + 1):
            self.given[part] = self.share(part, n, unit) / <double>n

    cdef void affine_share(self, const Pass* p, int i, int part) noexcept nogil:
        # E1, or E1 and E2, of some of layer i's outputs.
        cdef Node* node = &self.nodes[i]
        cdef bint relu = p.fuses and node.under_relu
        cdef char* y = self.nodes[i + 1].y if relu else node.y
        cdef int64_t first = self.share(part, node.n_out, 8)
        cdef int64_t outputs = self.share(part + 1, node.n_out, 8) - first
        if outputs == 0:
            return
        self.own.affine(
            self.rows, node.n_in, outputs, <const char*>self.nodes[i - 1].y if i else p.x,
            <char*>node.pointers[node.weight] + first * node.n_in * self.itemsize,
            (<char*>node.pointers[1 - node.weight] + first * self.itemsize
             if node.n_params > 1 else NULL),
            &RELU if relu else NULL, 0, y + first * self.itemsize, node.n_out)

    cdef void upstream_share(self, const Pass* p, int i, int part) noexcept nogil:
        # E6, or E6 and E7, of some of layer i's inputs.
        cdef Node* node = &self.nodes[i]
        cdef bint relu = p.fuses and i > 1 and self.nodes[i - 2].under_relu
        cdef int below = i - 2 if relu else i - 1  # the layer whose dy comes out
        cdef int64_t first = self.share(part, node.n_in, 16)
        cdef int64_t inputs = self.share(part + 1, node.n_in, 16) - first
        cdef int64_t at = first * self.itemsize
        cdef char* dx = (self.nodes[below].dy if i else p.dx) + at
        cdef char* sums = self.bias_sums(p, below) if relu else NULL
        cdef double bound = 0
        cdef int64_t n
        if inputs > 0:
            self.own.upstream(
                self.rows, inputs, node.n_out, node.dy, <char*>node.pointers[node.weight] + at,
                self.nodes[i - 1].y + at if relu else NULL, dx,
                sums + at if sums != NULL else NULL, node.n_in)
        if p.measures and i > 0:  # as measure_block does
            for n in range(self.rows):
                bound += self.own.bound(inputs, dx + n * node.n_in * self.itemsize)
            self.blocks[part].bounds[2 * below + 1] = bound

    # Blocks of rows

    cdef int run_blocks(self, Pass* p, pool_task task) noexcept nogil:
        # Every block, on the pass's threads; then the first failure, if any.
        cdef Task it
        cdef int i
        it.chain, it.p = <void*>self, p
        if self.n_blocks == 1:
            task(&it, 0)
        elif self.n_blocks == self.threads:
            self.give(self.rows, 16)
            c_pool_run(self.threads, self.threads, self.given, task, &it)
        else:
            c_pool_run(self.threads, self.n_blocks, NULL, task, &it)
        for i in range(self.n_blocks):
            if self.blocks[i].code != FASTBP_OK:
                p.stage, self.failed = self.blocks[i].stage, self.blocks[i].failed
                self.message = self.blocks[i].message
                return self.blocks[i].code
        return FASTBP_OK

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
                mode = leave(p)
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
        # E3 and E5 on the last y.
        cdef Node* last = &self.nodes[self.count - 1]
        cdef int64_t at = block.first * last.n_out * self.itemsize
        cdef fastbp_call own
        cdef fpmode mode
        cdef int code
        block.failed = self.count
        if self.loss_table.python:
            mode = leave(p)
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
        for n in range(block.first, block.first + block.rows):
            if isnan(self.loss_values[n]):
                return False
        return isfinite(self.own.bound(size, dy) if p.flushes else self.own.largest(size, dy))

    cdef void weigh_block(self, const Pass* p, Block* block) noexcept nogil:
        # delta_n *= scale w_n.
        cdef Node* last = &self.nodes[self.count - 1]
        cdef char* delta = last.dy + block.first * last.n_out * self.itemsize
        cdef int64_t rows = block.rows, n = last.n_out
        if p.weight == NULL and p.scale == 1:
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
                mode = leave(p)
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
            # of dy that upstream_share brings, the bound too
            block.bounds[2 * i + 1] = 0 if i + 1 < p.divided_back else self.own.bound(
                block.rows * node.n_out, node.dy + first * node.n_out)


cdef fpmode leave(const Pass* p) noexcept nogil:
    # The pass's mode, to return to; the caller's is set. Outside the calls that take Python's lock,
    # so that objects dying there are met by the caller's too.
    cdef fpmode mode = fpmode_get()
    if p.flushes:
        fpmode_set(p.mode)
    return mode

"""One pass of the lecture's chain, divided over threads.

The chain goes row by row, so the batch is divided into blocks of rows, each of which runs through
all of it on one thread. Of the first layers, where they have many weights for the batch, threads
divide the outputs instead, and the inputs on the way back. Neither changes a bit.

In a step and in a forward pass for its own sake denormal numbers count as zero, since some
processors take ten times as long with them. What gives gradients, losses or y_hat to users runs in
the caller's floating-point mode, which the thread has after every pass, whatever parts do to it.
"""

from libc.stdint cimport int64_t
from libc.string cimport memset

from fastbp.kernels.chain cimport Block, Chain, Node, Pass
from fastbp.threads.pool cimport c_pool_run, c_shares, c_threads, pool_task
from fastbp.plugin cimport FASTBP_OK

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


cdef void run_forward(void* context, int part) noexcept nogil:
    cdef Task* task = <Task*>context
    cdef Block* block = &(<Passes>task.passes).blocks[part]
    if block.rows > 0 or (<Passes>task.passes).rows == 0:
        (<Passes>task.passes).forward_block(task.p, block)


cdef void run_chain(void* context, int part) noexcept nogil:
    cdef Task* task = <Task*>context
    cdef Block* block = &(<Passes>task.passes).blocks[part]
    if block.rows > 0 or (<Passes>task.passes).rows == 0:
        (<Passes>task.passes).chain_block(task.p, block)


cdef void run_affine(void* context, int part) noexcept nogil:
    cdef Task* task = <Task*>context
    (<Passes>task.passes).affine_share(task, part)


cdef void run_upstream(void* context, int part) noexcept nogil:
    cdef Task* task = <Task*>context
    (<Passes>task.passes).upstream_share(task, part)


cdef class Passes(Chain):
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
            c_shares(self.threads, self.upto)
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
        self.enter(p)
        code = self.run_blocks(p, run_forward)
        self.leave(p)
        return code

    cdef int c_rows(self, Pass* p) noexcept nogil:
        # E1 to E7: the first, large layers by numbers of a row, all others by rows.
        cdef Task task
        cdef int i, code
        p.divided = p.divided_back = 0
        if 1 < self.threads == self.n_blocks:
            self.divide_layers(p)
        task.passes, task.p = <void*>self, p
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

    cdef void affine_share(self, const Task* task, int part) noexcept nogil:
        # E1, or E1 and E2, of a thread's share of the layer's outputs.
        cdef int64_t n_out = self.nodes[task.layer].n_out
        cdef int64_t first = self.share(part, n_out, 8)
        self.affine_outputs(task.p, task.layer, first, self.share(part + 1, n_out, 8) - first)

    cdef void upstream_share(self, const Task* task, int part) noexcept nogil:
        # E6, or E6 and E7, of a thread's share of the layer's inputs.
        cdef int64_t n_in = self.nodes[task.layer].n_in
        cdef int64_t first = self.share(part, n_in, 16)
        self.upstream_inputs(task.p, task.layer, first, self.share(part + 1, n_in, 16) - first,
                             self.blocks[part].bounds)

    cdef int run_blocks(self, Pass* p, pool_task task) noexcept nogil:
        # Every block, on the pass's threads; then the first failure, if any.
        cdef Task it
        cdef int i
        it.passes, it.p = <void*>self, p
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

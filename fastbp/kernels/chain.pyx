"""The lecture's chain, E1 to E9 and the step, run in C over a plan's buffers.

E1 to E7 are row by row, so the batch is divided into blocks of rows, each of which runs through the
whole chain on one thread; E8 and E9, sums over the batch, are divided by the rows of their results.
Neither changes a bit. A part with a C table is called without Python's lock; for a part written in
Python the lock is taken for that call alone.

In a step and in a forward pass for its own sake denormal numbers count as zero, since some
processors take ten times as long with them. Afterwards, and for each part written in Python, the
thread has the caller's floating-point mode. What gives gradients, losses or y_hat to users runs in
that mode.
"""

from libc.math cimport isfinite, isnan
from libc.stdint cimport int64_t
from libc.string cimport memcpy

import numpy as np

from fastbp.kernels.host cimport the_host
from fastbp.kernels.product cimport RULE_NONE, RULE_SGD, STEP_DEPTH, update_rule
from fastbp.kernels.tables cimport LAYER, PYTHON
from fastbp.kernels.threads cimport c_pool_run, c_threads, pool_task
from fastbp.plugin cimport FASTBP_ERROR, FASTBP_NON_FINITE, FASTBP_OK

cdef extern from "src/scan.h" nogil:
    void scale_rows_float(float* delta, const double* scale, int64_t rows, int64_t n)
    void scale_rows_double(double* delta, const double* scale, int64_t rows, int64_t n)
    void multiply_float(float* dx, const float* dy, int64_t n)
    void multiply_double(double* dx, const double* dy, int64_t n)
    double add_l2_float(float* dW, const float* W, double l2, int64_t n)
    double add_l2_double(double* dW, const double* W, double l2, int64_t n)

# A gradient whose entries are surely below this is finite, whatever the order of its sums.
cdef double[2] BOUND = [1e37, 1e306]

# Rows that run through the chain together, so that what they leave for the next layer is still in
# the cache, where all parameters (BLOCK_BYTES) are in the cache too; a multiple of every register's
# width. 1024-2048-2048-1000 at 512 rows is 15% slower in such blocks, reading its weights 6 times.
cdef int64_t BLOCK_ROWS = 256
cdef int64_t BLOCK_BYTES = 500_000

# Multiply-adds of E1 from which a pass is worth a second thread: some 20 us of one.
cdef int64_t SHARED_WORK = 1_000_000

cdef void run_forward(void* context, int part) noexcept nogil:
    cdef Task* task = <Task*>context
    (<Chain>task.chain).forward_block(task.p, &(<Chain>task.chain).blocks[part])


cdef void run_chain(void* context, int part) noexcept nogil:
    cdef Task* task = <Task*>context
    (<Chain>task.chain).chain_block(task.p, &(<Chain>task.chain).blocks[part])


cdef void run_weight_gradient(void* context, int part) noexcept nogil:
    # Layer by layer, as many parts of each as there are threads.
    cdef Task* task = <Task*>context
    cdef int threads = (<Chain>task.chain).threads, i = part // threads
    cdef Node* node = &(<Chain>task.chain).nodes[i]
    cdef int64_t size = (node.n_out + threads - 1) // threads, first
    size = (size + 15) // 16 * 16
    first = part % threads * size
    if node.dense and first < node.n_out:
        (<Chain>task.chain).weight_gradient(task, i, first, min(size, node.n_out - first))


cdef void run_update(void* context, int part) noexcept nogil:
    cdef Task* task = <Task*>context
    cdef int64_t size = (<Chain>task.chain).size, threads = (<Chain>task.chain).threads, share
    share = ((size + threads - 1) // threads + 15) // 16 * 16
    (<Chain>task.chain).update(task, part * share, min(size, (part + 1) * share), False)


cdef class Chain:
    cdef void c_use(self, int64_t rows, bint training, int64_t first_row) noexcept nogil:
        # What every call of this pass says, and how its rows are divided.
        cdef Node* node
        cdef int i
        cdef int64_t size, start = 0
        self.training, self.rows = training, rows
        for i in range(self.count):
            node = &self.nodes[i]
            node.call.rows, node.call.first_row, node.call.training = rows, first_row, training
            node.call.seed, node.call.step = self.seed, self.step
        self.loss_call.rows, self.loss_call.first_row = rows, first_row
        self.loss_call.training = training
        self.loss_call.seed, self.loss_call.step = self.seed, self.step
        self.threads = 1
        if self.divisible and rows > 1 and rows * self.size >= SHARED_WORK:
            self.threads = c_threads()
            if 0 < self.most_threads < self.threads:
                self.threads = self.most_threads
        size = rows
        if self.divisible and rows > 1:
            # of equal size, for equal threads, and of whole registers
            self.n_blocks = self.threads
            if self.size * self.itemsize <= BLOCK_BYTES:
                self.n_blocks = <int>max(self.threads, (rows + BLOCK_ROWS - 1) // BLOCK_ROWS)
            self.n_blocks = min(self.n_blocks, <int>MOST_BLOCKS)
            if self.n_blocks > 1:
                size = (rows + self.n_blocks - 1) // self.n_blocks
                size = (size + 15) // 16 * 16
        self.n_blocks = 0
        while start < rows or self.n_blocks == 0:
            if rows - start <= size + 1:  # a row alone would be added up in another order
                size = rows - start
            self.blocks[self.n_blocks].first = start
            self.blocks[self.n_blocks].rows = size
            self.blocks[self.n_blocks].message[0] = 0
            start += size
            self.n_blocks += 1

    cdef int c_forward(self, Pass* p) noexcept nogil:
        # E1 and E2.
        cdef int code
        if not p.flushes:
            return self.run_blocks(p, run_forward)
        p.mode = fpmode_flush()
        code = self.run_blocks(p, run_forward)
        fpmode_set(p.mode)
        return code

    cdef int c_chain(self, Pass* p) noexcept nogil:
        # E1 to E9, p.value being the loss.
        cdef int code = self.run_blocks(p, run_chain)
        cdef int64_t n
        if code != FASTBP_OK:
            return code
        p.value = 0
        for n in range(self.rows):
            p.value += (1 if p.weight == NULL else p.weight[n]) * self.loss_values[n]
        p.value *= p.scale
        if p.largest_x < 0 and not p.factors_only:
            self.form_gradients(p)
        return FASTBP_OK

    cdef void form_gradients(self, Pass* p) noexcept nogil:
        # E8 and E9 of fastbp's own dense layers, into flat.
        cdef Task task
        task.p, task.theta = p, NULL
        self.weight_gradients(&task)

    cdef int c_step(
            self, Pass* p, char* theta, double l2, const update_rule* rule) noexcept nogil:
        # The whole step, with denormals as zero.
        cdef Stage stage
        cdef double value
        cdef int code
        p.mode, p.flushes, p.fuses = fpmode_flush(), True, self.in_c
        code = self.flushed_step(p, theta, l2, rule)
        if code == FASTBP_NON_FINITE and p.fuses and (p.stage == OUTPUT or p.stage == GRADIENT):
            # once more, to leave every array behind in which it may have begun
            stage, value, p.fuses = p.stage, p.value, False
            if self.c_chain(p) == FASTBP_OK:
                self.form_gradients(p)
                self.c_add_l2(theta, <char*>self.gradient, l2)
            p.stage, p.value = stage, value
        fpmode_set(p.mode)
        return code

    cdef int flushed_step(
            self, Pass* p, char* theta, double l2, const update_rule* rule) noexcept nogil:
        # E1 to E9 and the optimizer's step. SGD takes weights along E8 without forming it, where
        # nothing can fail any more. What has no bound is looked at before the step, which comes
        # last. Without a rule the gradient is left in flat.
        cdef Task task
        cdef bint good
        cdef int code = self.c_chain(p)
        if code != FASTBP_OK:
            return code
        p.value += self.c_penalty(theta, l2)
        p.stage = GRADIENT
        if not isfinite(p.value):
            return FASTBP_NON_FINITE
        good = rule.kind != RULE_NONE and self.bounded(p, rule, l2)
        task.chain, task.p, task.theta = <void*>self, p, NULL
        memcpy(&task.rule, rule, sizeof(update_rule))
        memcpy(&task.decayed, rule, sizeof(update_rule))
        if good and rule.kind == RULE_SGD and self.rows <= STEP_DEPTH and self.apart(p.x, theta):
            p.stage = DONE
            task.theta = theta
            task.decayed.decay += 2 * l2
            self.weight_gradients(&task)
            self.update(&task, 0, self.size, True)
            return FASTBP_OK
        self.weight_gradients(&task)
        if good:
            task.decayed.decay += 2 * l2
        else:
            self.c_add_l2(theta, <char*>self.gradient, l2)
            if not isfinite(self.own.largest(self.size, self.gradient)):
                return FASTBP_NON_FINITE
        p.stage = DONE
        if rule.kind == RULE_NONE:
            return FASTBP_OK
        task.theta = theta
        if self.threads > 1:
            c_pool_run(self.threads, self.threads, run_update, &task)
        else:
            self.update(&task, 0, self.size, False)
        return FASTBP_OK

    # Blocks of rows

    cdef int run_blocks(self, Pass* p, pool_task task) noexcept nogil:
        # Every block, on the pass's threads; then the first failure, if any.
        cdef Task it
        cdef int i
        it.chain, it.p = <void*>self, p
        if self.n_blocks == 1:
            task(&it, 0)
        else:
            c_pool_run(self.threads, self.n_blocks, task, &it)
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
        if not self.good_block(block):
            block.code = FASTBP_NON_FINITE
            return
        self.weigh_block(block)
        block.stage = BACKWARD
        block.code = self.backward_block(p, block)
        if block.code == FASTBP_OK and p.largest_x >= 0:
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
        cdef bint relu
        cdef int i = 0, code = FASTBP_OK
        block.stage = FORWARD
        while i < self.count:
            node = &self.nodes[i]
            relu = p.fuses and node.under_relu
            block.failed = i
            i += 2 if relu else 1
            y = self.nodes[i - 1].y if p.out == NULL or i < self.count else p.out
            y += first * node.n_out
            if node.dense:  # E1, or E1 and E2
                self.own.affine(
                    block.rows, node.n_in, node.n_out, x, node.pointers[node.weight],
                    node.pointers[1 - node.weight] if node.n_params > 1 else NULL, relu, y)
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

    cdef bint good_block(self, Block* block) noexcept nogil:
        # Whether no loss is NaN and no gradient w.r.t. h_L is NaN or infinite.
        cdef Node* last = &self.nodes[self.count - 1]
        cdef int64_t n
        for n in range(block.first, block.first + block.rows):
            if isnan(self.loss_values[n]):
                return False
        return isfinite(self.own.largest(
            block.rows * last.n_out, last.dy + block.first * last.n_out * self.itemsize))

    cdef void weigh_block(self, Block* block) noexcept nogil:
        # delta_n *= scale w_n.
        cdef Node* last = &self.nodes[self.count - 1]
        cdef char* delta = last.dy + block.first * last.n_out * self.itemsize
        cdef const double* scale = self.row_scale + block.first
        if self.type:
            scale_rows_double(<double*>delta, scale, block.rows, last.n_out)
        else:
            scale_rows_float(<float*>delta, scale, block.rows, last.n_out)

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
        cdef fpmode mode
        cdef bint relu
        cdef int i = self.count, code = FASTBP_OK
        while i > 0:
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
                if relu:  # E6 and E7
                    i -= 1
                    dx = self.nodes[i - 1].dy + first * node.n_in
                if dx != NULL:  # E6
                    self.own.upstream(
                        block.rows, node.n_in, node.n_out, dy, node.pointers[node.weight],
                        x if relu else NULL, dx)
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

    cdef int elementwise_backward(
            self, Node* node, const fastbp_call* call, int64_t n, const char* x, const char* y,
            const char* dy, char* dx) noexcept nogil:
        # E7: dx = dy * g'(x).
        cdef int code
        if node.table.elementwise.backward[self.type] != NULL:
            return node.table.elementwise.backward[self.type](call, n, x, y, dy, dx)
        code = node.table.elementwise.df[self.type](call, n, x, y, dx)
        if code == FASTBP_OK:
            if self.type:
                multiply_double(<double*>dx, <const double*>dy, n)
            else:
                multiply_float(<float*>dx, <const float*>dy, n)
        return code

    cdef void measure_block(self, Pass* p, Block* block) noexcept nogil:
        # max |h| and max |delta| of every dense layer, while they are in the cache.
        cdef int64_t first = block.first * self.itemsize
        cdef Node* node
        cdef int i
        for i in range(self.count):
            node = &self.nodes[i]
            if node.dense:
                block.largest[2 * i] = p.largest_x if i == 0 else self.own.largest(
                    block.rows * node.n_in, self.nodes[i - 1].y + first * node.n_in)
                block.largest[2 * i + 1] = self.own.largest(
                    block.rows * node.n_out, node.dy + first * node.n_out)

    # Sums over the batch, and the step

    cdef bint apart(self, const char* x, const void* vector) noexcept nogil:
        # Whether x shares no memory with theta: a step would change h_0 while E8 still reads it.
        cdef const char* start = <const char*>vector
        return (x + self.rows * self.nodes[0].n_in * self.itemsize <= start
                or start + self.size * self.itemsize <= x)

    cdef bint bounded(self, const Pass* p, const update_rule* rule, double l2) noexcept nogil:
        # Whether every entry of the gradient is finite, those of E8, E9 by a bound: |Σ_n delta h|
        # is at most rows max|delta| max|h|; and the factor of W that decay and l2 make together.
        # NaN compares as False.
        cdef Node* node
        cdef double h, delta
        cdef int i, j
        if not rule.decay + 2 * l2 < BOUND[self.type]:
            return False
        for i in range(self.count):
            node = &self.nodes[i]
            if node.affine and l2 != 0 and not 2 * l2 * self.own.largest(
                    node.sizes[node.weight], node.pointers[node.weight]) < BOUND[self.type]:
                return False
            if node.dense:
                for j in range(self.n_blocks):
                    h, delta = self.blocks[j].largest[2 * i], self.blocks[j].largest[2 * i + 1]
                    if not delta * self.rows * (1 + h) < BOUND[self.type]:
                        return False
                continue
            for j in range(node.n_params):
                if not (self.own.largest(node.sizes[j], node.pointers[node.n_params + j])
                        < BOUND[self.type]):
                    return False
        return True

    cdef void weight_gradients(self, Task* task) noexcept nogil:
        # E8 and E9 of fastbp's own dense layers: into flat, or a step along them.
        cdef int i
        task.chain = <void*>self
        if self.threads > 1:
            c_pool_run(self.threads, self.count * self.threads, run_weight_gradient, task)
            return
        for i in range(self.count):
            if self.nodes[i].dense:
                self.weight_gradient(task, i, 0, self.nodes[i].n_out)

    cdef void weight_gradient(
            self, const Task* task, int i, int64_t first, int64_t rows) noexcept nogil:
        # Some rows of layer i's dW and db.
        cdef Node* node = &self.nodes[i]
        cdef const char* h = <const char*>self.nodes[i - 1].y if i else task.p.x
        cdef const char* delta = node.dy + first * self.itemsize
        cdef int64_t at = first * node.n_in * self.itemsize
        cdef int bias = 1 - node.weight
        cdef char* db
        if task.theta == NULL:
            self.own.product(
                1, 0, rows, node.n_in, self.rows, delta, node.n_out, h, node.n_in,
                <char*>node.pointers[node.n_params + node.weight] + at, node.n_in, 0)
        else:
            self.own.step_along(
                self.rows, node.n_in, rows, delta, node.n_out, h, task.decayed.rate,
                task.decayed.decay, task.theta + node.offsets[node.weight] * self.itemsize + at)
        if node.n_params > 1:
            db = <char*>node.pointers[node.n_params + bias] + first * self.itemsize
            self.own.column_sums(self.rows, rows, delta, node.n_out, db)
            if task.theta != NULL:
                self.own.update(
                    rows, task.theta + (node.offsets[bias] + first) * self.itemsize, db,
                    &task.rule)

    cdef void update(
            self, const Task* task, int64_t first, int64_t last, bint others) noexcept nogil:
        # The optimizer's step of parameters first to last, or of those in other layers than dense.
        cdef Node* node
        cdef int64_t start, stop
        cdef int i, j
        if not others and task.decayed.decay == task.rule.decay:
            self.update_some(task, first, last, &task.rule)
            return
        for i in range(self.count):
            node = &self.nodes[i]
            for j in range(0 if others and node.dense else node.n_params):
                start = max(first, node.offsets[j])
                stop = min(last, node.offsets[j] + node.sizes[j])
                if node.affine and j == node.weight:
                    self.update_some(task, start, stop, &task.decayed)
                else:
                    self.update_some(task, start, stop, &task.rule)

    cdef void update_some(
            self, const Task* task, int64_t start, int64_t stop,
            const update_rule* rule) noexcept nogil:
        if start < stop:
            self.own.update(stop - start, task.theta + start * self.itemsize,
                            <char*>self.gradient + start * self.itemsize, rule)

    cdef double c_add_l2(self, char* theta, char* g, double l2) noexcept nogil:
        # dW += 2 l2 W for every W of an affine layer; returns l2 Σ W².
        cdef Node* node
        cdef double total = 0
        cdef int64_t at
        cdef int i
        if l2 == 0:
            return 0
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

    cdef double c_penalty(self, const char* theta, double l2) noexcept nogil:
        # l2 Σ W² over every W of an affine layer.
        cdef Node* node
        cdef double total = 0
        cdef int i
        if l2 == 0:
            return 0
        for i in range(self.count):
            node = &self.nodes[i]
            if node.affine:
                total += self.own.squares(
                    node.sizes[node.weight], theta + node.offsets[node.weight] * self.itemsize)
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


cdef fpmode leave(const Pass* p) noexcept nogil:
    # The pass's mode, to return to; the caller's is set. Outside the calls that take Python's lock,
    # so that objects dying there are met by the caller's too.
    cdef fpmode mode = fpmode_get()
    if p.flushes:
        fpmode_set(p.mode)
    return mode


cdef object read_only(object array):
    view = array.view()
    view.flags.writeable = False
    return view

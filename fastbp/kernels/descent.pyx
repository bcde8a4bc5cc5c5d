"""E8, E9 and the step along them, after the chain: sums over the batch.

Threads divide the rows of their results, which changes no bit.
"""

from libc.math cimport isfinite
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastbp.kernels.chain cimport DONE, GRADIENT, OUTPUT, UPDATE, Node, Pass, Stage
from fastbp.kernels.product cimport ADAM_DEPTH, RULE_ADAM, RULE_NONE, STEP_DEPTH, update_rule
from fastbp.threads.pool cimport c_pool_run
from fastbp.kernels.updates cimport Updates, limit_follow
from fastbp.plugin cimport FASTBP_NON_FINITE, FASTBP_OK


cdef void run_weight_gradients(void* context, int part) noexcept nogil:
    cdef StepTask* task = <StepTask*>context
    (<Descent>task.steps).weight_gradients_of(task, part)


cdef class Descent(Updates):
    cdef int c_chain(self, Pass* p) noexcept nogil:
        # E1 to E9, p.value being the loss.
        cdef int code = self.c_rows(p)
        cdef int64_t n
        if code != FASTBP_OK:
            return code
        if self.loss_table.whole_batch:
            p.value = self.loss_values[0]
        else:
            p.value = 0
            for n in range(self.rows):
                p.value += (1 if p.weight == NULL else p.weight[n]) * self.loss_values[n]
            p.value *= p.scale
        if p.largest_x < 0 and not p.factors_only:
            self.form_gradients(p)
        return FASTBP_OK

    cdef void form_gradients(self, Pass* p) noexcept nogil:
        # E8 and E9 of fastbp's own dense layers, into flat.
        cdef StepTask task
        task.steps, task.p, task.theta, task.bounded = <void*>self, p, NULL, False
        self.weight_gradients(&task)

    cdef int c_step(
            self, Pass* p, char* theta, double l2, const update_rule* rule,
            slot_bounds* slots) noexcept nogil:
        # The whole step, with denormals as zero.
        cdef Stage stage
        cdef double value
        cdef int code
        p.flushes, p.fuses = True, self.in_c
        self.enter(p)
        code = self.flushed_step(p, theta, l2, rule, slots)
        if code == FASTBP_NON_FINITE and p.fuses and (p.stage == OUTPUT or p.stage == GRADIENT):
            # once more, to leave every array behind in which it may have begun
            stage, value, p.fuses = p.stage, p.value, False
            if self.c_chain(p) == FASTBP_OK:
                self.form_gradients(p)
                self.c_l2(theta, l2, self.gradient)
            p.stage, p.value = stage, value
        self.leave(p)
        return code

    cdef int flushed_step(
            self, Pass* p, char* theta, double l2, const update_rule* rule,
            slot_bounds* slots) noexcept nogil:
        # E1 to E9 and the optimizer's step. Weights step along E8 without its being formed, where
        # that pays and nothing can fail any more. What has no bound, or is formed and less than
        # what bounds it, is looked at before the step, which comes last. Without a rule the
        # gradient is left in flat.
        cdef StepTask task
        cdef double penalty, limit = -1
        cdef bint good, along
        cdef int code
        along = (rule.kind != RULE_NONE and self.apart(p.x, rule)
                 and self.rows <= (ADAM_DEPTH if rule.kind == RULE_ADAM else STEP_DEPTH))
        p.measures = along or (rule.kind != RULE_NONE and self.less_to_measure())
        code = self.c_chain(p)
        if code != FASTBP_OK:
            return code
        penalty = self.c_l2(theta, l2, NULL)
        p.value += penalty
        p.stage = GRADIENT
        if not isfinite(p.value):
            return FASTBP_NON_FINITE
        if rule.kind != RULE_NONE:
            limit = self.limit(rule, l2, penalty / l2 if l2 else 0, slots)
        good = limit > 0 and (not p.measures or self.bounded(p, limit))
        task.steps, task.p, task.theta, task.bounded = <void*>self, p, NULL, good
        memcpy(&task.rule, rule, sizeof(update_rule))
        memcpy(&task.decayed, rule, sizeof(update_rule))
        if good and along:
            p.stage = DONE
            task.theta = theta
            task.decayed.decay += 2 * l2
            self.weight_gradients(&task)
            self.update(&task, 0, self.size, True)
            limit_follow(rule, self.type, slots)
            return FASTBP_OK
        self.weight_gradients(&task)
        if good and not p.measures:
            good = self.own.bound(self.size, self.gradient) < limit
            if not good:  # perhaps by E9's sums alone, which are in double now
                task.bounded = False
                self.weight_gradients(&task)
        if good:
            task.decayed.decay += 2 * l2
        else:
            self.c_l2(theta, l2, self.gradient)
            if not isfinite(self.own.bound(self.size, self.gradient)):
                return FASTBP_NON_FINITE
        p.stage = DONE
        if rule.kind == RULE_NONE:
            return FASTBP_OK
        if not good:
            p.stage = UPDATE
            return self.update_copies(&task, slots)
        task.theta = theta
        self.update_all(&task)
        limit_follow(rule, self.type, slots)
        return FASTBP_OK

    # Sums over the batch, and the step

    cdef bint apart(self, const char* x, const update_rule* rule) noexcept nogil:
        # Whether they share no memory: a step would change h_0 while E8 still reads it.
        # Addresses, since pointers into two arrays have no order.
        cdef size_t array, start = <size_t>x
        cdef int i
        for i in range(3):
            array = <size_t>(rule.theta if i == 0 else rule.m if i == 1 else rule.v)
            if not (array == 0 or start + self.rows * self.nodes[0].n_in * self.itemsize <= array
                    or array + self.size * self.itemsize <= start):
                return False
        return True

    cdef bint less_to_measure(self) noexcept nogil:
        # Whether h and delta of all layers are fewer numbers than the gradient.
        cdef int64_t width = 0
        cdef int i
        for i in range(self.count):
            if self.nodes[i].dense:
                width += self.nodes[i].n_in + self.nodes[i].n_out
        return self.rows * width < self.size

    cdef bint bounded(self, const Pass* p, double limit) noexcept nogil:
        # Whether every entry of the gradient is below the limit, those of E8, E9 by a bound:
        # |Σ_n delta h| is at most rows max|delta| max|h|. NaN compares as False. What was measured
        # by blocks and shares is more than these maxima, by how much depends on the threads; so
        # they decide, where that is not enough.
        cdef Node* node
        cdef double h, delta
        cdef int i, j
        for i in range(self.count):
            node = &self.nodes[i]
            if node.dense:
                h = delta = 0
                for j in range(self.n_blocks):
                    h += self.blocks[j].bounds[2 * i]
                    delta += self.blocks[j].bounds[2 * i + 1]
                if delta * self.rows * (1 + h) < limit / 2:
                    continue
                h = p.largest_x
                if i > 0 or not isfinite(h):
                    h = self.own.largest(
                        self.rows * node.n_in, <const char*>self.nodes[i - 1].y if i else p.x)
                delta = self.own.largest(self.rows * node.n_out, node.dy)
                if not delta * self.rows * (1 + h) < limit:
                    return False
                continue
            for j in range(node.n_params):
                if not (self.own.bound(node.sizes[j], node.pointers[node.n_params + j])
                        < limit):
                    return False
        return True

    cdef void weight_gradients(self, StepTask* task) noexcept nogil:
        # E8 and E9 of fastbp's own dense layers: into flat, or a step along them.
        cdef int64_t total = 0, rows
        cdef int i, part
        if self.threads > 1:
            for part in range(self.threads, -1, -1):  # the last, all of it, first
                rows = 0
                for i in range(self.count):
                    if self.nodes[i].dense:
                        rows += self.share(part, self.nodes[i].n_out, 8) * self.nodes[i].n_in
                total = max(total, rows)
                if total == 0:
                    return
                self.given[part] = rows / <double>total
            c_pool_run(self.threads, self.threads, self.given, run_weight_gradients, task)
            return
        for i in range(self.count):
            if self.nodes[i].dense:
                self.weight_gradient(task, i, 0, self.nodes[i].n_out)

    cdef void weight_gradients_of(self, const StepTask* task, int part) noexcept nogil:
        # The rows of a thread's share, of every layer.
        cdef int64_t first, rows
        cdef int i
        for i in range(self.count):
            first = self.share(part, self.nodes[i].n_out, 8)
            rows = self.share(part + 1, self.nodes[i].n_out, 8) - first
            if self.nodes[i].dense and rows > 0:
                self.weight_gradient(task, i, first, rows)

    cdef void weight_gradient(
            self, const StepTask* task, int i, int64_t first, int64_t rows) noexcept nogil:
        # Some rows of layer i's dW and db.
        cdef Node* node = &self.nodes[i]
        cdef const char* h = <const char*>self.nodes[i - 1].y if i else task.p.x
        cdef const char* delta = node.dy + first * self.itemsize
        cdef int64_t at = first * node.n_in * self.itemsize
        cdef int bias = 1 - node.weight
        cdef int64_t at_once  # rows that E9 adds up in their own type
        cdef char* db
        cdef const char* sums
        if task.theta == NULL:
            self.own.product(
                1, 0, rows, node.n_in, self.rows, delta, node.n_out, h, node.n_in,
                <char*>node.pointers[node.n_params + node.weight] + at, node.n_in, 0)
        else:
            self.own.step_along(
                self.rows, node.n_in, rows, delta, node.n_out, h, &task.decayed,
                task.theta + node.offsets[node.weight] * self.itemsize + at)
        if node.n_params > 1:
            db = <char*>node.pointers[node.n_params + bias] + first * self.itemsize
            sums = self.bias_sums(task.p, i) if task.bounded else NULL
            at_once = self.own.sum_rows if task.bounded else 1
            if self.rows == 1 and task.theta != NULL:  # then db need not stand in flat
                db = <char*>delta
            elif sums == NULL:
                self.own.column_sums(self.rows, rows, delta, node.n_out, at_once, db)
            else:
                self.own.column_sums(
                    (self.rows + at_once - 1) // at_once, rows, sums + first * self.itemsize,
                    node.n_out, 1, db)
            if task.theta != NULL:
                self.own.update(
                    rows, task.theta + (node.offsets[bias] + first) * self.itemsize, db,
                    &task.rule)

    cdef double c_l2(self, const char* theta, double l2, char* g) noexcept nogil:
        # l2 Σ W² over every W of an affine layer, whose gradient 2 l2 W is added to g, if given.
        cdef Node* node
        cdef double total = 0
        cdef int64_t at, n
        cdef int i
        if l2 == 0:
            return 0
        for i in range(self.count):
            node = &self.nodes[i]
            if node.affine:
                n = node.sizes[node.weight]
                at = node.offsets[node.weight] * self.itemsize
                total += self.own.squares(n, theta + at)
                if g != NULL:
                    self.own.add_scaled(n, 2 * l2, theta + at, g + at)
        return l2 * total

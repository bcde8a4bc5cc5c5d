"""The lecture's chain, E1 to E9 and the step, run in C over a plan's buffers.

A part with a C table is called without Python's lock; for a part written in Python the lock is
taken for that call alone.
"""

from libc.math cimport isfinite, isnan
from libc.stdint cimport int64_t
from libc.string cimport memcpy

import numpy as np

from fastbp.kernels.product cimport RULE_NONE, STEP_DEPTH, update_rule
from fastbp.kernels.tables cimport LAYER, PYTHON
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


cdef class Chain:
    cdef void c_use(self, int64_t rows, bint training, int64_t first_row) noexcept nogil:
        # What every call of this pass says.
        cdef Node* node
        cdef int i
        self.training = training
        self.message[0] = 0
        self.rows = rows
        for i in range(self.count):
            node = &self.nodes[i]
            node.call.rows, node.call.first_row, node.call.training = rows, first_row, training
            node.call.seed, node.call.step = self.seed, self.step
        self.loss_call.rows, self.loss_call.first_row = rows, first_row
        self.loss_call.training = training
        self.loss_call.seed, self.loss_call.step = self.seed, self.step

    cdef int c_output(self, Pass* p) noexcept nogil:
        # E1 to E5, weights and scale; p.stage says how far it came.
        cdef int code
        p.stage = FORWARD
        code = self.c_forward(p.x, NULL)
        if code != FASTBP_OK:
            return code
        p.stage = LOSS
        self.loss_call.row_scale = self.row_scale
        code = self.c_losses(p.targets, True)
        if code != FASTBP_OK:
            return code
        p.stage = OUTPUT
        if not self.c_good():
            return FASTBP_NON_FINITE
        p.value = self.c_weigh(p)
        return FASTBP_OK

    cdef int c_chain(self, Pass* p) noexcept nogil:
        # E1 to E9.
        cdef int code = self.c_output(p)
        if code != FASTBP_OK:
            return code
        p.stage = BACKWARD
        return self.c_backward(p.x, p.dx, p.want)

    cdef int c_step(self, Pass* p, char* theta, double l2, const update_rule* rule) noexcept nogil:
        # E1 to E9 and the optimizer's step. Weights of dense layers go along E8 without its being
        # formed, where nothing can fail any more; else the gradient is formed, looked at, and the
        # step comes last. Without a rule the gradient is left in flat.
        cdef bint fused
        cdef int code
        p.want = DELTAS
        code = self.c_chain(p)
        if code != FASTBP_OK:
            return code
        p.value += self.c_penalty(theta, l2)
        p.stage = GRADIENT
        if not isfinite(p.value):
            return FASTBP_NON_FINITE
        fused = (rule.kind != RULE_NONE and self.rows <= STEP_DEPTH
                 and self.c_bounded(p, l2))
        if not fused:
            self.c_form_matrices(p.x)
            self.c_add_l2(theta, <char*>self.gradient, l2)
            if not isfinite(self.own.largest(self.size, self.gradient)):
                return FASTBP_NON_FINITE
        p.stage = DONE
        if fused:
            self.c_step_along(p.x, theta, l2, rule)
        elif rule.kind != RULE_NONE:
            self.own.update(self.size, theta, self.gradient, rule)
        return FASTBP_OK

    cdef int c_forward(self, const char* x, char* out) noexcept nogil:
        # E1, E2: y of layer i from y of layer i - 1.
        cdef Node* node
        cdef char* y
        cdef int i, code
        for i in range(self.count):
            node = &self.nodes[i]
            y = out if out != NULL and i == self.count - 1 else node.y
            self.failed = i
            if node.dense:
                code = FASTBP_OK
                self.own.affine(
                    self.rows, node.n_in, node.n_out, x, node.pointers[node.weight],
                    node.pointers[1 - node.weight] if node.n_params > 1 else NULL, y)
            elif node.table.body == PYTHON:
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
        return isfinite(self.own.largest(self.rows * last.n_out, last.dy))

    cdef double c_weigh(self, Pass* p) noexcept nogil:
        # Σ_n scale w_n ℓ_n, and delta_n *= scale w_n.
        cdef Node* last = &self.nodes[self.count - 1]
        cdef double total = 0
        cdef int64_t n
        for n in range(self.rows):
            total += (1 if p.weight == NULL else p.weight[n]) * self.loss_values[n]
        if self.type:
            scale_rows_double(<double*>last.dy, self.row_scale, self.rows, last.n_out)
        else:
            scale_rows_float(<float*>last.dy, self.row_scale, self.rows, last.n_out)
        return total * p.scale

    cdef int c_backward(self, const char* x, char* input_gradient, Want want) noexcept nogil:
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
            if (want == FACTORS and node.affine) or (want == DELTAS and node.dense):
                code = FASTBP_OK
                if dx != NULL:  # E6
                    self.own.product(
                        0, 0, self.rows, node.n_in, node.n_out, node.dy, node.n_out,
                        node.pointers[node.weight], node.n_in, dx, node.n_in, 0)
                if want == DELTAS and node.n_params > 1:  # E9
                    self.own.column_sums(
                        self.rows, node.n_out, node.dy,
                        node.pointers[node.n_params + 1 - node.weight])
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

    # The step

    cdef bint c_bounded(self, const Pass* p, double l2) noexcept nogil:
        # Whether every entry of the gradient is finite, those of E8 and E9 by a bound: |Σ_n delta h|
        # is at most rows max|delta| max|h|. NaN compares as False.
        cdef Node* node
        cdef double h, bound
        cdef int i, j
        for i in range(self.count):
            node = &self.nodes[i]
            if node.affine and l2 != 0 and not 2 * l2 * self.own.largest(
                    node.sizes[node.weight], node.pointers[node.weight]) < BOUND[self.type]:
                return False
            if node.dense:
                h = p.largest_x if i == 0 else self.own.largest(
                    self.rows * node.n_in, self.nodes[i - 1].y)
                bound = self.own.largest(self.rows * node.n_out, node.dy) * self.rows
                if not (bound < BOUND[self.type] and bound * h < BOUND[self.type]):
                    return False
                continue
            for j in range(node.n_params):
                if not isfinite(
                        self.own.largest(node.sizes[j], node.pointers[node.n_params + j])):
                    return False
        return True

    cdef void c_step_along(
            self, const char* x, char* theta, double l2, const update_rule* rule) noexcept nogil:
        # The step, weights of dense layers along deltaᵀ h (E8), 2 l2 W being a decay of theirs.
        cdef update_rule decayed
        cdef Node* node
        cdef const char* below
        cdef char* at
        cdef int i, j
        memcpy(&decayed, rule, sizeof(update_rule))
        decayed.decay += 2 * l2
        for i in range(self.count):
            node = &self.nodes[i]
            below = <const char*>self.nodes[i - 1].y if i else x
            for j in range(node.n_params):
                at = theta + node.offsets[j] * self.itemsize
                if node.dense and j == node.weight:
                    self.own.step_along(
                        self.rows, node.n_in, node.n_out, node.dy, node.n_out, below, at, &decayed)
                elif node.affine and j == node.weight:
                    self.own.update(
                        node.sizes[j], at, node.pointers[node.n_params + j], &decayed)
                else:
                    self.own.update(node.sizes[j], at, node.pointers[node.n_params + j], rule)

    cdef void c_form_matrices(self, const char* x) noexcept nogil:
        # E8 of fastbp's own dense layers, into flat.
        cdef Node* node
        cdef int i
        for i in range(self.count):
            node = &self.nodes[i]
            if node.dense:
                self.own.product(
                    1, 0, node.n_out, node.n_in, self.rows, node.dy, node.n_out,
                    <const char*>self.nodes[i - 1].y if i else x, node.n_in,
                    node.pointers[node.n_params + node.weight], node.n_in, 0)

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


cdef object read_only(object array):
    view = array.view()
    view.flags.writeable = False
    return view

"""The plan: passes of the lecture's chain over the buffers of one network.

Everything handed to a plan has been checked.
"""

cimport cython
from libc.math cimport NAN, isfinite
from libc.stdint cimport int64_t

from fastbp.kernels import failures
from fastbp.kernels.modes import kept_mode

from fastbp.kernels.buffers cimport Buffers
from fastbp.kernels.chain cimport GRADIENT, MESSAGE_SIZE, OUTPUT, UPDATE, Block, Pass, Stage
from fastbp.kernels.host cimport pointer
from fastbp.plugin cimport (
    FASTBP_CLASSES, FASTBP_NO_MEMORY, FASTBP_OK, FASTBP_VALUES, fastbp_call,
)


@cython.final
cdef class Plan(Buffers):
    """Forward and backward passes and training steps of one network, called from Python."""

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
            with kept_mode():
                self.loss.y_hat(a, out)
            return
        call = self.loss_call
        call.rows, call.first_row = len(a), 0
        self.message = self.blocks[0].message
        self.message[0] = 0
        cdef Pass p
        start_pass(&p, NULL, NULL, 1)
        with nogil:
            self.enter(&p)
            code = self.loss_table.loss.y_hat[self.type](&call, source, target)
            self.leave(&p)
        if code:
            self.failed = self.count
            self._raise(code, "y_hat")

    def losses(self, targets, bint gradient):
        """E3 (and E5): each row's loss, unweighted, float64; fills the last dy with its gradient.

        The array is the plan's own, and overwritten by the next call.
        """
        self.loss_call.row_scale = NULL
        self._run_loss(targets, gradient)
        return self._losses[:self.rows]

    def batch_loss(self, targets, weight, double scale):
        """What a loss over the whole batch makes of the last forward pass, weighted and reduced."""
        cdef Pass p
        start_pass(&p, NULL, NULL, scale)
        self._weigh(&p, weight)
        self._run_loss(targets, False)
        return self.loss_values[0]

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
            self.enter(&p)
            code = self.backward_block(&p, &whole)
            if code == FASTBP_OK and not factors_only:
                self.form_gradients(&p)
            self.leave(&p)
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
            self.enter(&p)
            code = self.c_chain(&p)
            self.leave(&p)
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

    cdef int _start(
            self, Pass* p, x, targets, weight, double scale, bint training,
            input_gradient) except -1:
        # Everything a pass through the chain needs, before the lock is let go.
        self._use(len(x), training, 0)
        self._need_dy(True)
        self._need_gradient()
        self._x, self._out, self._dx = x, None, input_gradient
        start_pass(p, <const char*>pointer(x), self._targets_of(targets), scale)
        if input_gradient is not None:
            p.dx = <char*>pointer(input_gradient)
        self._weigh(p, weight)
        return 0

    cdef int _weigh(self, Pass* p, weight) except -1:
        # The scale of each row, for this pass and for the loss to see.
        cdef int64_t n
        if weight is not None:
            p.weight = <const double*>pointer(weight)
        self.loss_call.row_scale = self.row_scale
        for n in range(self.rows):
            self.row_scale[n] = p.scale * (1 if p.weight == NULL else p.weight[n])
        return 0

    cdef int _run_loss(self, targets, bint gradient) except -1:
        cdef Pass p
        cdef Block whole
        cdef int code
        start_pass(&p, NULL, self._targets_of(targets), 1)
        whole.first, whole.rows = 0, self.rows
        self._need_dy(gradient)
        self.message = self.blocks[0].message
        with nogil:
            self.enter(&p)
            code = self.loss_block(&p, &whole, gradient)
            self.leave(&p)
        self.failed = self.count
        if code:
            self._raise(code, self._loss_function())
        return 0

    def _loss_function(self):
        if self.loss_table.python and self.loss_table.whole_batch:
            return "batch_loss_and_delta"
        return "loss_and_delta"

    cdef const char* _targets_of(self, targets) except? NULL:
        self._targets = targets
        self.target_bytes = targets.strides[0]
        self.loss_call.target_kind = FASTBP_CLASSES if targets.dtype.kind == "i" else FASTBP_VALUES
        return <const char*>pointer(targets)

    def _raise_at(self, int code, Stage stage, rows, double value):
        self._see()
        if stage == UPDATE and code == FASTBP_NO_MEMORY:
            raise MemoryError("no room to make the optimizer's step on copies")
        if stage == UPDATE:
            raise failures.of_update(self.layout, self.spoilt_at)
        if stage == GRADIENT and not isfinite(value):
            raise failures.of_value(value)
        if stage == GRADIENT:
            raise failures.of_gradient(self._x, self.dy, self.grads, self._labels)
        if stage == OUTPUT:
            last = self.dy[self.count - 1]
            losses = None if self.loss_table.whole_batch else self._losses[:self.rows]
            raise failures.of_output(self._x, self.y, last, losses, self._labels, rows)
        self._raise(code, ("forward", self._loss_function(), "", "backward")[stage])

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

"""One part's body, C or Python, called on arrays of the caller's choice.

A network calls a part on its own buffers. Here the caller owns every array, so that the
conformance kit can look at what a call leaves in them and around them.
"""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stddef cimport size_t
from libc.stdint cimport int64_t

import numpy as np

from fastbp import checks
from fastbp.errors import ConfigError, NonFiniteError, PluginCallError
from fastbp.kernels.context import Context
from fastbp.kernels.modes import kept_mode

from fastbp.kernels.chain cimport fpmode, fpmode_get, fpmode_set
from fastbp.kernels.host cimport pointer, start_call
from fastbp.kernels.tables cimport (
    ELEMENTWISE, LAYER, PYTHON, LayerTable, LossTable, read_layer, read_loss,
)
from fastbp.plugin cimport (
    FASTBP_CLASSES, FASTBP_NO_MEMORY, FASTBP_NON_FINITE, FASTBP_OK, FASTBP_VALUES, fastbp_call,
)

cdef enum:
    MESSAGE_SIZE = 512
    GUARD = 64  # bytes on either side of the scratch memory

cdef unsigned char MARK = 0xA5


@cython.final
cdef class _Frame:
    # One call to a C function: its struct, and all that the struct points to.
    cdef fastbp_call call
    cdef fpmode mode  # the caller's, whatever the function does to it
    cdef void** pointers
    cdef char message[MESSAGE_SIZE]
    cdef object scratch, guards

    def __cinit__(self, int64_t rows, int64_t n_in, int64_t n_out, size_t scratch, groups, ctx):
        cdef int i = 0
        self.mode = fpmode_get()
        start_call(&self.call, rows, n_in, n_out)
        self.message[0] = 0
        self.call.message, self.call.message_size = self.message, MESSAGE_SIZE
        self.pointers = <void**>PyMem_Calloc(sum(map(len, groups)) + 1, sizeof(void*))
        if self.pointers == NULL:
            raise MemoryError
        starts = []
        for group in groups:
            starts.append(i)
            for array in group:
                self.pointers[i] = address(array)
                i += 1
        if starts:
            self.call.params = <const void* const*>&self.pointers[<int>starts[0]]
            self.call.grads = &self.pointers[<int>starts[1]]
            self.call.buffers = &self.pointers[<int>starts[2]]
            self.call.saved = &self.pointers[<int>starts[3]]
        self.call.training = ctx.training
        self.call.seed, self.call.step, self.call.layer, self.call.first_row = ctx._place
        if scratch:
            memory = np.full(scratch + 2 * GUARD + 64, MARK, np.uint8)
            start = GUARD + (-(memory.ctypes.data + GUARD)) % 64
            self.scratch = memory[start:start + scratch]
            self.guards = memory[:start], memory[start + scratch:]
            self.call.scratch, self.call.scratch_size = pointer(self.scratch), scratch

    def __dealloc__(self):
        PyMem_Free(self.pointers)

    cdef object end(self, int code, str label, str function):
        # Raise what the call deserves.
        fpmode_set(self.mode)
        if self.scratch is not None and not all((guard == MARK).all() for guard in self.guards):
            raise PluginCallError(f"{label}: {function} wrote past its scratch memory")
        if code == FASTBP_OK:
            return
        if code == FASTBP_NO_MEMORY:
            raise MemoryError(f"{label}: {function} ran out of memory")
        text = self.message[:MESSAGE_SIZE].split(b"\0")[0].decode(errors="replace")
        kind = NonFiniteError if code == FASTBP_NON_FINITE else PluginCallError
        raise kind(f"{label}: {function} failed ({text or f'code {code}'})")


cdef void* address(array) except? NULL:
    return pointer(array) if array.size else NULL


@cython.final
cdef class LayerBody:
    """One layer's functions at one input width and float type.

    Parameters
    ----------
    layer : Layer
    n_in : int
    dtype : {"float32", "float64"}
    python : bool
        Call the Python body even where the layer has a C table.
    label : str, optional
        What messages call the layer; its class's name otherwise.

    Attributes
    ----------
    spec : LayerSpec
        What the layer's ``build`` gave.
    python : bool
        Whether the Python body is called.
    flags : int
        Those of the C table; 0 for a Python body.

    Examples
    --------
    >>> import numpy as np, fastbp as bp
    >>> from fastbp.kernels.bodies import LayerBody
    >>> from fastbp.layers import Context
    >>> body, x, y = LayerBody(bp.ReLU(), 2, "float64"), np.array([[-1.0, 2.0]]), np.empty((1, 2))
    >>> body.forward({}, x, y, Context())
    >>> y
    array([[0., 2.]])
    """

    cdef readonly object layer, spec, dtype, label
    cdef readonly bint python
    cdef readonly int64_t n_in
    cdef LayerTable table
    cdef int type
    cdef object _kept

    def __init__(self, layer, n_in, dtype, bint python=False, label=None):
        self.layer, self.n_in = layer, n_in
        self.label = label or type(layer).__qualname__
        self.dtype = np.dtype(dtype)
        self.type = 1 if self.dtype.itemsize == 8 else 0
        with kept_mode():
            self.spec = layer.build(n_in, self.dtype)
            self._kept = read_layer(layer, self.label, self.type, &self.table)
        self.python = python or self.table.body == PYTHON

    @property
    def flags(self):
        if self.python:
            return 0
        if self.table.body == ELEMENTWISE:
            return self.table.elementwise.flags
        return self.table.layer.flags

    @property
    def has_df(self):
        """Whether :meth:`df` can be called."""
        if self.python:
            return hasattr(self.layer, "df")
        return self.table.body == ELEMENTWISE and self.table.elementwise.df[self.type] != NULL

    def forward(self, params, x, y, ctx):
        """Fill y and ctx.saved, as ``Layer.forward`` does; ctx carries mode, buffers and key."""
        if self.python:
            with kept_mode():
                self.layer.forward(params, x, y, ctx)
            return
        self._check(len(x), x=x, y=y)
        cdef _Frame frame = self._frame(params, None, ctx, len(x))
        cdef const void* source = address(x)
        cdef void* target = address(y)
        cdef int64_t n = y.size
        cdef int code
        with nogil:
            if self.table.body == LAYER:
                code = self.table.layer.forward[self.type](&frame.call, source, target)
            else:
                code = self.table.elementwise.f[self.type](&frame.call, n, source, target)
        frame.end(code, self.label, "forward")

    def backward(self, params, x, y, dy, dx, grads, ctx):
        """Fill dx, unless it is None, and grads, as ``Layer.backward`` does."""
        if self.python:
            with kept_mode():
                self.layer.backward(params, x, y, dy, dx, grads, ctx)
            return
        self._check(len(x), x=x, y=y, dy=dy, dx=dx)
        cdef const void* source = address(x)
        cdef const void* value = address(y)
        cdef const void* upstream = address(dy)
        cdef void* target = address(dx) if dx is not None else NULL
        cdef int64_t n = y.size
        cdef int code
        if self.table.body == ELEMENTWISE and (
                dx is None or self.table.elementwise.backward[self.type] == NULL):
            if dx is not None:  # E7, as the host derives it
                self.df(x, y, dx, ctx)
                np.multiply(dx, dy, out=dx)
            return
        cdef _Frame frame = self._frame(params, grads, ctx, len(x))
        with nogil:
            if self.table.body == LAYER:
                code = self.table.layer.backward[self.type](
                    &frame.call, source, value, upstream, target)
            else:
                code = self.table.elementwise.backward[self.type](
                    &frame.call, n, source, value, upstream, target)
        frame.end(code, self.label, "backward")

    def df(self, x, y, out, ctx=None):
        """Fill out with g'(x), for an elementwise layer."""
        if not self.has_df:
            raise ConfigError(f"{self.label}: has no function df")
        if self.python:
            with kept_mode():
                self.layer.df(x, y, out)
            return
        self._check(len(x), x=x, y=y, dx=out)
        cdef _Frame frame = self._frame({}, None, ctx or Context(), len(x))
        cdef const void* source = address(x)
        cdef const void* value = address(y)
        cdef void* target = address(out)
        cdef int64_t n = y.size
        cdef int code
        with nogil:
            code = self.table.elementwise.df[self.type](&frame.call, n, source, value, target)
        frame.end(code, self.label, "df")

    def _frame(self, params, grads, ctx, int64_t rows):
        cdef size_t scratch = 0
        cdef int64_t n_out = self.spec.n_out
        if self.table.body == LAYER and self.table.layer.scratch != NULL:
            with kept_mode():
                scratch = self.table.layer.scratch(
                    self.table.context, rows, self.n_in, n_out, self.type)
        groups = []
        for shapes, arrays, leading in (
                (self.spec.params, params, ()), (self.spec.params, grads, ()),
                (self.spec.buffers, ctx.buffers, ()), (self.spec.saved, ctx.saved, (rows,))):
            groups.append([] if arrays is None else list(map(arrays.__getitem__, shapes)))
            for array, shape in zip(groups[len(groups) - 1], shapes.values()):
                checks.operand("array", array, (*leading, *shape), self.dtype)
        cdef _Frame frame = _Frame(rows, self.n_in, n_out, scratch, groups, ctx)
        frame.call.context = self.table.context
        return frame

    def _check(self, rows, **arrays):
        for name, array in arrays.items():
            width = self.n_in if name in ("x", "dx") else self.spec.n_out
            if array is not None:
                checks.operand(name, array, (rows, width), self.dtype)


@cython.final
cdef class LossBody:
    """One loss's functions at one width and float type.

    Parameters
    ----------
    loss : Loss
    n_out : int
        Width of a, the network's output.
    dtype : {"float32", "float64"}
    python : bool
        Call the Python body even where the loss has a C table.
    label : str, optional
        What messages call the loss; its class's name otherwise.

    Examples
    --------
    >>> import numpy as np, fastbp as bp
    >>> from fastbp.kernels.bodies import LossBody
    >>> body = LossBody(bp.SquaredError(), 2, "float64")
    >>> body.loss_and_delta(np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]), None)
    array([2.])
    """

    cdef readonly object loss, dtype, label
    cdef readonly bint python
    cdef readonly int64_t n_out
    cdef LossTable table
    cdef int type
    cdef object _kept

    def __init__(self, loss, n_out, dtype, bint python=False, label=None):
        self.loss, self.n_out = loss, n_out
        self.label = label or type(loss).__qualname__
        self.dtype = np.dtype(dtype)
        self.type = 1 if self.dtype.itemsize == 8 else 0
        with kept_mode():
            self._kept = read_loss(loss, self.label, self.type, &self.table)
        self.python = python or self.table.python

    @property
    def flags(self):
        return 0 if self.python else self.table.loss.flags

    def loss_and_delta(self, a, targets, delta, losses=None):
        """What ``Loss.loss_and_delta`` returns; a C body writes it into `losses` when given."""
        if self.python:
            with kept_mode():
                return self.loss.loss_and_delta(a, targets, delta)
        losses = np.empty(len(a)) if losses is None else losses
        self._call(a, targets, None, delta, losses)
        return losses

    def batch_loss_and_delta(self, a, targets, weight, delta, losses=None):
        """What ``Loss.batch_loss_and_delta`` returns; a C body writes it into `losses`, (1,)."""
        if self.python:
            with kept_mode():
                return self.loss.batch_loss_and_delta(a, targets, weight, delta)
        losses = np.empty(1) if losses is None else losses
        self._call(a, targets, weight, delta, losses)
        return float(losses[0])

    def _call(self, a, targets, weight, delta, losses):
        rows = len(a)
        for name, array in (("a", a), ("delta", delta)):
            if array is not None:
                checks.operand(name, array, (rows, self.n_out), self.dtype)
        wide, count = np.dtype(np.float64), rows if weight is None else 1
        checks.operand("losses", losses, (count,), wide)
        if targets.dtype == np.int64:
            checks.operand("targets", targets, (rows,), targets.dtype)
        else:
            with kept_mode():
                width = self.loss.target_width(self.n_out)
            checks.operand("targets", targets, (rows, width), self.dtype)
        cdef _Frame frame = self._frame(rows)
        if weight is not None:
            checks.operand("weight", weight, (rows,), wide)
            frame.call.row_scale = <const double*>address(weight)
        frame.call.target_kind = FASTBP_CLASSES if targets.dtype.kind == "i" else FASTBP_VALUES
        cdef const void* source = address(a)
        cdef const void* aim = address(targets)
        cdef double* values = <double*>address(losses)
        cdef void* slope = address(delta) if delta is not None else NULL
        cdef int code
        with nogil:
            code = self.table.loss.loss_and_delta[self.type](
                &frame.call, source, aim, values, slope)
        frame.end(code, self.label, "loss_and_delta")

    def y_hat(self, a, out):
        """Fill out as ``Loss.y_hat`` does."""
        if self.python or self.table.loss.y_hat[self.type] == NULL:
            with kept_mode():
                self.loss.y_hat(a, out)
            return
        for name, array in (("a", a), ("out", out)):
            checks.operand(name, array, (len(a), self.n_out), self.dtype)
        cdef _Frame frame = self._frame(len(a))
        cdef const void* source = address(a)
        cdef void* target = address(out)
        cdef int code
        with nogil:
            code = self.table.loss.y_hat[self.type](&frame.call, source, target)
        frame.end(code, self.label, "y_hat")

    def _frame(self, int64_t rows):
        cdef size_t scratch = 0
        cdef _Frame frame
        if self.table.loss.scratch != NULL:
            with kept_mode():
                scratch = self.table.loss.scratch(
                    self.table.context, rows, self.n_out, self.type)
        frame = _Frame(rows, self.n_out, self.n_out, scratch, (), Context())
        frame.call.context = self.table.context
        return frame

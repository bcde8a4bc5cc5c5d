"""How the chain calls parts that are written in Python.

An exception is kept, to be raised when C has come back. Python's lock is taken for one call.
"""

from numbers import Real

import numpy as np

from fastbp.plugin cimport FASTBP_ERROR, FASTBP_OK


cdef class Callbacks:
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
            if not self.loss.rows_independent:
                value = self.loss.batch_loss_and_delta(
                    self._y_read[last], self._targets, read_only(self._row_scale[:self.rows]),
                    delta)
                if not isinstance(value, Real):
                    raise TypeError(f"it returned {type(value).__name__}; wanted a float")
                self._losses[0] = value
                return FASTBP_OK
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
        context._place = (self.seed, self.step, i, self.first_row)
        return context


cdef object read_only(object array):
    view = array.view()
    view.flags.writeable = False
    return view

"""Training steps with no Python between them: what `Network.step` and `fit` come down to.

What a step takes is looked at in C. Where anything is not just as the plan wants it (another dtype,
a list, a label out of range), nothing is done here, and the careful way, in Python, converts it or
says what is wrong.
"""

cimport cython
cimport numpy as cnp
from libc.math cimport INFINITY, NAN, isfinite
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import numpy as np

from fastbp.errors import ConfigError, OptimizerError
from fastbp.kernels import failures
from fastbp.kernels.modes import kept_mode
from fastbp.memory import with_copies

from fastbp.kernels.chain cimport Pass
from fastbp.kernels.host cimport pointer
from fastbp.kernels.optimizer_state cimport MOST_STEPS, OptimizerState
from fastbp.kernels.plan cimport start_pass
from fastbp.kernels.update cimport count_step, make_rule
from fastbp.plugin cimport FASTBP_CLASSES, FASTBP_OK, FASTBP_VALUES

cnp.import_array()

cdef extern from "Python.h":
    ctypedef struct PyInterpreterState
    ctypedef struct PyThreadState
    PyInterpreterState* PyInterpreterState_Get()
    PyThreadState* PyInterpreterState_ThreadHead(PyInterpreterState* interpreter)
    PyThreadState* PyThreadState_Next(PyThreadState* thread)

cdef extern from *:
    """
    static int all_writeable(PyObject *arrays) { /* a tuple */
        for (Py_ssize_t i = PyTuple_GET_SIZE(arrays); i--;)
            if (!PyArray_ISWRITEABLE((PyArrayObject *)PyTuple_GET_ITEM(arrays, i)))
                return 0;
        return 1;
    }
    """
    bint all_writeable(object arrays)

# Multiply-adds of a step below which letting go of Python's lock would cost more than it gives, and
# below which it is kept if there is no other thread to give it to: some 50 us.
cdef int64_t SMALL = 100_000, MIDDLING = 1_000_000


@cython.final
cdef class Using:
    """A network for one thread of Python, and how many of fastbp's its plan may use meanwhile.

    Compiled, so that Ctrl-C comes before the lock is taken or when it is sure to be let go.
    """

    cdef Steps network
    cdef int most, before

    def __cinit__(self, Steps network, int most):
        self.network, self.most = network, most

    def __enter__(self):
        self.network._lock.take()
        self.before, self.network._most_threads = self.network._most_threads, self.most

    def __exit__(self, *error):
        self.network._most_threads = self.before
        self.network._lock.leave()


cdef class Steps:
    """The part of a network that takes steps in C: its parameters, plan and optimizer's state."""

    def __cinit__(self, *args, **kwargs):
        self._lock = Turn()

    def _settle(self, targets):
        """Say what y holds: "classes", "values" or "binary"; None when only the loss knows."""
        self.kind = {None: CAREFUL, "classes": CLASSES, "values": VALUES, "binary": BINARY}[targets]

    def step(self, X, y, optimizer, *, sample_weight=None, threads=None):
        """One training step on the mean loss of a batch.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`gradients`; the mean is over this batch's own weights.
        optimizer : Optimizer
            ``bp.SGD(...)`` or ``bp.Adam(...)``; its state is in ``optimizer_state``.
        threads : int, optional
            At most so many, within the limit in force (:class:`fastbp.thread_limit`); no bit of
            the result depends on it.

        Returns
        -------
        float
            The mean loss before the update, with the l2 term.

        Raises
        ------
        ShapeError, DtypeError, LabelError, NonFiniteError, ConfigError, OptimizerError
            An argument does not fit, the loss, its gradient or what the update would make of a
            parameter or of the optimizer's state is not finite, or the network was trained with
            another optimizer. Nothing has changed then.

        Notes
        -----
        Denormal numbers, those below the smallest normal one of the dtype (1.2e-38 in float32,
        2.2e-308 in float64), count as 0, in parameters and the optimizer's state too: some
        processors take ten times as long with them. Parts written in Python compute in the
        caller's floating-point mode, which is not changed.

        Examples
        --------
        >>> import numpy as np, fastbp as bp
        >>> net = bp.mlp([3, 2], rng=0)
        >>> X, y = np.eye(3), [0, 1, 1]
        >>> first = net.step(X, y, bp.SGD(0.5))
        >>> bool(net.loss(X, y) < first)
        True
        """
        cdef double value
        if (sample_weight is None and threads is None and self.still_bound(optimizer, 0)
                and plain(X, 2, self._plan.type_number)):
            if keeps_lock(cnp.PyArray_DIM(<cnp.ndarray>X, 0) * self._plan.size):
                # nobody else runs meanwhile
                if self.take_step(X, y, True, &value):
                    return value
            else:
                self._lock.take()
                try:  # whoever had it may have changed everything
                    if self.still_bound(optimizer, 1) and self.take_step(X, y, False, &value):
                        return value
                finally:
                    self._lock.leave()
        return self._step_carefully(X, y, optimizer, sample_weight, threads)

    cdef bint take_step(self, X, y, bint locked, double* value) except -1:
        # One step on these rows, if they are just as the plan wants them; with Python's lock, or
        # without and with the network's.
        cdef Plan plan = self._plan
        cdef const char* targets
        cdef const char* x
        cdef double largest_x
        cdef int64_t rows
        if (not plain(X, 2, plan.type_number)
                or cnp.PyArray_DIM(<cnp.ndarray>X, 1) != plan.n_in):
            return False
        rows, x = cnp.PyArray_DIM(<cnp.ndarray>X, 0), cnp.PyArray_BYTES(<cnp.ndarray>X)
        targets = self.targets_of(y, rows)
        if targets == NULL:
            return False
        largest_x = plan.own.largest(rows * plan.n_in, x)
        if not isfinite(largest_x):
            return False
        plan._x, plan.most_threads = X, 0
        self.run(x, largest_x, targets, rows, locked, value)
        return True

    def _make_step(self, batch, double scale, optimizer):
        """One step on checked rows: the loss before it. Where it raises, nothing has changed.

        The network's lock is taken. From the update on nothing here runs Python or asks for memory,
        so that Ctrl-C comes before all of it or after.
        """
        cdef OptimizerState state = optimizer.state_for(self._flat, self.optimizer_state)
        cdef Plan plan
        cdef Pass p
        cdef update_rule made
        cdef double l2 = self._l2
        cdef int code
        if state._steps + 1 >= MOST_STEPS:
            raise OptimizerError(
                f"optimizer_state.steps: got {state._steps}; wanted room for one more; "
                "net.reset_optimizer() begins anew")
        rule = optimizer.rule_for(self._flat.dtype)
        slots = optimizer._slots()
        slot_arrays = list(map(state._arrays.get, slots))
        written = [self._flat, *slot_arrays]
        for arrays in self._views:
            written.extend(arrays.values())
        written = tuple(written)
        if not all_writeable(written):
            raise ConfigError("net.flat, net.params: got a read-only array; wanted none")
        batch.row_scale(scale, self._flat.dtype)
        plan = self._plan_for(len(batch.x))
        plan._start(&p, batch.x, batch.targets, batch.weight, scale, True, None)
        p.largest_x = INFINITY
        made = make_rule(rule, state._steps + 1)
        made.theta = pointer(self._flat)
        made.m = pointer(slot_arrays[0]) if rule is not None and len(slots) > 0 else NULL
        made.v = pointer(slot_arrays[1]) if rule is not None and len(slots) > 1 else NULL
        before = []
        for arrays in self._buffers:
            before += with_copies(arrays.values())
        try:
            with nogil:
                code = plan.c_step(&p, <char*>made.theta, l2, &made, &state.bounds)
            if code != FASTBP_OK:
                plan._raise_at(code, p.stage, batch.kept, p.value)
            if rule is None:
                self.update_in_python(optimizer, state)
        except BaseException:
            for array, kept in before:
                array[...] = kept
            raise
        state._steps += 1
        self.optimizer_state = state
        self.optimizer = None if rule is None else optimizer
        self.bound_flat, self.state, self.rule = self._flat, state, made
        self.slots, self.slot_arrays, self.written = slots, slot_arrays, written
        return p.value

    cdef int update_in_python(self, optimizer, OptimizerState state) except -1:
        # An update by anybody's Python: where it raises, or makes a number NaN or infinite,
        # parameters and state are put back.
        cdef Plan plan = self._plan
        cdef int64_t steps = state._steps
        arrays = dict(state._arrays)
        before = with_copies((self._flat, *arrays.values()))
        try:
            with kept_mode():
                optimizer.update(self._flat, plan.flat, state)
            optimizer.check_state(self._flat, state)
            for array, kept in before:
                plan.spoilt_at = plan.spoilt(<char*>pointer(array), <char*>pointer(kept))
                if plan.spoilt_at >= 0:
                    raise failures.of_update(plan.layout, plan.spoilt_at)
        except BaseException:
            state._arrays = arrays
            for array, kept in before:
                array[...] = kept
            raise
        finally:
            state._steps = steps
            state.forget_bounds()
        return 0

    cdef bint still_bound(self, optimizer, int depth) except -1:
        # Whether this is the optimizer of the last step, and nothing that it works on was replaced,
        # or may not be written, and whether the lock was taken as often as the caller says. Nothing
        # that may let another thread run comes after the comparison of the optimizers.
        cdef Plan plan
        cdef int i
        if self.optimizer is None:
            return False
        if optimizer is not self.optimizer and not alike(optimizer, self.optimizer):
            return False
        plan = self._plan
        if (plan is None or self.optimizer is None or self._lock.depth != depth or not plan.in_c
                or plan._theta is not self._flat or self.bound_flat is not self._flat
                or self.optimizer_state is not self.state or self.state._steps >= MOST_STEPS // 2
                or plan._dy is None or plan.flat is None):
            return False
        arrays = self.state._arrays
        for i in range(len(<tuple>self.slots)):
            if arrays.get((<tuple>self.slots)[i]) is not (<list>self.slot_arrays)[i]:
                return False
        return (all_writeable(self.written)
                and self.state.sound(plan.own, plan.size, plan.type, &self.rule))

    cdef const char* targets_of(self, y, int64_t rows) except? NULL:
        # Where y's numbers stand, in the form that the loss reads; NULL: not here.
        cdef Plan plan = self._plan
        cdef int64_t n_out = plan.loss_call.n_in, n
        cdef const int64_t* given
        cdef const char* values
        if not 0 < rows <= plan.capacity or self.kind == CAREFUL:
            return NULL
        if self.kind == CLASSES:
            if not plain(y, 1, cnp.NPY_INT64) or cnp.PyArray_DIM(<cnp.ndarray>y, 0) != rows:
                return NULL
            given = <const int64_t*>cnp.PyArray_BYTES(<cnp.ndarray>y)
            for n in range(rows):  # copied, since the loss trusts them and y may change meanwhile
                plan.classes[n] = given[n]
                if not 0 <= plan.classes[n] < n_out:
                    return NULL
            return <const char*>plan.classes
        if not (plain(y, 2, plan.type_number) and cnp.PyArray_DIM(<cnp.ndarray>y, 1) == n_out
                or n_out == 1 and plain(y, 1, plan.type_number)):
            return NULL
        values = cnp.PyArray_BYTES(<cnp.ndarray>y)
        if (cnp.PyArray_DIM(<cnp.ndarray>y, 0) != rows
                or not isfinite(plan.own.largest(rows * n_out, values))):
            return NULL
        if self.kind == BINARY:
            for n in range(rows * n_out):
                if not 0 <= ((<const double*>values)[n] if plan.type
                             else (<const float*>values)[n]) <= 1:
                    return NULL
        return values

    cdef int run(
            self, const char* x, double largest_x, const char* targets, int64_t rows,
            bint locked, double* value) except -1:
        # One step on checked rows of weight 1.
        cdef Plan plan = self._plan
        cdef char* theta = <char*>self.rule.theta
        cdef double l2 = self._l2
        cdef Pass p
        cdef int64_t n
        cdef int code
        start_pass(&p, x, targets, 1 / <double>rows)
        p.largest_x = largest_x
        plan.loss_call.target_kind = FASTBP_CLASSES if self.kind == CLASSES else FASTBP_VALUES
        plan.loss_call.row_scale = plan.row_scale
        plan.target_bytes = 8 if self.kind == CLASSES else plan.loss_call.n_in * plan.itemsize
        for n in range(rows):
            plan.row_scale[n] = p.scale
        plan.seed, plan.step = self._seed, self.state._steps
        plan.c_use(rows, True, 0)
        count_step(&self.rule, self.state._steps + 1)
        if locked:
            code = plan.c_step(&p, theta, l2, &self.rule, &self.state.bounds)
        else:
            with nogil:
                code = plan.c_step(&p, theta, l2, &self.rule, &self.state.bounds)
        if code != FASTBP_OK:
            plan._raise_at(code, p.stage, None, p.value)
        self.state._steps += 1
        value[0] = p.value
        return 0

    def _run_epoch(
            self, optimizer, batch, const int64_t[::1] order, x, int64_t first, double total_weight,
            double running, double seconds, int threads):
        """Steps on minibatches of an epoch, from number `first` on, for about `seconds`.

        `batch` is the whole data, checked; `x` is filled with a minibatch's rows, in `order`; a
        minibatch of r rows has the scale N / (r total_weight). Returns how many steps were made,
        `running` plus Σ loss · r / N over them, the last loss, and the error that stopped them or
        None. No step is made where only the careful way can make it.
        """
        with self._lock:
            return self.run_epoch(
                optimizer, batch, order, x, first, total_weight, running, seconds, threads)

    cdef tuple run_epoch(
            self, optimizer, batch, const int64_t[::1] order, x, int64_t first, double total_weight,
            double running, double seconds, int threads):
        # _run_epoch with the lock taken.
        cdef Plan plan = self._plan
        cdef int64_t N = batch.x.shape[0], size = x.shape[0], steps = (N + size - 1) // size
        cdef int64_t start = 0, rows = 0, n
        if not self.still_bound(optimizer, 1) or size > plan.capacity:
            return 0, running, NAN, None
        taken = np.empty_like(batch.targets, shape=(size, *batch.targets.shape[1:]))
        weights = None if batch.weight is None else np.empty(size)
        cdef const char* all_x = <const char*>pointer(batch.x)
        cdef const char* all_targets = <const char*>pointer(batch.targets)
        cdef const double* all_weights = NULL
        cdef char* some_x = <char*>pointer(x)
        cdef char* some_targets = <char*>pointer(taken)
        cdef double* some_weights = NULL
        cdef size_t x_bytes = x.strides[0], target_bytes = taken.strides[0]
        cdef char* theta = <char*>self.rule.theta
        cdef double l2 = self._l2, end
        cdef int64_t done = 0, step = self.state._steps
        cdef Pass p
        cdef int code = FASTBP_OK
        if weights is not None:
            all_weights, some_weights = <double*>pointer(batch.weight), <double*>pointer(weights)
        plan._x, plan.most_threads = x, threads
        plan._targets_of(taken)
        plan.loss_call.row_scale = plan.row_scale
        plan.seed = self._seed
        start_pass(&p, some_x, some_targets, 0)
        p.weight, p.largest_x = some_weights, INFINITY
        with nogil:
            end = now() + seconds
            while first + done < steps and (done == 0 or now() < end):
                start = (first + done) * size
                rows = min(size, N - start)
                p.scale = N / (rows * total_weight)
                for n in range(rows):
                    memcpy(some_x + n * x_bytes, all_x + order[start + n] * x_bytes, x_bytes)
                    if target_bytes == 8:  # a class, one double or two floats: one instruction
                        memcpy(some_targets + n * 8, all_targets + order[start + n] * 8, 8)
                    else:
                        memcpy(some_targets + n * target_bytes,
                               all_targets + order[start + n] * target_bytes, target_bytes)
                    if some_weights != NULL:
                        some_weights[n] = all_weights[order[start + n]]
                    plan.row_scale[n] = p.scale * (1 if some_weights == NULL else some_weights[n])
                    if not isfinite(
                            plan.row_scale[n] if plan.type else <float>plan.row_scale[n]):
                        code = -1  # an error that the careful way words
                if code == FASTBP_OK:
                    plan.step = step + done
                    plan.c_use(rows, True, 0)
                    count_step(&self.rule, step + done + 1)
                    code = plan.c_step(&p, theta, l2, &self.rule, &self.state.bounds)
                if code != FASTBP_OK:
                    break
                running += p.value * rows / N
                done += 1
        self.state._steps += done
        if code == FASTBP_OK or code == -1:
            return done, running, p.value, None
        numbers = np.asarray(order)[start:start + rows]
        try:
            plan._x = x[:rows]
            plan._raise_at(
                code, p.stage, numbers if batch.kept is None else batch.kept[numbers], p.value)
        except Exception as exc:
            return done, running, p.value, exc


cdef bint keeps_lock(int64_t work) noexcept:
    # Whether a step of so many multiply-adds is made without letting go of Python's lock.
    return work < SMALL or (work < MIDDLING and PyThreadState_Next(
        PyInterpreterState_ThreadHead(PyInterpreterState_Get())) == NULL)


cdef bint alike(one, other) except -1:
    # Whether two optimizers are equal, for all that is known without asking their arrays.
    try:
        return type(one) is type(other) and one.__dict__ == other.__dict__
    except Exception:
        return False


cdef bint plain(object array, int dimensions, int type_number) noexcept:
    # An array that C may read as it is: C-contiguous, aligned, of this type in native byte order.
    return (cnp.PyArray_CheckExact(array) and cnp.PyArray_TYPE(<cnp.ndarray>array) == type_number
            and cnp.PyArray_NDIM(<cnp.ndarray>array) == dimensions
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array))


cdef double now() noexcept nogil:
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec + 1e-9 * time.tv_nsec

"""The optimizer's step of all parameters along a gradient: all or nothing.

No finite number of theta or of the optimizer's memory becomes NaN or infinite, or nothing changes.
Where bounds do not say so (limits.h), the step is made on copies, which are looked at.
"""

from libc.math cimport INFINITY, isfinite, sqrt
from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fastbp.kernels.chain cimport Node
from fastbp.kernels.passes cimport Passes
from fastbp.kernels.product cimport update_rule
from fastbp.threads.pool cimport c_pool_run
from fastbp.plugin cimport FASTBP_NO_MEMORY, FASTBP_NON_FINITE, FASTBP_OK


cdef void run_update(void* context, int part) noexcept nogil:
    cdef StepTask* task = <StepTask*>context
    (<Updates>task.steps).update_of(task, part)


cdef class Updates(Passes):
    cdef double limit(
            self, const update_rule* rule, double l2, double squares,
            slot_bounds* slots) noexcept nogil:
        # Gradients all of whose entries are less than this surely make such an update; `squares` is
        # that of all numbers that l2 acts on.
        cdef double d = limit_of_d(rule, self.type, slots), decay = rule.decay + 2 * l2, theta
        if not d > 0 and rule.m != NULL:
            slots.m = self.own.largest(self.size, <const char*>rule.m)
            if rule.v != NULL:
                slots.v = self.own.largest(self.size, <const char*>rule.v)
            d = limit_of_d(rule, self.type, slots)
        if decay == 0 or not d > 0 or limit_shrinks(rule, decay):
            return d
        theta = sqrt(squares)
        if rule.decay != 0:
            theta = self.own.bound(self.size, <const char*>rule.theta)
        return d - decay * theta if decay < LARGE[self.type] else -1

    cdef int update_copies(self, StepTask* task, slot_bounds* slots) noexcept nogil:
        # The optimizer's step on copies, which replace what they are of when all is finite.
        cdef update_rule* rule = &task.rule
        cdef size_t size = self.size * self.itemsize
        cdef char* copies = <char*>malloc(3 * size)
        cdef char* own[3]
        cdef char* copy[3]
        cdef int i, code = FASTBP_OK
        if copies == NULL:
            return FASTBP_NO_MEMORY
        own[0], own[1], own[2] = <char*>rule.theta, <char*>rule.m, <char*>rule.v
        for i in range(3):
            copy[i] = copies + i * size if own[i] != NULL else NULL
            if own[i] != NULL:
                memcpy(copy[i], own[i], size)
        rule.theta, rule.m, rule.v = copy[0], copy[1], copy[2]
        memcpy(&task.decayed, rule, sizeof(update_rule))
        task.theta = copy[0]
        self.update_all(task)
        for i in range(3):
            if code == FASTBP_OK and own[i] != NULL:
                self.spoilt_at = self.spoilt(copy[i], own[i])
                if self.spoilt_at >= 0:
                    code = FASTBP_NON_FINITE
        for i in range(3):
            if code == FASTBP_OK and own[i] != NULL:
                memcpy(own[i], copy[i], size)
                slots.m = slots.v = INFINITY
        free(copies)
        return code

    cdef int64_t spoilt(self, const char* now, const char* before) noexcept nogil:
        # The first number that is not finite and was another; -1: there is none.
        cdef int64_t i
        if isfinite(self.own.largest(self.size, now)):
            return -1
        for i in range(self.size):
            if self.type and not isfinite((<const double*>now)[i]):
                if (<const double*>now)[i] != (<const double*>before)[i]:
                    return i
            elif not self.type and not isfinite((<const float*>now)[i]):
                if (<const float*>now)[i] != (<const float*>before)[i]:
                    return i
        return -1

    # The step itself

    cdef void update_all(self, StepTask* task) noexcept nogil:
        # Every parameter, on the pass's threads.
        if self.threads > 1:
            c_pool_run(self.threads, self.threads, NULL, run_update, task)
        else:
            self.update(task, 0, self.size, False)

    cdef void update_of(self, const StepTask* task, int part) noexcept nogil:
        self.update(task, self.share(part, self.size, 16), self.share(part + 1, self.size, 16),
                    False)

    cdef void update(
            self, const StepTask* task, int64_t first, int64_t last, bint others) noexcept nogil:
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
            self, const StepTask* task, int64_t start, int64_t stop,
            const update_rule* rule) noexcept nogil:
        if start < stop:
            self.own.update(stop - start, task.theta + start * self.itemsize,
                            self.gradient + start * self.itemsize, rule)

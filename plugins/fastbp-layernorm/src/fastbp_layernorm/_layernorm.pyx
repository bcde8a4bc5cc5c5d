"""The C body of layer normalisation, through fastbp's plugin.pxd."""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext
from libc.math cimport sqrt
from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from fastbp.plugin cimport (
    FASTBP_INFALLIBLE, FASTBP_LAYER_V1, FASTBP_MINOR, FASTBP_OK, FASTBP_ROWS_INDEPENDENT,
    fastbp_call, fastbp_layer,
)

ctypedef fused real:
    float
    double


cdef int forward(const fastbp_call* call, const real* x, real* y) noexcept nogil:
    # x_hat = (x - mean) rstd, y = gamma x_hat + beta; x, y, x_hat (rows, n), rstd (rows,),
    # gamma, beta (n,). Sums are taken in double.
    cdef const real* gamma = <const real*>call.params[0]
    cdef const real* beta = <const real*>call.params[1]
    cdef real* x_hat = <real*>call.saved[0]
    cdef real* rstd = <real*>call.saved[1]
    cdef double eps = (<const double*>call.context)[0]
    cdef int64_t n = call.n_in, i, j
    cdef double mean, variance, scale
    for i in range(call.rows):
        mean = variance = 0
        for j in range(n):
            mean += x[j]
        mean /= n
        for j in range(n):
            variance += (x[j] - mean) * (x[j] - mean)
        scale = 1 / sqrt(variance / n + eps)
        rstd[i] = <real>scale
        for j in range(n):
            x_hat[j] = <real>((x[j] - mean) * scale)
            y[j] = gamma[j] * x_hat[j] + beta[j]
        x += call.ld_x
        y += call.ld_y
        x_hat += n
    return FASTBP_OK


cdef int backward(const fastbp_call* call, const real* dy, real* dx) noexcept nogil:
    # dgamma = Σ_rows dy x_hat, dbeta = Σ_rows dy; with g = gamma dy and means over the row,
    # dx = rstd (g - mean(g) - x_hat mean(g x_hat)).
    cdef const real* gamma = <const real*>call.params[0]
    cdef const real* x_hat = <const real*>call.saved[0]
    cdef const real* rstd = <const real*>call.saved[1]
    cdef double* dgamma = <double*>call.scratch  # sums over many rows lose nothing in double
    cdef double* dbeta = dgamma + call.n_in
    cdef int64_t n = call.n_in, i, j
    cdef double mean, slope
    for j in range(2 * n):
        dgamma[j] = 0
    for i in range(call.rows):
        mean = slope = 0
        for j in range(n):
            dgamma[j] += <double>dy[j] * x_hat[j]
            dbeta[j] += dy[j]
            mean += <double>dy[j] * gamma[j]
            slope += <double>dy[j] * gamma[j] * x_hat[j]
        if dx != NULL:
            mean /= n
            slope /= n
            for j in range(n):
                dx[j] = <real>(rstd[i] * (<double>dy[j] * gamma[j] - mean - x_hat[j] * slope))
            dx += call.ld_x
        dy += call.ld_y
        x_hat += n
    for j in range(n):
        (<real*>call.grads[0])[j] = <real>dgamma[j]
        (<real*>call.grads[1])[j] = <real>dbeta[j]
    return FASTBP_OK


cdef int forward_f32(const fastbp_call* call, const void* x, void* y) noexcept nogil:
    return forward[float](call, <const float*>x, <float*>y)


cdef int forward_f64(const fastbp_call* call, const void* x, void* y) noexcept nogil:
    return forward[double](call, <const double*>x, <double*>y)


cdef int backward_f32(
        const fastbp_call* call, const void* x, const void* y, const void* dy,
        void* dx) noexcept nogil:
    return backward[float](call, <const float*>dy, <float*>dx)


cdef int backward_f64(
        const fastbp_call* call, const void* x, const void* y, const void* dy,
        void* dx) noexcept nogil:
    return backward[double](call, <const double*>dy, <double*>dx)


cdef size_t scratch(
        void* context, int64_t rows, int64_t n_in, int64_t n_out, int type) noexcept nogil:
    return 2 * n_in * sizeof(double)


cdef fastbp_layer table
table.struct_size = sizeof(fastbp_layer)
table.minor = FASTBP_MINOR
table.flags = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE
table.least_minor = 0
table.forward[0] = forward_f32
table.forward[1] = forward_f64
table.backward[0] = backward_f32
table.backward[1] = backward_f64
table.scratch = scratch


cdef void release(object capsule) noexcept:
    PyMem_RawFree(PyCapsule_GetContext(capsule))


def capsule(double eps):
    """The table for every instance, and the eps of this one as the capsule's context."""
    made = PyCapsule_New(<void*>&table, FASTBP_LAYER_V1, release)
    cdef double* context = <double*>PyMem_RawMalloc(sizeof(double))
    if context == NULL:
        raise MemoryError
    context[0] = eps
    PyCapsule_SetContext(made, context)
    return made

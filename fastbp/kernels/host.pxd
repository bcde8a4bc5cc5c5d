from libc.stdint cimport int64_t

from fastbp.plugin cimport fastbp_call, fastbp_host

cdef const fastbp_host* the_host() noexcept nogil
cdef void start_call(
    fastbp_call* call, int64_t rows, int64_t n_in, int64_t n_out) noexcept nogil
cdef void* pointer(object array) except? NULL

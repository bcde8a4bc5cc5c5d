# What include/fastbp/plugin.h declares, for Cython. It wraps the header and nothing else: an
# extension module that cimports it links to nothing and is tied to no version of fastbp.

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

cdef extern from "<fastbp/plugin.h>" nogil:
    const char* FASTBP_LAYER_V1
    const char* FASTBP_ELEMENTWISE_V1
    const char* FASTBP_LOSS_V1

    enum:
        FASTBP_MINOR
        FASTBP_F32
        FASTBP_F64
        FASTBP_OK
        FASTBP_ERROR
        FASTBP_NO_MEMORY
        FASTBP_NON_FINITE
        FASTBP_ROWS_INDEPENDENT
        FASTBP_INFALLIBLE
        FASTBP_NEEDS_X
        FASTBP_ENTRIES_INDEPENDENT
        FASTBP_WHOLE_BATCH
        FASTBP_CLASSES
        FASTBP_VALUES

    ctypedef struct fastbp_call

    ctypedef void (*fastbp_gemm)(
        int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, double alpha,
        const void* A, int64_t lda, const void* B, int64_t ldb, double beta, void* C,
        int64_t ldc) noexcept nogil

    ctypedef struct fastbp_host:
        uint32_t struct_size
        uint32_t minor
        int32_t threads
        int32_t reserved
        fastbp_gemm gemm[2]
        void (*random)(const fastbp_call* call, int64_t count, double* out) noexcept nogil

    ctypedef struct fastbp_call:
        uint32_t struct_size
        int32_t training
        int64_t rows
        int64_t first_row
        int64_t n_in
        int64_t n_out
        int64_t ld_x
        int64_t ld_y
        uint64_t seed
        uint64_t step
        uint32_t layer
        int32_t target_kind
        int64_t scratch_size
        void* scratch
        const fastbp_host* host
        void* context
        const void* const* params
        void* const* grads
        void* const* buffers
        void* const* saved
        const double* row_scale
        char* message
        size_t message_size

    ctypedef int (*fastbp_forward)(
        const fastbp_call* call, const void* x, void* y) noexcept nogil
    ctypedef int (*fastbp_backward)(
        const fastbp_call* call, const void* x, const void* y, const void* dy,
        void* dx) noexcept nogil

    ctypedef struct fastbp_layer:
        uint32_t struct_size
        uint32_t minor
        uint32_t flags
        uint32_t least_minor
        fastbp_forward forward[2]
        fastbp_backward backward[2]
        size_t (*scratch)(
            void* context, int64_t rows, int64_t n_in, int64_t n_out, int type) noexcept nogil

    ctypedef struct fastbp_elementwise:
        uint32_t struct_size
        uint32_t minor
        uint32_t flags
        uint32_t least_minor
        int (*f[2])(
            const fastbp_call* call, int64_t n, const void* x, void* y) noexcept nogil
        int (*df[2])(
            const fastbp_call* call, int64_t n, const void* x, const void* y,
            void* out) noexcept nogil
        int (*backward[2])(
            const fastbp_call* call, int64_t n, const void* x, const void* y, const void* dy,
            void* dx) noexcept nogil

    ctypedef struct fastbp_loss:
        uint32_t struct_size
        uint32_t minor
        uint32_t flags
        uint32_t least_minor
        int (*loss_and_delta[2])(
            const fastbp_call* call, const void* a, const void* targets, double* loss,
            void* delta) noexcept nogil
        int (*y_hat[2])(const fastbp_call* call, const void* a, void* y_hat) noexcept nogil
        size_t (*scratch)(void* context, int64_t rows, int64_t n_in, int type) noexcept nogil

from cython cimport floating
from libc.stdint cimport int64_t

cdef extern from "src/dense.h" nogil:
    int STEP_DEPTH, ADAM_DEPTH
    enum:
        RULE_NONE
        RULE_SGD
        RULE_MOMENTUM
        RULE_NESTEROV
        RULE_ADAM
        LINK_X
        LINK_Y

    ctypedef struct update_rule:
        int kind
        double lr
        double rate
        double decay
        double keep_m
        double new_m
        double keep_v
        double new_v
        double grow
        double eps
        void* theta
        void* m
        void* v

    struct plugin_call "fastbp_call":  # of fastbp/plugin.h, which the products do not read
        pass

    ctypedef int (*activation_g)(
        const plugin_call* call, int64_t n, const void* a, void* h) noexcept nogil
    ctypedef struct activation:
        activation_g g
        const plugin_call* call
        void* h

    ctypedef struct dense_type:
        int64_t sum_rows
        void (*product)(
            int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const void* A, int64_t lda,
            const void* B, int64_t ldb, void* C, int64_t ldc, int add) noexcept nogil
        void (*affine)(
            int64_t batch, int64_t n_in, int64_t n_out, const void* x, const void* W,
            const void* b, const activation* then, int link, void* y, int64_t ld_y) noexcept nogil
        void (*upstream)(
            int64_t batch, int64_t n_in, int64_t n_out, const void* delta, const void* W,
            const void* h, void* dh, void* sums, int64_t ld) noexcept nogil
        void (*step_along)(
            int64_t batch, int64_t n_in, int64_t n_out, const void* delta, int64_t ld_delta,
            const void* h, const update_rule* rule, void* W) noexcept nogil
        void (*column_sums)(
            int64_t batch, int64_t n_out, const void* delta, int64_t ld_delta, int64_t at_once,
            void* db) noexcept nogil
        void (*update)(
            int64_t n, void* theta, const void* g, const update_rule* rule) noexcept nogil
        double (*largest)(int64_t n, const void* x) noexcept nogil
        double (*bound)(int64_t n, const void* x) noexcept nogil
        double (*squares)(int64_t n, const void* x) noexcept nogil
        void (*scale_rows)(
            int64_t rows, int64_t n, const double* scale, void* x) noexcept nogil
        void (*multiply)(int64_t n, const void* y, void* x) noexcept nogil
        void (*add_scaled)(int64_t n, double scale, const void* y, void* x) noexcept nogil

# Which of isa.h's levels is in use, for the kernels of other modules.
cdef int c_isa_level() noexcept nogil

# fastbp's own kernels for a type, on the instruction set in use; src/dense.h says what they do.
cdef const dense_type* kernels(bint is_double) noexcept nogil

# C (m, n) = op(A) (m, k) op(B) (k, n), added to C when `add`; row-major, entries counted by lda,
# ldb, ldc from row to row; not both transposed. Outputs overlap no input.
cdef void c_product(
    bint trans_a, bint trans_b, int64_t m, int64_t n, int64_t k, const floating* A, int64_t lda,
    const floating* B, int64_t ldb, bint add, floating* C, int64_t ldc) noexcept nogil

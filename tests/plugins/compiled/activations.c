/* Elementwise layers that a step must not call on turned numbers, each for another reason, and one that
 * it may. */
#include <fastbp/plugin.h>

#define FUNCTIONS(real, type)                                                                      \
    /* y = x², of which df reads x. */                                                             \
    static int square_##type(const fastbp_call *call, int64_t n, const void *x_, void *y_) {       \
        const real *x = x_;                                                                        \
        real *y = y_;                                                                              \
        (void)call;                                                                                \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = x[i] * x[i];                                                                    \
        return FASTBP_OK;                                                                          \
    }                                                                                              \
    static int square_slope_##type(const fastbp_call *call, int64_t n, const void *x_,             \
                                   const void *y, void *out_) {                                    \
        const real *x = x_;                                                                        \
        real *out = out_;                                                                          \
        (void)call, (void)y;                                                                       \
        for (int64_t i = 0; i < n; i++)                                                            \
            out[i] = 2 * x[i];                                                                     \
        return FASTBP_OK;                                                                          \
    }                                                                                              \
    /* y = (1 + j) x / 8 in column j modulo 8. */                                                  \
    static int by_column_##type(const fastbp_call *call, int64_t n, const void *x_, void *y_) {    \
        const real *x = x_;                                                                        \
        real *y = y_;                                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = x[i] * (real)(i % call->n_in % 8 + 1) / 8;                                      \
        return FASTBP_OK;                                                                          \
    }                                                                                              \
    static int by_column_slope_##type(const fastbp_call *call, int64_t n, const void *x,           \
                                      const void *y, void *out_) {                                 \
        real *out = out_;                                                                          \
        (void)x, (void)y;                                                                          \
        for (int64_t i = 0; i < n; i++)                                                            \
            out[i] = (real)(i % call->n_in % 8 + 1) / 8;                                           \
        return FASTBP_OK;                                                                          \
    }                                                                                              \
    /* y = |x|, whose slope is saved. */                                                           \
    static int saving_##type(const fastbp_call *call, int64_t n, const void *x_, void *y_) {       \
        const real *x = x_;                                                                        \
        real *y = y_, *slope = call->saved[0];                                                     \
        for (int64_t i = 0; i < n; i++) {                                                          \
            slope[i] = x[i] < 0 ? -1 : 1;                                                          \
            y[i] = x[i] * slope[i];                                                                \
        }                                                                                          \
        return FASTBP_OK;                                                                          \
    }                                                                                              \
    static int saving_slope_##type(const fastbp_call *call, int64_t n, const void *x,              \
                                   const void *y, void *out_) {                                    \
        const real *slope = call->saved[0];                                                        \
        real *out = out_;                                                                          \
        (void)x, (void)y;                                                                          \
        for (int64_t i = 0; i < n; i++)                                                            \
            out[i] = slope[i];                                                                     \
        return FASTBP_OK;                                                                          \
    }                                                                                              \
    /* y = x / 2, which fails where an x is above 1000. */                                         \
    static int failing_##type(const fastbp_call *call, int64_t n, const void *x_, void *y_) {      \
        const real *x = x_;                                                                        \
        real *y = y_;                                                                              \
        (void)call;                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                          \
            if (x[i] > 1000)                                                                       \
                return FASTBP_ERROR;                                                               \
            y[i] = x[i] / 2;                                                                       \
        }                                                                                          \
        return FASTBP_OK;                                                                          \
    }                                                                                              \
    static int half_##type(const fastbp_call *call, int64_t n, const void *x, const void *y,       \
                           void *out_) {                                                           \
        real *out = out_;                                                                          \
        (void)call, (void)x, (void)y;                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            out[i] = (real)0.5;                                                                    \
        return FASTBP_OK;                                                                          \
    }

FUNCTIONS(float, f32)
FUNCTIONS(double, f64)

#define TABLE(name, f_, df_, more)                                                                 \
    const fastbp_elementwise name = {.struct_size = sizeof(fastbp_elementwise),                    \
                                     .minor = FASTBP_MINOR,                                        \
                                     .flags = FASTBP_ROWS_INDEPENDENT | (more),                    \
                                     .f = {f_##_f32, f_##_f64},                                    \
                                     .df = {df_##_f32, df_##_f64}}
TABLE(square, square, square_slope,
      FASTBP_INFALLIBLE | FASTBP_NEEDS_X | FASTBP_ENTRIES_INDEPENDENT);
TABLE(by_column, by_column, by_column_slope, FASTBP_INFALLIBLE);
TABLE(saving, saving, saving_slope, FASTBP_INFALLIBLE | FASTBP_ENTRIES_INDEPENDENT);
TABLE(failing, failing, half, FASTBP_ENTRIES_INDEPENDENT);
TABLE(halving, failing, half, FASTBP_INFALLIBLE | FASTBP_ENTRIES_INDEPENDENT);

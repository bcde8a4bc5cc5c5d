/* Parts whose rows depend on each other: an elementwise layer and a layer without
 * FASTBP_ROWS_INDEPENDENT, a loss without any flag, and one with FASTBP_WHOLE_BATCH. */
#include <fastbp/plugin.h>
#include <math.h>

#define FUNCTIONS(real, type)                                                                      \
    /* y = x / rows. */                                                                            \
    static int share_##type(const fastbp_call *call, int64_t n, const void *x_, void *y_) {        \
        const real *x = x_;                                                                        \
        real *y = y_;                                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = x[i] / (real)call->rows;                                                        \
        return FASTBP_OK;                                                                          \
    }                                                                                              \
    static int share_slope_##type(const fastbp_call *call, int64_t n, const void *x,               \
                                  const void *y, void *out_) {                                     \
        real *out = out_;                                                                          \
        (void)x, (void)y;                                                                          \
        for (int64_t i = 0; i < n; i++)                                                            \
            out[i] = 1 / (real)call->rows;                                                         \
        return FASTBP_OK;                                                                          \
    }                                                                                              \
    /* y = x - its mean over the rows, which is its own derivative's transpose. */                 \
    static int centred_##type(const fastbp_call *call, const void *x_, void *y_) {                 \
        const real *x = x_;                                                                        \
        real *y = y_;                                                                              \
        for (int64_t j = 0; j < call->n_in; j++) {                                                 \
            double total = 0;                                                                      \
            for (int64_t i = 0; i < call->rows; i++)                                               \
                total += x[i * call->ld_x + j];                                                    \
            for (int64_t i = 0; i < call->rows; i++)                                               \
                y[i * call->ld_y + j] = (real)(x[i * call->ld_x + j] - total / (double)call->rows);\
        }                                                                                          \
        return FASTBP_OK;                                                                          \
    }                                                                                              \
    static int centred_back_##type(const fastbp_call *call, const void *x, const void *y,          \
                                   const void *dy, void *dx) {                                     \
        (void)x, (void)y;                                                                          \
        return dx ? centred_##type(call, dy, dx) : FASTBP_OK;                                      \
    }                                                                                              \
    /* loss = rows Σ a² / 2, for each row. */                                                      \
    static int counting_##type(const fastbp_call *call, const void *a_, const void *targets,       \
                               double *loss, void *delta_) {                                       \
        const real *a = a_;                                                                        \
        real *delta = delta_;                                                                      \
        (void)targets;                                                                             \
        for (int64_t i = 0; i < call->rows; i++) {                                                 \
            loss[i] = 0;                                                                           \
            for (int64_t k = i * call->ld_x; k < i * call->ld_x + call->n_in; k++) {               \
                loss[i] += (double)call->rows * a[k] * a[k] / 2;                                   \
                if (delta)                                                                         \
                    delta[k] = (real)call->rows * a[k];                                            \
            }                                                                                      \
        }                                                                                          \
        return FASTBP_OK;                                                                          \
    }                                                                                              \
    /* Σ s_i s_k log(1 + exp(a_k - a_i)) over the pairs with t_i > t_k, in each column, for row    \
     * scales s. */                                                                                \
    static int pairs_##type(const fastbp_call *call, const void *a_, const void *targets,          \
                            double *loss, void *delta_) {                                          \
        const real *a = a_, *t = targets;                                                          \
        const double *s = call->row_scale;                                                         \
        real *delta = delta_;                                                                      \
        loss[0] = 0;                                                                               \
        for (int64_t j = 0; j < call->n_in; j++)                                                   \
            for (int64_t i = 0; i < call->rows; i++) {                                             \
                double slope = 0;                                                                  \
                for (int64_t k = 0; k < call->rows; k++) {                                         \
                    double gap = (double)a[i * call->ld_x + j] - a[k * call->ld_x + j];            \
                    double order = t[i * call->ld_x + j] > t[k * call->ld_x + j]   ? 1             \
                                   : t[i * call->ld_x + j] < t[k * call->ld_x + j] ? -1            \
                                                                                   : 0;            \
                    if (order > 0 || gap != gap)                                                   \
                        loss[0] += s[i] * s[k] * (gap < 0 ? log1p(exp(gap)) - gap                  \
                                                          : log1p(exp(-gap)));                     \
                    slope -= order * s[i] * s[k] / (1 + exp(order * gap));                         \
                }                                                                                  \
                if (delta)                                                                         \
                    delta[i * call->ld_x + j] = (real)slope;                                       \
            }                                                                                      \
        return FASTBP_OK;                                                                          \
    }

FUNCTIONS(float, f32)
FUNCTIONS(double, f64)

#define HEAD(type, flags_) .struct_size = sizeof(type), .minor = FASTBP_MINOR, .flags = (flags_)
const fastbp_elementwise share = {HEAD(fastbp_elementwise, FASTBP_INFALLIBLE),
                                  .f = {share_f32, share_f64},
                                  .df = {share_slope_f32, share_slope_f64}};
const fastbp_layer centred = {HEAD(fastbp_layer, 0),
                              .forward = {centred_f32, centred_f64},
                              .backward = {centred_back_f32, centred_back_f64}};
const fastbp_loss counting = {HEAD(fastbp_loss, 0), .loss_and_delta = {counting_f32, counting_f64}};
const fastbp_loss pairs = {HEAD(fastbp_loss, FASTBP_WHOLE_BATCH | FASTBP_INFALLIBLE),
                           .loss_and_delta = {pairs_f32, pairs_f64}};

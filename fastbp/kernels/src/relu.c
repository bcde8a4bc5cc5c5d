/* ReLU: h = max(a, 0). */
#ifndef real
#include <fastbp/plugin.h>

#define BODY "relu.c"
#include "both_types.h"

const fastbp_elementwise fastbp_relu = {
    .struct_size = sizeof(fastbp_elementwise),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE,
    .f = {forward_f32, forward_f64},
    .df = {derivative_f32, derivative_f64},
    .backward = {backward_f32, backward_f64},
};

#else

/* E2: h = max(a, 0); a, h (n,). Asked this way round, NaN stays NaN. */
static int TYPED(forward)(const fastbp_call *call, int64_t n, const void *a_, void *h_) {
    const real *a = a_;
    real *h = h_;
    (void)call;
    for (int64_t i = 0; i < n; i++)
        h[i] = a[i] <= 0 ? 0 : a[i];
    return FASTBP_OK;
}

/* g'(a) = 1 where h > 0, else 0; h, out (n,). */
static int TYPED(derivative)(const fastbp_call *call, int64_t n, const void *a, const void *h_,
                             void *out_) {
    const real *h = h_;
    real *out = out_;
    (void)call, (void)a;
    for (int64_t i = 0; i < n; i++)
        out[i] = h[i] > 0 ? 1 : 0;
    return FASTBP_OK;
}

/* E7: forward is h = max(a, 0), so da = dh where h > 0, else 0; h, dh, da (n,). */
static int TYPED(backward)(const fastbp_call *call, int64_t n, const void *a, const void *h_,
                           const void *dh_, void *da_) {
    const real *h = h_, *dh = dh_;
    real *da = da_;
    (void)call, (void)a;
    for (int64_t i = 0; i < n; i++) {
        real upstream = dh[i]; /* read always: a load under a condition would not vectorise */
        da[i] = h[i] > 0 ? upstream : 0;
    }
    return FASTBP_OK;
}

#endif

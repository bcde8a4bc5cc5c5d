/* ReLU: h = max(a, 0). */
#ifndef real
#include <fastbp/plugin.h>

#include "every_isa.h"

#define BODY "relu.c"
#include "both_types.h"

const fastbp_elementwise fastbp_relu = {
    .struct_size = sizeof(fastbp_elementwise),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE | FASTBP_ENTRIES_INDEPENDENT,
    .f = {forward_f32, forward_f64},
    .df = {derivative_f32, derivative_f64},
    .backward = {backward_f32, backward_f64},
};

#else

/* E2: h = max(a, 0); a, h (n,). Asked this way round, NaN stays NaN. */
INLINED void TYPED(positive)(int64_t n, const real *a, real *h, int fused) {
    (void)fused;
    for (int64_t i = 0; i < n; i++)
        h[i] = a[i] <= 0 ? 0 : a[i];
}
EVERY_ISA(TYPED(relu), TYPED(positive), (int64_t n, const real *a, real *h), (n, a, h))

static int TYPED(forward)(const fastbp_call *call, int64_t n, const void *a, void *h) {
    (void)call;
    TYPED(relu)(n, a, h);
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
INLINED void TYPED(where_positive)(int64_t n, const real *h, const real *dh, real *da, int fused) {
    (void)fused;
    for (int64_t i = 0; i < n; i++) {
        real upstream = dh[i]; /* read always: a load under a condition would not vectorise */
        da[i] = h[i] > 0 ? upstream : 0;
    }
}
EVERY_ISA(TYPED(relu_slope), TYPED(where_positive),
          (int64_t n, const real *h, const real *dh, real *da), (n, h, dh, da))

static int TYPED(backward)(const fastbp_call *call, int64_t n, const void *a, const void *h,
                           const void *dh, void *da) {
    (void)call, (void)a;
    TYPED(relu_slope)(n, h, dh, da);
    return FASTBP_OK;
}

#endif

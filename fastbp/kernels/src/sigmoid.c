/* The logistic function: h = 1 / (1 + exp(-a)). */
#ifndef real
#include <fastbp/plugin.h>

#include "exp.h"
#include "exp_float.h"
#define FUNCTION_F32 sigmoid_float
#define FUNCTION_F64 sigmoid_double
#define LIMIT_F32 SIGMOID_LIMIT_FLOAT
#define LIMIT_F64 EXP_LIMIT
#include "elementwise_isa.h"

#define BODY "sigmoid.c"
#include "both_types.h"

const fastbp_elementwise fastbp_sigmoid = {
    .struct_size = sizeof(fastbp_elementwise),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE | FASTBP_ENTRIES_INDEPENDENT,
    .f = {forward_f32, forward_f64},
    .df = {derivative_f32, derivative_f64},
    .backward = {backward_f32, backward_f64},
};

#else

/* E2: h = 1 / (1 + exp(-a)); a, h (n,). */
static int TYPED(forward)(const fastbp_call *call, int64_t n, const void *a_, void *h_) {
    (void)call;
    TYPED(apply)(n, a_, h_);
    return FASTBP_OK;
}

/* g'(a) = h (1 - h); h, out (n,). */
static int TYPED(derivative)(const fastbp_call *call, int64_t n, const void *a, const void *h_,
                             void *out_) {
    const real *h = h_;
    real *out = out_;
    (void)call, (void)a;
    for (int64_t i = 0; i < n; i++)
        out[i] = h[i] * (1 - h[i]);
    return FASTBP_OK;
}

/* E7: forward is h = sigmoid(a), so da = dh h (1 - h); h, dh, da (n,). */
static int TYPED(backward)(const fastbp_call *call, int64_t n, const void *a, const void *h_,
                           const void *dh_, void *da_) {
    const real *h = h_, *dh = dh_;
    real *da = da_;
    (void)call, (void)a;
    for (int64_t i = 0; i < n; i++)
        da[i] = dh[i] * (h[i] * (1 - h[i]));
    return FASTBP_OK;
}

#endif

/* Sigmoid cross-entropy: independent yes-or-no outputs (E3 and E5 for two classes each). */
#ifndef real
#include <fastbp/plugin.h>
#include <math.h>

#define BODY "sigmoid_cross_entropy.c"
#include "both_types.h"

const fastbp_loss fastbp_sigmoid_cross_entropy = {
    .struct_size = sizeof(fastbp_loss),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE,
    .loss_and_delta = {loss_and_delta_f32, loss_and_delta_f64},
    .y_hat = {y_hat_f32, y_hat_f64},
};

#else

/* With y_hat = sigmoid(a):
 * E3: loss = Σ_j -t_j log y_hat_j - (1 - t_j) log(1 - y_hat_j) = Σ_j softplus(a_j) - t_j a_j;
 * E5: delta = y_hat - t;
 * a, t (rows, n), loss (rows,), delta (rows, n) or NULL.
 *
 * Let e = exp(-|a|), which never overflows. softplus(a) = max(a, 0) + log(1 + e), so the loss is
 * |a| times the part of t on the wrong side, plus log(1 + e): no term is negative. Over the common
 * denominator 1 + e, y_hat - t loses nothing where y_hat is near t = 0 or t = 1. */
static int TYPED(loss_and_delta)(const fastbp_call *call, const void *a_, const void *t_,
                                 double *loss, void *delta_) {
    for (int64_t i = 0; i < call->rows; i++) {
        const real *a = (const real *)a_ + i * call->ld_x, *t = (const real *)t_ + i * call->ld_x;
        real *delta = delta_ ? (real *)delta_ + i * call->ld_x : NULL;
        double total = 0;
        for (int64_t j = 0; j < call->n_in; j++) {
            double yes = t[j], no = 1 - yes, e = exp(-fabs((double)a[j])), wrong, slope;
            if (a[j] < 0) {
                wrong = yes;
                slope = (no * e - yes) / (1 + e);
            } else {
                wrong = no;
                slope = (no - yes * e) / (1 + e);
            }
            if (!(a[j] < (real)INFINITY)) /* +inf and NaN are no output */
                total = slope = NAN;
            if (wrong != 0) /* 0 * inf counts as 0 */
                total += wrong * fabs((double)a[j]);
            total += log1p(e);
            if (delta)
                delta[j] = (real)slope;
        }
        loss[i] = total;
    }
    return FASTBP_OK;
}

/* y_hat = 1 / (1 + exp(-a)). */
static int TYPED(y_hat)(const fastbp_call *call, const void *a_, void *y_hat_) {
    for (int64_t i = 0; i < call->rows; i++) {
        const real *a = (const real *)a_ + i * call->ld_x;
        real *y_hat = (real *)y_hat_ + i * call->ld_y;
        for (int64_t j = 0; j < call->n_in; j++) {
            double e = exp(-fabs((double)a[j]));
            y_hat[j] = (real)((a[j] < 0 ? e : 1) / (1 + e));
        }
    }
    return FASTBP_OK;
}

#endif

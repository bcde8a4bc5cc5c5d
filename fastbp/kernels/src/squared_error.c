/* Squared error E10, the loss for regression. */
#ifndef real
#include <fastbp/plugin.h>
#include <string.h>

#define BODY "squared_error.c"
#include "both_types.h"

const fastbp_loss fastbp_squared_error = {
    .struct_size = sizeof(fastbp_loss),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE,
    .loss_and_delta = {loss_and_delta_f32, loss_and_delta_f64},
    .y_hat = {y_hat_f32, y_hat_f64},
};

#else

/* E10: loss = ½ Σ_j (y_hat_j - t_j)² with y_hat = a, so delta = a - t;
 * a, t (rows, n), loss (rows,), delta (rows, n) or NULL. */
static int TYPED(loss_and_delta)(const fastbp_call *call, const void *a_, const void *t_,
                                 double *loss, void *delta_) {
    for (int64_t i = 0; i < call->rows; i++) {
        const real *a = (const real *)a_ + i * call->ld_x, *t = (const real *)t_ + i * call->ld_x;
        real *delta = delta_ ? (real *)delta_ + i * call->ld_x : NULL;
        double total = 0;
        for (int64_t j = 0; j < call->n_in; j++) {
            double difference = (double)a[j] - (double)t[j];
            /* in this order, or the square overflows before its half does */
            total += (0.5 * difference) * difference;
            if (delta)
                delta[j] = (real)difference;
        }
        loss[i] = total;
    }
    return FASTBP_OK;
}

/* y_hat = a. */
static int TYPED(y_hat)(const fastbp_call *call, const void *a, void *y_hat) {
    for (int64_t i = 0; i < call->rows; i++)
        memcpy((real *)y_hat + i * call->ld_y, (const real *)a + i * call->ld_x,
               (size_t)call->n_in * sizeof(real));
    return FASTBP_OK;
}

#endif

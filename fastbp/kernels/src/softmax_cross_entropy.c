/* Softmax cross-entropy: output and loss E3, gradient w.r.t. the output units E5.
 *
 * Everything is written in e_j = exp(a_j - max), so that y_hat_j = e_j / Σ e. The largest e is 1
 * and none overflows: where a_j - max overflows to -inf, e_j = 0 is right. Rows are summed in
 * double. Wherever 1 - y_hat_j is meant, the others are summed instead: the difference would cancel.
 */
#ifndef real
#include <fastbp/plugin.h>
#include <math.h>

#define BODY "softmax_cross_entropy.c"
#include "both_types.h"

const fastbp_loss fastbp_softmax_cross_entropy = {
    .struct_size = sizeof(fastbp_loss),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE,
    .loss_and_delta = {loss_and_delta_f32, loss_and_delta_f64},
    .y_hat = {y_hat_f32, y_hat_f64},
};

#else

/* Where the largest of n >= 1 entries stands (a leading NaN counts as largest). */
static int64_t TYPED(largest)(const real *row, int64_t n) {
    int64_t best = 0;
    for (int64_t j = 1; j < n; j++)
        if (row[j] > row[best])
            best = j;
    return best;
}

/* E3: y_hat_j = e_j / Σ e; a, y_hat (rows, n). */
static int TYPED(y_hat)(const fastbp_call *call, const void *a_, void *y_hat_) {
    int64_t n = call->n_in;
    for (int64_t i = 0; i < call->rows; i++) {
        const real *a = (const real *)a_ + i * call->ld_x;
        real *y_hat = (real *)y_hat_ + i * call->ld_y;
        double top = a[TYPED(largest)(a, n)], total = 0;
        for (int64_t j = 0; j < n; j++) {
            double e = exp(a[j] - top);
            y_hat[j] = (real)e;
            total += e;
        }
        for (int64_t j = 0; j < n; j++)
            y_hat[j] = (real)(y_hat[j] / total);
    }
    return FASTBP_OK;
}

/* E3: loss = -log y_hat_l = (max - a_l) + log Σ e;
 * E5: delta_j = y_hat_j, and delta_l = y_hat_l - 1 = -Σ_{j≠l} y_hat_j;
 * a (n,), delta (n,) or NULL. */
static double TYPED(row_of_class)(const real *a, int64_t l, int64_t n, real *delta) {
    double top = a[TYPED(largest)(a, n)], gap = top - a[l], e_true = 0, others = 0;
    for (int64_t j = 0; j < n; j++) {
        double e = exp(a[j] - top);
        if (delta)
            delta[j] = (real)e;
        if (j == l)
            e_true = e;
        else
            others += e;
    }
    double total = e_true + others;
    if (delta) {
        for (int64_t j = 0; j < n; j++)
            delta[j] = (real)(delta[j] / total);
        delta[l] = (real)(-others / total);
    }
    /* Where e_true is 1, log(1 + others) would lose small others. NaN comes out where there is no
     * softmax: +inf, NaN, or nothing above -inf. */
    return gap == 0 ? log1p(others) : gap + log(total);
}

/* E3: loss = Σ_j p_j (-log y_hat_j) = Σ_j p_j (max - a_j) + Σp log Σ e;
 * E5: delta_j = y_hat_j Σp - p_j = (e_j Σ_{i≠j} p_i - p_j Σ_{i≠j} e_i) / Σ e;
 * a, p (n,), delta (n,) or NULL. */
static double TYPED(row_of_probabilities)(const real *a, const real *p, int64_t n, real *delta) {
    /* Σ_{i≠j} is a difference that cannot cancel, except for the largest entry. */
    int64_t j_e = TYPED(largest)(a, n), j_p = TYPED(largest)(p, n);
    double top = a[j_e], e_top = 0, e_rest = 0, p_rest = 0, half = 0;
    for (int64_t j = 0; j < n; j++) {
        double e = exp(a[j] - top);
        if (delta)
            delta[j] = (real)e;
        if (j == j_e)
            e_top = e;
        else
            e_rest += e;
        if (j != j_p)
            p_rest += p[j];
        if (p[j] != 0) /* p_j = 0 contributes 0 even where a_j = -inf */
            half += p[j] * (0.5 * top - 0.5 * a[j]); /* max - a_j may overflow, p_j times it not */
    }
    double e_sum = e_top + e_rest, p_sum = p_rest + p[j_p];
    if (delta)
        for (int64_t j = 0; j < n; j++) {
            double e = delta[j], e_others = j == j_e ? e_rest : e_sum - e;
            double p_others = j == j_p ? p_rest : p_sum - p[j];
            delta[j] = (real)((e * p_others - p[j] * e_others) / e_sum);
        }
    return isnan(e_sum) ? e_sum : 2 * half + p_sum * log1p(e_rest);
}

/* A row at a time; targets are classes l (rows,) or rows of probabilities p (rows, n). */
static int TYPED(loss_and_delta)(const fastbp_call *call, const void *a_, const void *targets,
                                 double *loss, void *delta_) {
    int64_t n = call->n_in;
    for (int64_t i = 0; i < call->rows; i++) {
        const real *a = (const real *)a_ + i * call->ld_x;
        real *delta = delta_ ? (real *)delta_ + i * call->ld_x : NULL;
        if (call->target_kind == FASTBP_CLASSES)
            loss[i] = TYPED(row_of_class)(a, ((const int64_t *)targets)[i], n, delta);
        else
            loss[i] = TYPED(row_of_probabilities)(a, (const real *)targets + i * call->ld_x, n,
                                                  delta);
    }
    return FASTBP_OK;
}

#endif

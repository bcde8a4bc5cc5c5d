/* Included once per type by _huber.c, which defines real and TYPED. a, targets and delta are
 * (rows, n_in), loss is (rows,). */

/* With r = a - t and near = r clipped to ±threshold: loss = Σ_j near_j (r_j - ½ near_j), which is
 * ½ r² near the target and threshold (|r| - ½ threshold) far from it; delta = near. */
static int TYPED(loss_and_delta)(const fastbp_call *call, const void *a_, const void *targets_,
                                 double *loss, void *delta_) {
    const double threshold = *(const double *)call->context;
    for (int64_t i = 0; i < call->rows; i++) {
        const real *a = (const real *)a_ + i * call->ld_x;
        const real *t = (const real *)targets_ + i * call->ld_x;
        real *delta = delta_ ? (real *)delta_ + i * call->ld_x : NULL;
        double total = 0;
        for (int64_t j = 0; j < call->n_in; j++) {
            double r = (double)a[j] - (double)t[j], near = r; /* NaN stays NaN */
            if (r > threshold)
                near = threshold;
            if (r < -threshold)
                near = -threshold;
            total += near * (r - 0.5 * near);
            if (delta)
                delta[j] = (real)near;
        }
        loss[i] = total;
    }
    return FASTBP_OK;
}

/* y_hat = a. */
static int TYPED(y_hat)(const fastbp_call *call, const void *a_, void *y_hat_) {
    for (int64_t i = 0; i < call->rows; i++) {
        const real *a = (const real *)a_ + i * call->ld_x;
        real *y_hat = (real *)y_hat_ + i * call->ld_y;
        for (int64_t j = 0; j < call->n_in; j++)
            y_hat[j] = a[j];
    }
    return FASTBP_OK;
}

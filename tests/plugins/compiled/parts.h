/* One float type's functions of parts.c, for `real` and TYPED(name). */

static int TYPED(half)(const fastbp_call *call, int64_t n, const void *x_, void *y_) {
    const real *x = x_;
    real *y = y_;
    for (int64_t i = 0; i < n; i++)
        y[i] = ordered_nan(call, FORWARD) ? (real)NAN : x[i] / 2;
    return obey(call, FORWARD);
}

static int TYPED(half_slope)(const fastbp_call *call, int64_t n, const void *x, const void *y,
                             void *out_) {
    real *out = out_;
    (void)x, (void)y;
    for (int64_t i = 0; i < n; i++)
        out[i] = ordered_nan(call, BACKWARD) ? (real)NAN : (real)0.5;
    return obey(call, BACKWARD);
}

/* y = gamma x; the buffer counts the rows seen in training. */
static int TYPED(scale)(const fastbp_call *call, const void *x_, void *y_) {
    const real *x = x_, *gamma = call->params[0];
    real *y = y_, *seen = call->buffers[0];
    for (int64_t i = 0; i < call->rows; i++)
        for (int64_t j = 0; j < call->n_in; j++)
            y[i * call->ld_y + j] =
                ordered_nan(call, FORWARD) ? (real)NAN : gamma[j] * x[i * call->ld_x + j];
    if (call->training)
        seen[0] += (real)call->rows;
    return obey(call, FORWARD);
}

static int TYPED(scale_backward)(const fastbp_call *call, const void *x_, const void *y,
                                 const void *dy_, void *dx_) {
    const real *x = x_, *dy = dy_, *gamma = call->params[0];
    real *dx = dx_, *dgamma = call->grads[0];
    (void)y;
    for (int64_t j = 0; j < call->n_in; j++) {
        double total = 0;
        for (int64_t i = 0; i < call->rows; i++) {
            total += (double)dy[i * call->ld_y + j] * x[i * call->ld_x + j];
            if (dx)
                dx[i * call->ld_x + j] = dy[i * call->ld_y + j] * gamma[j];
        }
        dgamma[j] = ordered_nan(call, BACKWARD) ? (real)NAN : (real)total;
    }
    return obey(call, BACKWARD);
}

/* loss = (a - t)² / 2, delta = a - t, on values. */
static int TYPED(squares)(const fastbp_call *call, const void *a_, const void *targets,
                          double *loss, void *delta_) {
    const real *a = a_, *t = targets;
    real *delta = delta_;
    for (int64_t i = 0; i < call->rows; i++) {
        loss[i] = ordered_nan(call, LOSS) ? NAN : 0;
        for (int64_t j = 0; j < call->n_in; j++) {
            int64_t k = i * call->ld_x + j;
            double gap = (double)a[k] - t[k];
            loss[i] += gap * gap / 2;
            if (delta)
                delta[k] = (real)gap;
        }
    }
    return obey(call, LOSS);
}

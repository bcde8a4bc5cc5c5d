/* Included once per type by _maxout.c, which defines real, TYPE and TYPED.
 * x (rows, n_in), y, dy, piece (rows, units), W (units * pieces, n_in), b (units * pieces,).
 *
 * Piece p of all units is a product of its own: its rows of W stand `pieces` apart, which is a
 * leading dimension of pieces * n_in. So scratch holds one piece at a time, z or dz (rows, units). */

/* y = max over p of z_p = x W_pᵀ + b_p, piece = the first p that is the largest; NaN stays NaN. */
static int TYPED(forward)(const fastbp_call *call, const void *x, void *y_) {
    const int64_t pieces = *(const int64_t *)call->context;
    const int64_t rows = call->rows, units = call->n_out, n_in = call->n_in;
    const real *W = call->params[0], *b = call->params[1];
    real *piece = call->saved[0], *z = call->scratch;
    for (int64_t p = 0; p < pieces; p++) {
        call->host->gemm[TYPE](0, 1, rows, units, n_in, 1, x, call->ld_x, W + p * n_in,
                               pieces * n_in, 0, z, units);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t u = 0; u < units; u++) {
                real *y = (real *)y_ + i * call->ld_y + u;
                real value = z[i * units + u] + b[u * pieces + p];
                int is_nan = value != value && *y == *y;
                if (p == 0 || value > *y || is_nan) {
                    *y = value;
                    piece[i * units + u] = (real)p;
                }
            }
    }
    return FASTBP_OK;
}

/* dz_p = dy where p was the largest, else 0; dW_p = dz_pᵀ x, db_p = Σ_rows dz_p and
 * dx = Σ_p dz_p W_p. */
static int TYPED(backward)(const fastbp_call *call, const void *x, const void *y, const void *dy_,
                           void *dx) {
    const int64_t pieces = *(const int64_t *)call->context;
    const int64_t rows = call->rows, units = call->n_out, n_in = call->n_in;
    const real *W = call->params[0], *piece = call->saved[0];
    real *dW = call->grads[0], *db = call->grads[1];
    double *sums = call->scratch; /* of one piece: a sum over many rows loses nothing in double */
    real *dz = (real *)(sums + units);
    (void)y;
    for (int64_t p = 0; p < pieces; p++) {
        memset(sums, 0, (size_t)units * sizeof *sums);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t u = 0; u < units; u++) {
                real dy = ((const real *)dy_)[i * call->ld_y + u];
                dz[i * units + u] = piece[i * units + u] == (real)p ? dy : 0;
                sums[u] += dz[i * units + u];
            }
        for (int64_t u = 0; u < units; u++)
            db[u * pieces + p] = (real)sums[u];
        call->host->gemm[TYPE](1, 0, units, n_in, rows, 1, dz, units, x, call->ld_x, 0,
                               dW + p * n_in, pieces * n_in);
        if (dx)
            call->host->gemm[TYPE](0, 0, rows, n_in, units, 1, dz, units, W + p * n_in,
                                   pieces * n_in, p > 0, dx, call->ld_x);
    }
    return FASTBP_OK;
}

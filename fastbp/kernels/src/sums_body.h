/* Passes over whole arrays for one type and one instruction set. */

/* E9: forward is a = h Wᵀ + b, so db = Σ_n delta_n; delta (batch, n_out), db (n_out,). */
static void IN(column_sums)(int64_t batch, int64_t n_out, const void *delta_, int64_t ld_delta,
                            void *db_) {
    real *db = db_;
    if (batch == 1)
        memcpy(db, delta_, n_out * sizeof *db);
    for (int64_t first = 0; batch != 1 && first < n_out; first += 64) {
        double total[64] = {0}; /* as many columns at a time: eight cache lines of sums */
        const real *delta = (const real *)delta_ + first;
        int64_t width = n_out - first < 64 ? n_out - first : 64;
        if (width == 64)
            for (int64_t i = 0; i < batch; i++, delta += ld_delta)
                for (int j = 0; j < 64; j++)
                    total[j] += delta[j];
        else
            for (int64_t i = 0; i < batch; i++, delta += ld_delta)
                for (int64_t j = 0; j < width; j++)
                    total[j] += delta[j];
        for (int64_t j = 0; j < width; j++)
            db[first + j] = (real)total[j];
    }
}

/* max |x_i|. Without their signs the bits of numbers are in the numbers' order, NaN above all. */
static double IN(largest)(int64_t n, const void *x_) {
    const whole *x = x_;
    whole top = 0;
    real most;
    for (int64_t i = 0; i < n; i++) {
        whole size = x[i] & WITHOUT_SIGN;
        top = size > top ? size : top;
    }
    memcpy(&most, &top, sizeof most);
    return most;
}

static double IN(squares)(int64_t n, const void *x_) {
    const real *x = x_;
    double total[16] = {0}; /* a fixed order of summation that fits every register's width */
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; l++)
            total[l] += (double)x[i + l] * (double)x[i + l];
    for (; i < n; i++)
        total[0] += (double)x[i] * (double)x[i];
    for (int l = 1; l < 16; l++)
        total[0] += total[l];
    return total[0];
}

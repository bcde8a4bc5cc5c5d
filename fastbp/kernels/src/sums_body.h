/* Passes over whole arrays for one type and one instruction set. */

/* E9: forward is a = h Wᵀ + b, so db = Σ_n delta_n, eight rows at a time and these sums in double;
 * delta (batch, n_out), db (n_out,). */
static void IN(column_sums)(int64_t batch, int64_t n_out, const void *delta, int64_t ld_delta,
                            void *db_) {
    real *db = db_;
    if (batch == 1) {
        memcpy(db, delta, n_out * sizeof *db);
        return;
    }
    for (int64_t first = 0; first < n_out; first += LANES) {
        int64_t some = n_out - first < LANES ? n_out - first : LANES;
        const real *rows = (const real *)delta + first;
        double total[LANES] __attribute__((aligned(64))) = {0};
        for (int64_t n = 0; n < batch; n += 8) {
            IN(reg) sum = {0};
            real sums[LANES] __attribute__((aligned(64)));
            for (int64_t i = n; i < batch && i < n + 8; i++, rows += ld_delta)
                sum += some == LANES ? LOAD(rows) : IN(load_part)(rows, some);
            STORE(sums, sum);
            for (int l = 0; l < LANES; l++)
                total[l] += sums[l];
        }
        for (int64_t l = 0; l < some; l++)
            db[first + l] = (real)total[l];
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

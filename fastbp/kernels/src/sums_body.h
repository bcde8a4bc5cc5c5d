/* Passes over whole arrays for one type and one instruction set. */

typedef double IN(doubles) __attribute__((vector_size(BYTES)));
#define HALF (BYTES / 8) /* numbers that a register holds as doubles */

/* HALF numbers, as doubles. */
static inline __attribute__((always_inline)) IN(doubles) IN(as_doubles)(const real *x) {
#if LANES * 8 == BYTES
    return LOAD(x);
#elif BYTES == 64
    return _mm512_cvtps_pd(_mm256_loadu_ps(x));
#elif BYTES == 32
    return _mm256_cvtps_pd(_mm_loadu_ps(x));
#else
    return (IN(doubles)){x[0], x[1]};
#endif
}

/* Σ of `rows` rows at delta, ld apart, of which `some` numbers are to be read. */
static inline __attribute__((always_inline)) IN(reg)
IN(sum_rows)(int64_t rows, const real *delta, int64_t ld, int64_t some) {
    IN(reg) sum = IN(load_part)(delta, some);
    for (int64_t i = 1; i < rows; i++)
        sum += IN(load_part)(delta + i * ld, some);
    return sum;
}

/* `nv` registers of columns, `some` numbers in all, their totals in registers. Beside few of them what
 * follows in memory is added up, but for the last rows. */
static inline __attribute__((always_inline)) void
IN(some_column_sums)(int nv, int64_t batch, int64_t some, const real *delta, int64_t ld,
                     int64_t at_once, real *db) {
    enum { PARTS = LANES / HALF };
    IN(doubles) total[4][PARTS];
    UNROLL(4)
    for (int v = 0; v < nv; v++)
        for (int h = 0; h < PARTS; h++)
            total[v][h] = (IN(doubles)){0};
    for (int64_t i = 0, rows; i < batch; i += rows, delta = BEYOND(delta, rows * ld)) {
        rows = batch - i < at_once ? batch - i : at_once;
        int full = nv > 1 || (batch - i - rows) * ld + some >= LANES; /* from the last of them on */
        UNROLL(4)
        for (int v = 0; v < nv; v++) {
            real sum[LANES] __attribute__((aligned(64)));
            STORE(sum, IN(sum_rows)(rows, delta + v * LANES, ld, full ? LANES : some));
            UNROLL(2)
            for (int h = 0; h < PARTS; h++)
                total[v][h] += IN(as_doubles)(sum + h * HALF);
        }
    }
    UNROLL(4)
    for (int v = 0; v < nv; v++) {
        real sum[LANES] __attribute__((aligned(64)));
        for (int l = 0; l < LANES; l++)
            sum[l] = (real)total[v][l / HALF][l % HALF];
        IN(store_part)(db + v * LANES, LOAD(sum), some - v * LANES);
    }
}
#undef HALF

/* E9: forward is a = h Wᵀ + b, so db = Σ_n delta_n: `at_once` rows in delta's type, these sums in
 * double; delta (batch, n_out), db (n_out,). */
static void IN(column_sums)(int64_t batch, int64_t n_out, const void *delta_, int64_t ld_delta,
                            int64_t at_once, void *db_) {
    const real *delta = delta_;
    real *db = db_;
    int64_t j = 0;
    if (batch < 2) {
        for (; j < n_out; j++)
            db[j] = batch ? delta[j] : 0;
        return;
    }
    for (; j + 4 * LANES <= n_out; j += 4 * LANES) /* so many that no sum waits for itself */
        IN(some_column_sums)(4, batch, 4 * LANES, delta + j, ld_delta, at_once, db + j);
    for (; j < n_out; j += LANES)
        IN(some_column_sums)(1, batch, n_out - j, delta + j, ld_delta, at_once, db + j);
}

/* max |x_i|. Without their signs the bits of numbers are in the numbers' order, NaN above all. */
static double IN(largest)(int64_t n, const void *x_) {
    const IN(bits_of) *x = x_;
    whole top = 0;
    real most;
    for (int64_t i = 0; i < n; i++) {
        whole size = x[i] & WITHOUT_SIGN;
        top = size > top ? size : top;
    }
    memcpy(&most, &top, sizeof most);
    return most;
}

/* At least max |x_i|, but for rounding, and sooner known: the root of Σ x_i², or max |x_i| of few
 * numbers, and where that is not finite, or so small that squares are lost in it. */
static double IN(bound)(int64_t n, const void *x_) {
    enum { AT_ONCE = 8 }; /* registers that do not wait for each other */
    const real *x = x_;
    IN(reg) sum[AT_ONCE] = {{0}};
    IN(four) part;
    int64_t i = 0;
    if (n < AT_ONCE * LANES)
        return IN(largest)(n, x);
    for (; i + AT_ONCE * LANES <= n; i += AT_ONCE * LANES)
        UNROLL(8)
        for (int v = 0; v < AT_ONCE; v++) {
            IN(reg) r = LOAD(x + i + v * LANES);
            sum[v] += r * r;
        }
    for (; i < n; i += LANES) {
        IN(reg) r = IN(load_part)(x + i, n - i);
        sum[0] += r * r;
    }
    UNROLL(4)
    for (int v = 0; v < 4; v++)
        sum[v] += sum[v + 4];
    IN(sums_of_4)(sum, &part);
    double square = (double)part[0] + part[1] + part[2] + part[3];
    const double least = 64 * (sizeof *x == 8 ? DBL_MIN : FLT_MIN);
    return isfinite(square) && square > least ? sqrt(square) : IN(largest)(n, x);
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

static void IN(scale_rows)(int64_t rows, int64_t n, const double *scale, void *x_) {
    real *x = x_;
    for (int64_t i = 0; i < rows; i++, x += n) {
        const real s = (real)scale[i];
        for (int64_t j = 0; j < n; j++)
            x[j] = s == 0 ? 0 : x[j] * s;
    }
}

static void IN(multiply)(int64_t n, const void *y_, void *x_) {
    const real *y = y_;
    real *x = x_;
    for (int64_t i = 0; i < n; i++)
        x[i] *= y[i];
}

static void IN(add_scaled)(int64_t n, double scale, const void *y_, void *x_) {
    const real *y = y_, s = (real)scale;
    real *x = x_;
    for (int64_t i = 0; i < n; i++)
        x[i] += s * y[i];
}

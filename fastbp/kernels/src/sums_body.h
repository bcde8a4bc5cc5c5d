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

/* Some columns of delta, no more than a register has, their totals in registers. Beside them what
 * follows in memory is added up, but for the last rows. */
static void IN(few_column_sums)(int64_t batch, int64_t n_out, const real *delta, int64_t ld,
                                int64_t at_once, real *db) {
    IN(doubles) total[2] = {{0}};
    for (int64_t i = 0, rows; i < batch; i += rows, delta += rows * ld) {
        real sum[LANES] __attribute__((aligned(64)));
        rows = batch - i < at_once ? batch - i : at_once;
        int whole = (batch - i - rows) * ld + n_out >= LANES; /* numbers from the last of them on */
        STORE(sum, IN(sum_rows)(rows, delta, ld, whole ? LANES : n_out));
        total[0] += IN(as_doubles)(sum);
        if (LANES > HALF)
            total[1] += IN(as_doubles)(sum + LANES - HALF);
    }
    for (int64_t j = 0; j < n_out; j++)
        db[j] = (real)total[j / HALF][j % HALF];
}
#undef HALF

/* E9: forward is a = h Wᵀ + b, so db = Σ_n delta_n: `at_once` rows in delta's type, these sums in
 * double; delta (batch, n_out), db (n_out,). */
static void IN(column_sums)(int64_t batch, int64_t n_out, const void *delta_, int64_t ld_delta,
                            int64_t at_once, void *db_) {
    enum { COLUMNS_AT_ONCE = 64 }; /* so many that no sum waits for itself */
    real *db = db_;
    if (batch == 1)
        memcpy(db, delta_, n_out * sizeof *db);
    for (int64_t first = 0; batch != 1 && first < n_out; first += COLUMNS_AT_ONCE) {
        double total[COLUMNS_AT_ONCE] __attribute__((aligned(64))) = {0};
        int64_t width = n_out - first < COLUMNS_AT_ONCE ? n_out - first : COLUMNS_AT_ONCE;
        const real *delta = (const real *)delta_ + first;
        if (width <= LANES) {
            IN(few_column_sums)(batch, width, delta, ld_delta, at_once, db + first);
            break;
        }
        for (int64_t i = 0, rows; i < batch; i += rows, delta += rows * ld_delta) {
            rows = batch - i < at_once ? batch - i : at_once;
            for (int64_t j = 0; j < width; j += LANES) {
                real row[LANES] __attribute__((aligned(64)));
                STORE(row, IN(sum_rows)(rows, delta + j, ld_delta, width - j));
                ROLLED
                for (int l = 0; l < LANES; l++)
                    total[j + l] += row[l];
            }
        }
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

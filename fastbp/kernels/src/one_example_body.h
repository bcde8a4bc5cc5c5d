/* The products of a step for one example, which are bound by the traffic of W: E1, E6, E8, and E8
 * with the optimizer's step; for one type and one instruction set. */

/* c (n,) = max(B a + bias, least), or B a + c, NaN staying NaN; B (n, k), a (k,), bias (n,) or NULL: E1
 * for one example. Four inner products at a time, each in two registers of partial sums. */
static void IN(inner_products)(int64_t n, int64_t k, const real *a, const real *B, int64_t ldb,
                               const real *bias, real least, real *c, int add) {
    const real *start = add ? c : bias;
    for (int64_t i = 0; i < n; i += 4) {
        const real *row[4];
        IN(four) sum = {0};
        int64_t rows = n - i < 4 ? n - i : 4, p = 0;
        for (int r = 0; r < 4; r++)
            row[r] = B + (i + (r < rows ? r : 0)) * ldb;
        if (k >= LANES) {
            IN(reg) s[4] = {{0}}, t[4] = {{0}};
            for (; p + 2 * LANES <= k; p += 2 * LANES)
                UNROLL(4)
                for (int r = 0; r < 4; r++) {
                    s[r] += LOAD(a + p) * LOAD(row[r] + p);
                    t[r] += LOAD(a + p + LANES) * LOAD(row[r] + p + LANES);
                }
            if (p + LANES <= k) {
                UNROLL(4)
                for (int r = 0; r < 4; r++)
                    s[r] += LOAD(a + p) * LOAD(row[r] + p);
                p += LANES;
            }
            UNROLL(4)
            for (int r = 0; r < 4; r++)
                s[r] += t[r];
            IN(sums_of_4)(s, &sum);
        }
        for (; p < k; p++)
            sum += a[p] * (IN(four)){row[0][p], row[1][p], row[2][p], row[3][p]};
        sum += 0; /* products that underflow leave -0 */
        if (rows == 4) {
            if (start)
                sum += *(const IN(four_mem) *)(start + i);
            IN(four) bound = (IN(four)){0} + least;
            IN(four_lanes) low = sum <= bound;
            *(IN(four_mem) *)(c + i) =
                (IN(four))((low & (IN(four_lanes))bound) | (~low & (IN(four_lanes))sum));
            continue;
        }
        for (int r = 0; r < rows; r++) {
            real total = sum[r] + (start ? start[i + r] : 0);
            c[i + r] = total <= least ? least : total;
        }
    }
}

/* c (n,) = a B, or + c; a (k,), B (k, n): E6 for one example. Four rows of B at a time. */
static void IN(sum_of_rows)(int64_t n, int64_t k, const real *restrict a, const real *restrict B,
                            int64_t ldb, real *restrict c, int add) {
    int64_t p = 0;
    for (int64_t j = 0; !add && j < n; j++)
        c[j] = 0;
    for (; p + 4 <= k; p += 4) {
        const real *b = B + p * ldb;
        for (int64_t j = 0; j < n; j++)
            c[j] += (a[p] * b[j] + a[p + 1] * b[ldb + j]) +
                    (a[p + 2] * b[2 * ldb + j] + a[p + 3] * b[3 * ldb + j]);
    }
    for (; p < k; p++)
        for (int64_t j = 0; j < n; j++)
            c[j] += a[p] * B[p * ldb + j];
}

/* C (m, n) = a b, or + C; a (m,), b (n,): E8 for one example. */
static void IN(rank_one)(int64_t m, int64_t n, const real *restrict a, const real *restrict b,
                         real *restrict C, int64_t ldc, int add) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            C[i * ldc + j] = (add ? C[i * ldc + j] : 0) + a[i] * b[j];
}

/* Parameters C (m, n) go the optimizer's step along a b; a (m,), b (n,). */
static void IN(step_along_one)(int64_t m, int64_t n, const real *restrict a, const real *restrict b,
                               real *restrict C, const IN(step) *step) {
#define STEPS(KIND)                                                                                \
    case KIND:                                                                                     \
        for (int64_t i = 0; i < m; i++, C += n)                                                    \
            for (int64_t j = 0; j < n; j += LANES)                                                 \
                IN(take_step)(KIND, a[i] * IN(load_part)(b + j, n - j), C + j, n - j, step);       \
        break;
    if (step->kind == RULE_SGD && step->decay == 0) {
        for (int64_t i = 0; i < m; i++, C += n) {
            real rate_a = step->rate * a[i];
            if (rate_a != 0) /* where a ReLU was off nothing changes: half the traffic */
                for (int64_t j = 0; j < n; j++)
                    C[j] -= rate_a * b[j];
        }
        return;
    }
    switch (step->kind) {
        STEPS(RULE_SGD)
        STEPS(RULE_MOMENTUM)
        STEPS(RULE_NESTEROV)
        STEPS(RULE_ADAM)
    }
#undef STEPS
}

/* One matrix product for one type and one instruction set: C = op(A) op(B) (+ C), row-major.
 *
 * Wants real (float or double), whole (an integer of its size), LANES (numbers per register) and
 * IN(name), which tells the instances apart. A tile of C, ROWS x COLUMNS registers, stays in
 * registers over a block of the depth: per step it takes COLUMNS vectors of B and, number by
 * number, ROWS numbers of A. An entry of C is added up in the order of the depth, block after
 * block, whatever tile it falls into: its bits do not depend on how C is divided.
 */
typedef real IN(reg) __attribute__((vector_size(LANES * sizeof(real))));
typedef real IN(mem) __attribute__((vector_size(LANES * sizeof(real)), aligned(sizeof(real)),
                                    may_alias)); /* a register's worth anywhere in memory */
typedef whole IN(lanes) __attribute__((vector_size(LANES * sizeof(real))));

#define WIDTH (COLUMNS * LANES)
#define LOAD(p) ((IN(reg)) * (const IN(mem) *)(p))
#define STORE(p, r) (*(IN(mem) *)(p) = (r))

/* C (rows, nv registers) = A (rows, k) B (k, nv registers) (+ C), or, with a rule, parameters C go
 * one step along A B. A's number (i, p) stands at i * a_row + p * a_col. rows and nv are constants
 * wherever this is called. */
static inline __attribute__((always_inline)) void
IN(tile)(int rows, int nv, int64_t k, const real *restrict A, int64_t a_row, int64_t a_col,
         const real *restrict B, int64_t ldb, real *restrict C, int64_t ldc, int add,
         const update_rule *rule) {
    IN(reg) c[ROWS][COLUMNS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < nv; v++) {
            __builtin_prefetch(C + i * ldc + v * LANES, 1);
            c[i][v] = (IN(reg)){0};
        }
    for (int64_t p = 0; p < k; p++) {
        IN(reg) b[COLUMNS];
#pragma GCC unroll 8
        for (int v = 0; v < nv; v++)
            b[v] = LOAD(B + p * ldb + v * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            real a = A[i * a_row + p * a_col];
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++)
                c[i][v] += a * b[v];
        }
    }
    if (rule && rule->kind == RULE_SGD) {
        real rate = (real)rule->rate, decay = (real)rule->decay;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++) {
                IN(reg) theta = LOAD(C + i * ldc + v * LANES);
                STORE(C + i * ldc + v * LANES, theta - rate * (c[i][v] + decay * theta));
            }
    } else if (rule) {
        real g[ROWS * WIDTH];
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++)
                STORE(g + (i * nv + v) * LANES, c[i][v]);
        IN(update_rows)(rows, nv * LANES, C, ldc, g, nv * LANES, rule);
    } else {
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++)
                STORE(C + i * ldc + v * LANES,
                      add ? LOAD(C + i * ldc + v * LANES) + c[i][v] : c[i][v]);
    }
}

/* The tile for any number of rows up to ROWS. */
#define TILES(NV)                                                                                  \
    static __attribute__((noinline)) void IN(tiles_##NV)(                                          \
        int64_t rows, int64_t k, const real *A, int64_t a_row, int64_t a_col, const real *B,       \
        int64_t ldb, real *C, int64_t ldc, int add, const update_rule *rule) {                            \
        for (; rows >= ROWS; rows -= ROWS, A += ROWS * a_row, C += ROWS * ldc)                     \
            IN(tile)(ROWS, NV, k, A, a_row, a_col, B, ldb, C, ldc, add, rule);                     \
        switch (rows) {                                                                            \
            EDGES(NV)                                                                              \
        }                                                                                          \
    }
#define EDGE(rows, NV)                                                                             \
    case rows:                                                                                     \
        IN(tile)(rows, NV, k, A, a_row, a_col, B, ldb, C, ldc, add, rule);                         \
        break;
TILES(1)
TILES(2)
TILES(3)

static void IN(tiles)(int64_t nv, int64_t rows, int64_t k, const real *A, int64_t a_row,
                      int64_t a_col, const real *B, int64_t ldb, real *C, int64_t ldc, int add,
                      const update_rule *rule) {
    if (nv == 3)
        IN(tiles_3)(rows, k, A, a_row, a_col, B, ldb, C, ldc, add, rule);
    else if (nv == 2)
        IN(tiles_2)(rows, k, A, a_row, a_col, B, ldb, C, ldc, add, rule);
    else
        IN(tiles_1)(rows, k, A, a_row, a_col, B, ldb, C, ldc, add, rule);
}

/* How many registers wide the next panel is, of `left` numbers: all of nearly equal width. */
static inline int64_t IN(panel)(int64_t left) {
    int64_t vectors = (left + LANES - 1) / LANES, panels = (vectors + COLUMNS - 1) / COLUMNS;
    return (vectors + panels - 1) / panels;
}

/* C (m, n) = A (m, k) B (k, n) (+ C), A by its strides, B in rows: E6 and E8; or a step of
 * parameters C along A B, for k <= STEP_DEPTH. A panel of B is packed where enough rows of A
 * use it; its last columns, when they do not fill a register, always. */
static void IN(by_rows)(int64_t m, int64_t n, int64_t k, const real *A, int64_t a_row,
                        int64_t a_col, const real *B, int64_t ldb, real *C, int64_t ldc, int add,
                        const update_rule *rule) {
    real packed[STEP_DEPTH * WIDTH] __attribute__((aligned(64))), sums[ROWS * WIDTH];
    int64_t block = rule ? STEP_DEPTH : DEPTH;
    for (int64_t p = 0; p < k || p == 0; p += block, add = 1) {
        int64_t depth = k - p < block ? k - p : block;
        const real *Ap = A + p * a_col, *Bp = B + p * ldb;
        for (int64_t j = 0, nv; j < n; j += nv * LANES) {
            nv = IN(panel)(n - j);
            int64_t wide = nv * LANES, left = n - j < wide ? n - j : wide;
            const real *panel = Bp + j;
            int64_t ld = ldb;
            if (left < wide || m > PACK_ROWS) {
                for (int64_t q = 0; q < depth; q++) {
                    const real *b = Bp + q * ldb + j;
                    real *to = packed + q * wide;
                    int64_t l = 0;
                    for (; l + LANES <= left; l += LANES)
                        STORE(to + l, LOAD(b + l));
                    for (; l < left; l++)
                        to[l] = b[l];
                    for (; l < wide; l++)
                        to[l] = 0;
                }
                panel = packed, ld = wide;
            }
            if (left == wide) {
                IN(tiles)(nv, m, depth, Ap, a_row, a_col, panel, ld, C + j, ldc, add, rule);
                continue;
            }
            for (int64_t i = 0; i < m; i += ROWS) {
                int64_t rows = m - i < ROWS ? m - i : ROWS;
                IN(tiles)(nv, rows, depth, Ap + i * a_row, a_row, a_col, panel, ld, sums, wide, 0,
                          NULL);
                real *c = C + i * ldc + j;
                if (rule)
                    IN(update_rows)(rows, left, c, ldc, sums, wide, rule);
                for (int64_t r = 0; !rule && r < rows; r++)
                    for (int64_t l = 0; l < left; l++)
                        c[r * ldc + l] = (add ? c[r * ldc + l] : 0) + sums[r * wide + l];
            }
        }
    }
}

/* Transposes LANES registers: exchanges blocks off the diagonal, half the size each time. */
#define LOW(l, s) ((l) & (s) ? LANES + (l) - (s) : (l))
#define HIGH(l, s) ((l) & (s) ? LANES + (l) : (l) + (s))
#define EXCHANGE(s)                                                                                \
    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) if (!(i & (s))) {                     \
        IN(reg) a = r[i], b = r[i + (s)];                                                          \
        r[i] = __builtin_shuffle(a, b, (IN(lanes)){EACH_LANE(LOW, s)});                            \
        r[i + (s)] = __builtin_shuffle(a, b, (IN(lanes)){EACH_LANE(HIGH, s)});                     \
    }
static inline __attribute__((always_inline)) void IN(transpose)(IN(reg) r[LANES]) {
#if LANES >= 16
    EXCHANGE(8)
#endif
#if LANES >= 8
    EXCHANGE(4)
#endif
#if LANES >= 4
    EXCHANGE(2)
#endif
    EXCHANGE(1)
}

/* to (depth, wide) = from (width, depth)ᵀ, 0 where from has no rows. */
static void IN(turn)(int64_t width, int64_t wide, int64_t depth, const real *from, int64_t ld,
                     real *to) {
    for (int64_t l = 0; l < wide; l += LANES) {
        int64_t q = 0, rows = width - l < LANES ? width - l : LANES;
        for (; q + LANES <= depth; q += LANES) {
            IN(reg) r[LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                r[i] = i < rows ? LOAD(from + (l + i) * ld + q) : (IN(reg)){0};
            IN(transpose)(r);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                STORE(to + (q + i) * wide + l, r[i]);
        }
        for (; q < depth; q++)
            for (int64_t i = 0; i < LANES; i++)
                to[q * wide + l + i] = i < rows ? from[(l + i) * ld + q] : 0;
    }
}

/* C (width, n) = sums (n, wide)ᵀ + bias, or + C; bias (n,) or NULL. */
static void IN(turn_back)(int64_t n, int64_t width, int64_t wide, const real *sums,
                          const real *bias, real *C, int64_t ldc, int add) {
    for (int64_t i = 0; i < n; i += LANES) {
        int64_t left = n - i < LANES ? n - i : LANES;
        real first[LANES] = {0}, last[LANES];
        for (int64_t l = 0; bias && l < left; l++)
            first[l] = bias[i + l];
        for (int64_t j = 0; j < width; j += LANES) {
            int64_t rows = width - j < LANES ? width - j : LANES;
            IN(reg) r[LANES];
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++)
                r[l] = l < left ? LOAD(sums + (i + l) * wide + j) : (IN(reg)){0};
            IN(transpose)(r);
#pragma GCC unroll 16
            for (int l = 0; l < LANES; l++) {
                if (l >= rows)
                    break;
                real *c = C + (j + l) * ldc + i;
                if (left == LANES) {
                    STORE(c, add ? LOAD(c) + r[l] : LOAD(first) + r[l]);
                } else {
                    STORE(last, r[l]);
                    for (int64_t e = 0; e < left; e++)
                        c[e] = (add ? c[e] : first[e]) + last[e];
                }
            }
        }
    }
}

/* C (m, n) = A (m, k) Bᵀ + bias, or + C; B (n, k), bias (n,) or NULL: E1. Both stand in rows along
 * the depth, so the smaller, A, is turned: up to WIDTH of its rows become lanes, Cᵀ = B Aᵀ comes
 * out, and is turned back when it is complete. */
static void IN(by_depth)(int64_t m, int64_t n, int64_t k, const real *A, int64_t lda,
                         const real *B, int64_t ldb, const real *bias, real *C, int64_t ldc,
                         int add) {
    real turned[DEPTH * WIDTH] __attribute__((aligned(64)));
    real sums[CHUNK * WIDTH] __attribute__((aligned(64)));
    for (int64_t j = 0, nv; j < m; j += nv * LANES) {
        nv = IN(panel)(m - j);
        int64_t wide = nv * LANES, width = m - j < wide ? m - j : wide;
        for (int64_t i = 0; i < n; i += CHUNK) {
            int64_t rows = n - i < CHUNK ? n - i : CHUNK;
            for (int64_t p = 0; p < k || p == 0; p += DEPTH) {
                int64_t depth = k - p < DEPTH ? k - p : DEPTH;
                if (i == 0 || k > DEPTH)
                    IN(turn)(width, wide, depth, A + j * lda + p, lda, turned);
                IN(tiles)(nv, rows, depth, B + i * ldb + p, ldb, 1, turned, wide, sums, wide, p > 0,
                          NULL);
            }
            IN(turn_back)(rows, width, wide, sums, bias ? bias + i : NULL, C + j * ldc + i, ldc,
                          add);
        }
    }
}

/* Sums of four registers' numbers. */
static inline __attribute__((always_inline)) void IN(sums_of_4)(const IN(reg) s[4], real sum[4]) {
#define ADD_UP(a, b, s)                                                                            \
    (__builtin_shuffle(a, b, (IN(lanes)){EACH_LANE(LOW, s)}) +                                     \
     __builtin_shuffle(a, b, (IN(lanes)){EACH_LANE(HIGH, s)}))
    IN(reg) low = ADD_UP(s[0], s[1], 1), high = ADD_UP(s[2], s[3], 1);
#if LANES == 2
    sum[0] = low[0], sum[1] = low[1], sum[2] = high[0], sum[3] = high[1];
#else
    low = ADD_UP(low, high, 2);
#if LANES >= 16
    low = ADD_UP(low, low, 8);
#endif
#if LANES >= 8
    low = ADD_UP(low, low, 4);
#endif
    for (int r = 0; r < 4; r++)
        sum[r] = low[r];
#endif
#undef ADD_UP
}

/* c (n,) = B a + bias, or + c; B (n, k), a (k,), bias (n,) or NULL: E1 for one example. Four inner
 * products at a time, each in two registers of partial sums. */
static void IN(inner_products)(int64_t n, int64_t k, const real *a, const real *B, int64_t ldb,
                               const real *bias, real *c, int add) {
    for (int64_t i = 0; i < n; i += 4) {
        const real *row[4];
        real sum[4] = {0};
        int64_t rows = n - i < 4 ? n - i : 4, p = 0;
        for (int r = 0; r < 4; r++)
            row[r] = B + (i + (r < rows ? r : 0)) * ldb;
        if (k >= LANES) {
            IN(reg) s[4] = {{0}}, t[4] = {{0}};
            for (; p + 2 * LANES <= k; p += 2 * LANES)
#pragma GCC unroll 4
                for (int r = 0; r < 4; r++) {
                    s[r] += LOAD(a + p) * LOAD(row[r] + p);
                    t[r] += LOAD(a + p + LANES) * LOAD(row[r] + p + LANES);
                }
            if (p + LANES <= k) {
#pragma GCC unroll 4
                for (int r = 0; r < 4; r++)
                    s[r] += LOAD(a + p) * LOAD(row[r] + p);
                p += LANES;
            }
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++)
                s[r] += t[r];
            IN(sums_of_4)(s, sum);
        }
        for (; p < k; p++)
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++)
                sum[r] += a[p] * row[r][p];
        for (int r = 0; r < rows; r++)
            c[i + r] = sum[r] + (add ? c[i + r] : bias ? bias[i + r] : 0);
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

/* Parameters C (m, n) go one step along a b; a (m,), b (n,). */
static void IN(step_along_one)(int64_t m, int64_t n, const real *restrict a,
                               const real *restrict b, real *restrict C, const update_rule *rule) {
    real g[256];
    for (int64_t i = 0; i < m; i++, C += n) {
        if (rule->kind == RULE_SGD && rule->decay == 0) {
            real rate = (real)rule->rate * a[i];
            /* Where a is 0, as where a ReLU was off, nothing changes: half the traffic. */
            for (int64_t j = 0; rate != 0 && j < n; j++)
                C[j] -= rate * b[j];
            continue;
        }
        for (int64_t j = 0; j < n; j += 256) {
            int64_t width = n - j < 256 ? n - j : 256;
            for (int64_t l = 0; l < width; l++)
                g[l] = a[i] * b[j + l];
            IN(update_rows)(1, width, C + j, n, g, n, rule);
        }
    }
}

/* C (m, n) = op(A) op(B) (+ C). */
static void IN(product)(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const void *A_,
                        int64_t lda, const void *B_, int64_t ldb, void *C_, int64_t ldc, int add) {
    const real *A = A_, *B = B_;
    real *C = C_;
    if (trans_b && m == 1)
        IN(inner_products)(n, k, A, B, ldb, NULL, C, add);
    else if (trans_b)
        IN(by_depth)(m, n, k, A, lda, B, ldb, NULL, C, ldc, add);
    else if (trans_a && k == 1)
        IN(rank_one)(m, n, A, B, C, ldc, add);
    else if (!trans_a && m == 1)
        IN(sum_of_rows)(n, k, A, B, ldb, C, add);
    else
        IN(by_rows)(m, n, k, A, trans_a ? 1 : lda, trans_a ? lda : 1, B, ldb, C, ldc, add, NULL);
}

/* E1: a = x Wᵀ + b; x (batch, n_in), W (n_out, n_in), b (n_out,) or NULL, a (batch, n_out). */
static void IN(affine)(int64_t batch, int64_t n_in, int64_t n_out, const void *x, const void *W,
                       const void *b, void *a) {
    if (batch == 1)
        IN(inner_products)(n_out, n_in, x, W, n_in, b, a, 0);
    else
        IN(by_depth)(batch, n_out, n_in, x, n_in, W, n_in, b, a, n_out, 0);
}

/* E8 and a step of the optimizer: W goes along deltaᵀ h, which is not formed. */
static void IN(step_along)(int64_t batch, int64_t n_in, int64_t n_out, const void *delta,
                           int64_t ld_delta, const void *h, void *W, const update_rule *rule) {
    if (batch == 1)
        IN(step_along_one)(n_out, n_in, delta, h, W, rule);
    else
        IN(by_rows)(n_out, n_in, batch, delta, 1, ld_delta, h, n_in, W, n_in, 0, rule);
}
#undef TILES
#undef EXCHANGE
#undef LOW
#undef HIGH
#undef EDGE
#undef WIDTH
#undef LOAD
#undef STORE

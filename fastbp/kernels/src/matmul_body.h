/* One matrix product for one type and one instruction set: C = op(A) op(B) (+ C), row-major.
 *
 * Wants real (float or double), LANES (numbers per register) and IN(name), which tells the
 * instances apart. A tile of C, ROWS x COLUMNS registers, stays in registers over the whole depth:
 * per step it takes COLUMNS vectors of B and, number by number, ROWS numbers of A.
 */
typedef real IN(reg) __attribute__((vector_size(LANES * sizeof(real))));
typedef real IN(mem) __attribute__((vector_size(LANES * sizeof(real)), aligned(sizeof(real)),
                                    may_alias)); /* a register's worth anywhere in memory */

#define WIDTH (COLUMNS * LANES)

/* C (rows, nv registers) = A (rows, k) B (k, nv registers) (+ C); A's number (i, p) stands at
 * i * a_row + p * a_col. rows and nv are constants wherever this is called. */
static inline __attribute__((always_inline)) void
IN(tile)(int rows, int nv, int64_t k, const real *restrict A, int64_t a_row, int64_t a_col,
         const real *restrict B, int64_t ldb, real *restrict C, int64_t ldc, int add) {
    IN(reg) c[ROWS][COLUMNS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < nv; v++)
            c[i][v] = add ? (IN(reg)) * (IN(mem) *)(C + i * ldc + v * LANES) : (IN(reg)){0};
    for (int64_t p = 0; p < k; p++) {
        IN(reg) b[COLUMNS];
#pragma GCC unroll 8
        for (int v = 0; v < nv; v++)
            b[v] = *(const IN(mem) *)(B + p * ldb + v * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            real a = A[i * a_row + p * a_col];
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++)
                c[i][v] += a * b[v];
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < nv; v++)
            *(IN(mem) *)(C + i * ldc + v * LANES) = c[i][v];
}

/* The tile for any number of rows up to ROWS. */
#define TILES(NV)                                                                                  \
    static __attribute__((noinline)) void IN(tiles_##NV)(                                          \
        int64_t rows, int64_t k, const real *A, int64_t a_row, int64_t a_col, const real *B,       \
        int64_t ldb, real *C, int64_t ldc, int add) {                                              \
        for (; rows >= ROWS; rows -= ROWS, A += ROWS * a_row, C += ROWS * ldc)                     \
            IN(tile)(ROWS, NV, k, A, a_row, a_col, B, ldb, C, ldc, add);                           \
        switch (rows) {                                                                            \
            EDGES(NV)                                                                              \
        }                                                                                          \
    }
#define EDGE(rows, NV)                                                                             \
    case rows:                                                                                     \
        IN(tile)(rows, NV, k, A, a_row, a_col, B, ldb, C, ldc, add);                               \
        break;
TILES(1)
TILES(2)
TILES(3)

static void IN(tiles)(int64_t nv, int64_t rows, int64_t k, const real *A, int64_t a_row,
                      int64_t a_col, const real *B, int64_t ldb, real *C, int64_t ldc, int add) {
    if (nv == 3)
        IN(tiles_3)(rows, k, A, a_row, a_col, B, ldb, C, ldc, add);
    else if (nv == 2)
        IN(tiles_2)(rows, k, A, a_row, a_col, B, ldb, C, ldc, add);
    else
        IN(tiles_1)(rows, k, A, a_row, a_col, B, ldb, C, ldc, add);
}

/* C (m, n) = A (m, k) B (k, n) (+ C), A by its strides, B in rows: E6 and E8. B is read where it
 * stands; only its last columns, when they do not fill a register, are copied. */
static void IN(by_rows)(int64_t m, int64_t n, int64_t k, const real *A, int64_t a_row,
                        int64_t a_col, const real *B, int64_t ldb, real *C, int64_t ldc, int add) {
    for (int64_t p = 0; p < k || p == 0; p += DEPTH, add = 1) {
        int64_t depth = k - p < DEPTH ? k - p : DEPTH, j = 0;
        const real *Ap = A + p * a_col, *Bp = B + p * ldb;
        for (int64_t nv; (nv = (n - j) / LANES) > 0; j += nv * LANES) {
            nv = nv > COLUMNS ? COLUMNS : nv;
            IN(tiles)(nv, m, depth, Ap, a_row, a_col, Bp + j, ldb, C + j, ldc, add);
        }
        int64_t left = n - j;
        if (left == 0)
            continue;
        real last[DEPTH * LANES], sums[ROWS * LANES];
        for (int64_t q = 0; q < depth; q++)
            for (int64_t l = 0; l < LANES; l++)
                last[q * LANES + l] = l < left ? Bp[q * ldb + j + l] : 0;
        for (int64_t i = 0; i < m; i += ROWS) {
            int64_t rows = m - i < ROWS ? m - i : ROWS;
            IN(tiles_1)(rows, depth, Ap + i * a_row, a_row, a_col, last, LANES, sums, LANES, 0);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t l = 0; l < left; l++) {
                    real *c = C + (i + r) * ldc + j + l;
                    *c = add ? *c + sums[r * LANES + l] : sums[r * LANES + l];
                }
        }
    }
}

/* C (m, n) = A (m, k) Bᵀ (+ C), B (n, k): E1. Both stand in rows along the depth, so the smaller,
 * A, is turned: WIDTH of its rows become lanes, and Cᵀ = B Aᵀ comes out, tile by tile. */
static void IN(by_depth)(int64_t m, int64_t n, int64_t k, const real *A, int64_t lda,
                         const real *B, int64_t ldb, real *C, int64_t ldc, int add) {
    real turned[DEPTH * WIDTH], sums[ROWS * WIDTH];
    for (int64_t p = 0; p < k || p == 0; p += DEPTH, add = 1) {
        int64_t depth = k - p < DEPTH ? k - p : DEPTH;
        int64_t panels = (m + WIDTH - 1) / WIDTH; /* of equal width, or one would be thin */
        int64_t wide = panels ? ((m + panels - 1) / panels + LANES - 1) / LANES * LANES : 0;
        for (int64_t j = 0; j < m; j += wide) {
            int64_t width = m - j < wide ? m - j : wide, nv = wide / LANES;
            for (int64_t l = 0; l < wide; l++) {
                const real *a = A + (j + l) * lda + p;
                if (l < width)
                    for (int64_t q = 0; q < depth; q++)
                        turned[q * wide + l] = a[q];
                else
                    for (int64_t q = 0; q < depth; q++)
                        turned[q * wide + l] = 0;
            }
            for (int64_t i = 0; i < n; i += ROWS) {
                int64_t rows = n - i < ROWS ? n - i : ROWS;
                IN(tiles)(nv, rows, depth, B + i * ldb + p, ldb, 1, turned, wide, sums, wide, 0);
                for (int64_t l = 0; l < width; l++) {
                    real *c = C + (j + l) * ldc + i;
                    for (int64_t r = 0; r < rows; r++)
                        c[r] = add ? c[r] + sums[r * wide + l] : sums[r * wide + l];
                }
            }
        }
    }
}

/* C (1, n) = a (1, k) Bᵀ (+ C), B (n, k): E1 for one example. Four inner products at a time, each
 * in two registers of partial sums. */
static void IN(inner_products)(int64_t n, int64_t k, const real *a, const real *B, int64_t ldb,
                               real *C, int add) {
    for (int64_t i = 0; i < n; i += 4) {
        const real *row[4];
        for (int r = 0; r < 4; r++)
            row[r] = B + (i + r < n ? i + r : i) * ldb;
        IN(reg) s[4][2] = {{{0}}};
        int64_t p = 0;
        for (; p + 2 * LANES <= k; p += 2 * LANES)
#pragma GCC unroll 8
            for (int r = 0; r < 4; r++)
#pragma GCC unroll 2
                for (int v = 0; v < 2; v++)
                    s[r][v] += *(const IN(mem) *)(a + p + v * LANES) *
                               *(const IN(mem) *)(row[r] + p + v * LANES);
        for (int r = 0; r < 4 && i + r < n; r++) {
            IN(reg) sum = s[r][0] + s[r][1];
            real total = add ? C[i + r] : 0;
            for (int64_t q = p; q < k; q++)
                total += a[q] * row[r][q];
            for (int l = 0; l < LANES; l++)
                total += sum[l];
            C[i + r] = total;
        }
    }
}

/* C (m, n) = op(A) op(B) (+ C). */
static void IN(product)(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const real *A,
                        int64_t lda, const real *B, int64_t ldb, real *C, int64_t ldc, int add) {
    if (m == 1 && trans_b)
        IN(inner_products)(n, k, A, B, ldb, C, add);
    else if (!trans_b)
        IN(by_rows)(m, n, k, A, trans_a ? 1 : lda, trans_a ? lda : 1, B, ldb, C, ldc, add);
    else
        IN(by_depth)(m, n, k, A, lda, B, ldb, C, ldc, add);
}
#undef TILES
#undef EDGE
#undef WIDTH

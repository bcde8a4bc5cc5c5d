/* C = A B where many numbers of A are 0, as a ReLU leaves them in h and delta and as images have
 * them: they are skipped. For one type and one instruction set.
 *
 * A row of C stays in up to SKIP_UNITS times SKIP_UNIT registers while those rows of B are added to
 * it whose number in A is not 0: a bit for each number tells. So a number costs a load with each
 * multiply-add, and where few numbers are 0 tiles are as fast. An entry of C is added up in the same
 * order as in a tile, and what is left out, + 0 b, changes no bit where b is finite but the sign of a
 * zero, which no finished sum has: a panel of B that is not finite goes through tiles.
 */
#define SKIP_WIDE (SKIP_UNITS * SKIP_UNIT)
#define UNIT (SKIP_UNIT * LANES)

/* What the workspace holds. While zeros are skipped, in_blocks would write over it; in_tiles, which
 * takes a panel that is not finite, must not. */
typedef struct IN(held) {
    real rows_of_A[BLOCK_BYTES / sizeof(real)]; /* in_blocks' blocks too */
    real sums[SKIP_ROWS * SKIP_WIDE * LANES];
    uint64_t marks[SKIP_MARKS];
    real turned[2][CHUNK * WIDTH]; /* what by_depth puts out, and what it did before */
    const real *kept;              /* where the newer of them stands turned back, or NULL */
    int newer;
} IN(held);
_Static_assert(sizeof(IN(held)) <= WORKSPACE, "the workspace is too small");

/* marks (m, words): bit p % SPAN of word p / SPAN tells that A's number (i, p) is not 0. One of A's
 * strides is 1. Returns how many are not. */
static int64_t IN(mark)(int64_t m, int64_t k, const real *A, int64_t a_row, int64_t a_col,
                        uint64_t *marks, int64_t words) {
    int64_t count = 0;
    if (a_row == 1)
        memset(marks, 0, m * words * sizeof *marks);
    for (int64_t i = 0; a_row == 1 && i < m; i += LANES) /* registers of columns */
        for (int64_t p = 0; p < k; p += 32) {
            int64_t some = m - i < LANES ? m - i : LANES;
            const real *a = A + p * a_col + i;
            IN(naturals) bits = {0}, bit = (IN(naturals)){0} + 1;
            for (int64_t q = p; q < k && q < p + 32; q++, a = BEYOND(a, a_col), bit <<= 1)
                bits |= (IN(naturals))(IN(load_part)(a, some) != 0) & bit;
            for (int64_t l = 0; l < some; l++)
                marks[(i + l) * words + p / SPAN] |= (uint64_t)(uint32_t)bits[l] << p % SPAN;
        }
    for (int64_t i = 0; a_row != 1 && i < m; i++) /* registers of a row */
        for (int64_t w = 0; w < words; w++) {
            const real *a = A + i * a_row + w * SPAN;
            int64_t some = k - w * SPAN < SPAN ? k - w * SPAN : SPAN;
            uint64_t bits = 0;
            for (int64_t q = 0; q < some; q += LANES)
                bits |= (uint64_t)IN(bits)(IN(load_part)(a + q, some - q) != 0) << q;
            marks[i * words + w] = bits;
        }
    for (int64_t w = 0; w < m * words; w++)
        count += __builtin_popcountll(marks[w]);
    return count;
}

/* Whether it takes less for C (m, n), where `count` of A's m k numbers are not 0, in multiply-adds
 * of a register: each of them is fetched for each panel, a row begins and ends, and B is packed. */
static inline int IN(pays)(int64_t count, int64_t m, int64_t n, int64_t k, int turned) {
    int64_t units = (n + UNIT - 1) / UNIT, wide = units * SKIP_UNIT;
    int64_t panels = (units + SKIP_UNITS - 1) / SKIP_UNITS;
    int64_t words = (k + SPAN - 1) / SPAN, tiles = m * k * wide, turns = (n + k) * m / LANES;
    if (turned) /* tiles turn as well: B, or A and C */
        tiles += TURNING * (turns < k * wide ? turns : k * wide);
    const skip_costs *costs = costs_of_skipping();
    return count * (wide + panels) * costs->loading / 4 + m * words * panels * costs->row +
               k * wide * (turned ? TURNING : 2) <
           tiles;
}

/* sums (rows, nv registers) from A B over a word of marks, added up from 0 or from what it holds; or
 * this finished in C (rows, width), if given. */
#define MARKED(NU)                                                                                 \
    static __attribute__((noinline, aligned(64))) void IN(marked_##NU)(                            \
        int64_t rows, const uint64_t *marks, int64_t words, const real *A, int64_t a_row,          \
        int64_t a_col, const real *B, int from_0, real *sums, int64_t width, real *C, int64_t ldc, \
        const IN(ending) *ending) {                                                                \
        enum { nv = NU * SKIP_UNIT };                                                              \
        real *column_sums = C ? IN(sums_at)(C, ldc, ending) : NULL;                                \
        for (int64_t r = 0; r < rows; r++, sums += nv * LANES,                                     \
                     marks = BEYOND(marks, words), A = BEYOND(A, a_row)) {                         \
            IN(reg) c[nv];                                                                         \
            if (C)                                                                                 \
                EACH(v) __builtin_prefetch(BEYOND(C, v * LANES), 1);                               \
            EACH(v) c[v] = from_0 ? (IN(reg)){0} : LOAD(sums + v * LANES);                         \
            for (uint64_t bits = *marks; bits; bits &= bits - 1) {                                 \
                int64_t p = __builtin_ctzll(bits);                                                 \
                real a = A[p * a_col];                                                             \
                const real *b = B + p * (nv * LANES);                                              \
                EACH(v) c[v] += a * LOAD(b + v * LANES);                                           \
            }                                                                                      \
            if (!C) {                                                                              \
                EACH(v) STORE(sums + v * LANES, c[v]);                                             \
                continue;                                                                          \
            }                                                                                      \
            if (ending->add)                                                                       \
                EACH(v) if (SOME(v) > 0) c[v] += IN(load_part)(C + v * LANES, SOME(v));            \
            switch (ending->kind) {                                                                \
                FINISH(SUM) FINISH(AFFINE) FINISH(GATE) FINISH(STEP)                               \
            }                                                                                      \
            C = BEYOND(C, ldc);                                                                    \
            if (!column_sums)                                                                      \
                continue;                                                                          \
            EACH(v) if (SOME(v) > 0) {                                                             \
                real *to = column_sums + r / ROWS * ldc + v * LANES;                               \
                IN(store_part)(to, r % ROWS ? IN(load_part)(to, SOME(v)) + c[v] : c[v], SOME(v));  \
            }                                                                                      \
        }                                                                                          \
    }
#define EACH(v) UNROLL(16) for (int v = 0; v < nv; v++)
/* How many numbers of register v lie in C: all, but for the last unit's, where it may be none. */
#define SOME(v) (v < nv - SKIP_UNIT || width - v * LANES > LANES ? LANES : width - v * LANES)
#define FINISH(KIND)                                                                               \
    case KIND: {                                                                                   \
        STILL(KIND);                                                                               \
        EACH(v) if (SOME(v) > 0)                                                                   \
            c[v] = IN(finish)(                                                                     \
                KIND, c[v], C + v * LANES, SOME(v),                                                \
                IN(bias_at)(ending->bias ? ending->bias + v * LANES : NULL, SOME(v)), &still);     \
    } break;
MARKED(3)
MARKED(4)
MARKED(5)
MARKED(6)
MARKED(7)
#if SKIP_UNITS == 8
MARKED(8)
#endif
#undef MARKED
#undef FINISH
#undef SOME
#undef EACH

/* C (rows, width) from a block of A's numbers, marked, and a panel of B (depth, width), or Bᵀ; wide
 * is width in whole units. Whether it was done: not where the panel is not finite. */
static int IN(marked_panel)(int64_t rows, int64_t width, int64_t wide, int64_t depth,
                            const uint64_t *marks, int64_t words, const real *A, int64_t a_row,
                            int64_t a_col, const real *B, int64_t ldb, int turned, real *sums,
                            real *C, int64_t ldc, const IN(ending) *ending) {
    real packed[SPAN * SKIP_WIDE * LANES] __attribute__((aligned(64)));
    const int apart = ending->kind == MOMENTS;
    for (int64_t p = 0; p < depth; p += SPAN) {
        int64_t some = depth - p < SPAN ? depth - p : SPAN;
        int finite;
        if (turned) {
            IN(turn)(width, wide, some, B + p, ldb, packed);
            finite = isfinite(IN(largest)(some * wide, packed));
        } else {
            finite = IN(pack)(width, wide, some, B + p * ldb, ldb, packed);
        }
        if (!finite)
            return 0;
#define CASE(NU)                                                                                   \
    case NU:                                                                                       \
        IN(marked_##NU)(rows, marks + p / SPAN, words, A + p * a_col, a_row, a_col, packed,        \
                        p == 0, sums, width, p + SPAN >= depth && !apart ? C : NULL, ldc, ending); \
        break;
        switch (wide / UNIT) {
            CASE(3)
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
#if SKIP_UNITS == 8
            CASE(8)
#endif
        }
#undef CASE
    }
    if (apart)
        IN(finish_rows)(rows, width, wide, sums, NULL, C, ldc, ending);
    return 1;
}

/* C (m, n) from A (m, k) B (k, n), or Bᵀ, rows of A by the chunk. From the first chunk on where it
 * does not pay, tiles take over. */
static __attribute__((noinline)) void
IN(in_marked_rows)(int64_t m, int64_t n, int64_t k, const real *A, int64_t a_row, int64_t a_col,
                   const real *B, int64_t ldb, int turned, real *C, int64_t ldc,
                   const IN(ending) *ending, IN(held) *in) {
    enum { room = BLOCK_BYTES / sizeof(real) };
    const int64_t units = (n + UNIT - 1) / UNIT, panels = (units + SKIP_UNITS - 1) / SKIP_UNITS;
    const int64_t words = (k + SPAN - 1) / SPAN, whole_k = (k + LANES - 1) / LANES * LANES;
    const int64_t block = IN(depth)(ldc, k, ending->kind);
    const int turns_A = a_row == 1 && panels > 2 && whole_k <= room / LANES;
    for (int64_t i = 0, rows; i < m;
         i += rows, A = BEYOND(A, rows * a_row), C = BEYOND(C, rows * ldc)) {
        const real *from = A;
        int64_t from_row = a_row, from_col = a_col;
        rows = words * SKIP_ROWS > SKIP_MARKS ? SKIP_MARKS / words : SKIP_ROWS;
        if (turns_A && rows * whole_k > room)
            rows = room / whole_k;
        rows = m - i < rows ? m - i : rows / ROWS * ROWS;
        if (turns_A) { /* its columns' numbers often lie where the cache has room for few of them */
            IN(turn)(k, whole_k, rows, A, a_col, in->rows_of_A);
            from = in->rows_of_A, from_row = whole_k, from_col = 1;
        }
        if (!IN(pays)(IN(mark)(rows, k, from, from_row, from_col, in->marks, words), rows, n, k,
                      turned)) {
            IN(in_blocks)(m - i, n, k, A, a_row, a_col, B, ldb, turned, C, ldc, ending);
            return;
        }
        for (int64_t p = 0; p < k; p += block)
            for (int64_t j = 0, panel = 0, wide; j < n; j += wide, panel++) {
                int64_t depth = k - p < block ? k - p : block;
                const real *b = turned ? B + j * ldb + p : B + p * ldb + j;
                IN(ending) now = *ending;
                now.kind = p + depth < k ? SUM : ending->kind;
                now.add = p > 0;
                now.bias = ending->bias ? ending->bias + j : NULL;
                wide = ((units + panel) / panels) * UNIT;
                int64_t width = n - j < wide ? n - j : wide;
                if (!IN(marked_panel)(rows, width, wide, depth, in->marks + p / SPAN, words,
                                      from + p * from_col, from_row, from_col, b, ldb, turned,
                                      in->sums, C + j, ldc, &now))
                    IN(in_tiles)(rows, width, depth, A + p * a_col, a_row, a_col, b, ldb, turned,
                                 C + j, ldc, &now);
            }
    }
}

/* The same, if a look at some of A's numbers says that it will pay: whether it was done. */
static int IN(skips)(int64_t m, int64_t n, int64_t k, const real *A, int64_t a_row, int64_t a_col,
                     const real *B, int64_t ldb, int turned, real *C, int64_t ldc,
                     const IN(ending) *ending) {
    uint64_t marks[16]; /* of a register of columns, or of four rows */
    int64_t rows = a_row == 1 ? LANES : 4, depth = k < 32 ? k : 32, count;
    if (n <= 2 * UNIT || m < 16 || k < SKIP_DEPTH || k > SPAN * (SKIP_MARKS / 16) || ending->add)
        return 0;
    count = IN(mark)(rows, depth, A, a_row, a_col, marks, 1);
    if (!IN(pays)(count * m * k / (rows * depth), m, n, k, turned))
        return 0;
    IN(held) *in = own_workspace();
    if (!in)
        return 0;
    IN(in_marked_rows)(m, n, k, A, a_row, a_col, B, ldb, turned, C, ldc, ending, in);
    return 1;
}
#undef UNIT
#undef SKIP_WIDE

/* A tile of a product, and what becomes of it, for one type and one instruction set.
 *
 * A tile of C, ROWS x COLUMNS registers, stays in registers over a block of the depth: per step it
 * takes COLUMNS vectors of B and, number by number, ROWS numbers of A. An entry of C is added up in
 * the order of the depth, block after block, whatever tile it falls into: its bits do not depend on
 * how C is divided.
 */
#define WIDTH (COLUMNS * LANES)

/* What becomes of the sums A B, before they leave the registers. */
typedef struct IN(ending) {
    int kind;         /* SUM, AFFINE, GATE, STEP or MOMENTS */
    int add;          /* A B is to be added to what C holds */
    const real *bias; /* (n,) or NULL */
    real least;
    const real *h; /* laid out like C, which starts at `start` */
    real *start;
    const IN(step) *step;
    real *sums; /* (m / ROWS, n), a row for each begun, for GATE, or NULL: E9's sums over a tile's rows */
} IN(ending);

/* Where the sums over the tile at C go, if they are wanted. */
static inline real *IN(sums_at)(const real *C, int64_t ldc, const IN(ending) *ending) {
    if (ending->kind != GATE || !ending->sums)
        return NULL;
    const int64_t at = C - ending->start;
    return ending->sums + at / ldc / ROWS * ldc + at % ldc;
}

/* Some of the bias, for AFFINE, but for the sign of a zero. */
static inline __attribute__((always_inline)) IN(reg) IN(bias_at)(const real *bias, int64_t some) {
    return bias ? IN(load_part)(bias, some) + 0 : (IN(reg)){0};
}

/* A register of sums c, of whose numbers the first `some` go to `to`; with its bias. Returns what went
 * there, but for STEP. */
static inline __attribute__((always_inline)) IN(reg)
IN(finish)(int kind, IN(reg) c, real *to, int64_t some, IN(reg) bias, const IN(ending) *ending) {
    /* or + 0, so that no sum is -0, which depends on the zeros added to products that underflowed */
    c += kind == AFFINE || kind == TURNED ? bias : (IN(reg)){0};
    if (kind == AFFINE || kind == TURNED) {
        c = IN(at_least)(c, ending->least);
    } else if (kind == GATE) {
        IN(reg) h = IN(load_part)(ending->h + (to - ending->start), some);
        c = (IN(reg))((IN(lanes))c & (h > 0));
    } else if (kind == STEP) {
        IN(take_step)(RULE_SGD, c, to, some, ending->step);
        return c;
    }
    IN(store_part)(to, c, some);
    return c;
}

/* `still`, what the ending holds: from the ending itself GCC would read again after each store to C,
 * which might be part of it for all that GCC knows. */
#define STILL(KIND)                                                                                \
    const IN(step) step = (KIND) == STEP ? *ending->step : (IN(step)){0};                          \
    IN(ending) still = *ending;                                                                    \
    still.step = &step

/* C (rows, nv registers) from A (rows, k) B (k, nv registers). A's number (i, p) stands at
 * i * a_row + p * a_col; bias is that of C's first column, or row. rows and nv are constants wherever this
 * is called. What is next to A and C is found from where they stand (OPAQUE): GCC would keep a
 * pointer for each row over all tiles, most of them in memory. Sums that were begun are gone on with. */
static inline __attribute__((always_inline)) void
IN(tile)(int rows, int nv, int64_t k, const real *restrict A, int64_t a_row, int64_t a_col,
         const real *restrict B, int64_t ldb, real *restrict C, int64_t ldc, const real *bias,
         const IN(ending) *ending, real *column_sums, int sums_begun) {
    IN(reg) c[ROWS][WIDEST], b[WIDEST];
    const real *half = rows > 4 ? A + 4 * a_row : A;
#define EACH_REGISTER                                                                              \
    UNROLL(16) for (int i = 0; i < rows; i++)                                                      \
        UNROLL(8) for (int v = 0; v < nv; v++)
#define EACH_ROW(DO)                                                                               \
    {                                                                                              \
        real *to = C;                                                                              \
        UNROLL(16) for (int i = 0; i < rows; i++, to = BEYOND(to, ldc)) {                          \
            OPAQUE(to);                                                                            \
            UNROLL(8) for (int v = 0; v < nv; v++) DO;                                             \
        }                                                                                          \
    }
#define FINISH(KIND)                                                                               \
    case KIND: {                                                                                   \
        STILL(KIND);                                                                               \
        EACH_ROW(c[i][v] = IN(finish)(KIND, c[i][v], to + v * LANES, LANES,                        \
                                      KIND == TURNED ? (IN(reg)){0} + (bias ? bias[i] + 0 : 0)     \
                                                     : b[v],                                         \
                                      &still))                                                     \
    } break;
    OPAQUE(A);
    OPAQUE(half);
    EACH_ROW(__builtin_prefetch(to + v * LANES, 1))
    EACH_REGISTER c[i][v] = (IN(reg)){0};
    /* A and half go beyond their array in the end, unlike B: where they came from is hidden. */
    for (int64_t p = 0; p < k; p++, A += a_col, half += a_col, B = BEYOND(B, ldb)) {
        UNROLL(8)
        for (int v = 0; v < nv; v++)
            b[v] = LOAD(B + v * LANES);
        UNROLL(16)
        for (int i = 0; i < rows; i++) {
            real a = i < 4 ? A[i * a_row] : half[(i - 4) * a_row];
            UNROLL(8)
            for (int v = 0; v < nv; v++)
                c[i][v] += a * b[v];
        }
    }
    if (ending->add)
        EACH_ROW(c[i][v] += LOAD(to + v * LANES))
    if (ending->kind == AFFINE) {
        UNROLL(8)
        for (int v = 0; v < nv; v++)
            b[v] = IN(bias_at)(bias ? bias + v * LANES : NULL, LANES);
    }
    switch (ending->kind) {
        FINISH(SUM)
        FINISH(AFFINE)
        FINISH(TURNED)
        FINISH(GATE)
        FINISH(STEP)
    }
    if (column_sums) {
        UNROLL(8)
        for (int v = 0; sums_begun && v < nv; v++)
            c[0][v] += LOAD(column_sums + v * LANES);
        EACH_REGISTER if (i) c[0][v] += c[i][v];
        UNROLL(8)
        for (int v = 0; v < nv; v++)
            STORE(column_sums + v * LANES, c[0][v]);
    }
#undef FINISH
#undef EACH_ROW
#undef EACH_REGISTER
}

/* The tile for any number of rows, no more than MOST at a time. Where there are to be sums over ROWS
 * of them, in halves of so many if MOST is less. It begins on a cache line, as marked_ of zeros_body.h does,
 * so that no change elsewhere moves its loops: one made 784-128-10 on 32 examples 3% slower. */
#define TILES(NV, MOST, CASES)                                                                     \
    static __attribute__((noinline, aligned(64))) void IN(tiles_##NV)(                             \
        int64_t rows, int64_t k, const real *A, int64_t a_row, int64_t a_col, const real *B,       \
        int64_t ldb, real *C, int64_t ldc, const real *bias, const IN(ending) *ending) {          \
        real *sums = IN(sums_at)(C, ldc, ending);                                                  \
        const int64_t most = sums && MOST < ROWS ? ROWS / 2 : MOST;                                \
        for (int64_t some, begun = 0; rows;                                                        \
             rows -= some, A = BEYOND(A, some * a_row), C = BEYOND(C, some * ldc)) {               \
            some = rows < most ? rows : most;                                                      \
            if (rows > most && rows < 2 * most && !sums) /* two tiles of nearly equal size */      \
                some = (rows + 1) / 2;                                                             \
            switch (some) {                                                                        \
                EDGE(MOST, NV)                                                                     \
                CASES(NV)                                                                          \
            }                                                                                      \
            begun = sums && !begun && MOST < ROWS;                                                 \
            sums = sums && !begun ? BEYOND(sums, ldc) : sums;                                      \
            bias = bias && ending->kind == TURNED ? bias + some : bias;                            \
        }                                                                                          \
    }
#define EDGE(number, NV)                                                                           \
    case number:                                                                                   \
        IN(tile)(number, NV, k, A, a_row, a_col, B, ldb, C, ldc, bias, ending, sums, begun);       \
        break;
TILES(1, ROWS, EDGES)
TILES(2, ROWS, EDGES)
TILES(3, ROWS, EDGES)
#if WIDEST == 4
TILES(4, WIDEST_ROWS, WIDEST_EDGES)
#endif

static void IN(tiles)(int64_t nv, int64_t rows, int64_t k, const real *A, int64_t a_row,
                      int64_t a_col, const real *B, int64_t ldb, real *C, int64_t ldc,
                      const real *bias, const IN(ending) *ending) {
#if WIDEST == 4
    if (nv == 4)
        IN(tiles_4)(rows, k, A, a_row, a_col, B, ldb, C, ldc, bias, ending);
    else
#endif
    if (nv == 3)
        IN(tiles_3)(rows, k, A, a_row, a_col, B, ldb, C, ldc, bias, ending);
    else if (nv == 2)
        IN(tiles_2)(rows, k, A, a_row, a_col, B, ldb, C, ldc, bias, ending);
    else
        IN(tiles_1)(rows, k, A, a_row, a_col, B, ldb, C, ldc, bias, ending);
}

/* How many registers wide the next panel is, of `left` numbers: all of nearly equal width, COLUMNS at
 * most, but for the last, where that leaves one register over and is not the widest. */
static inline int64_t IN(panel)(int64_t left, int widest) {
    int64_t vectors = (left + LANES - 1) / LANES, panels = (vectors + COLUMNS - 1) / COLUMNS;
    if (widest > COLUMNS && vectors % COLUMNS == 1 && vectors > COLUMNS)
        return vectors == widest ? widest : COLUMNS;
    return (vectors + panels - 1) / panels;
}

/* How deep a block of the k numbers is where rows of C stand n numbers apart, of which only some may be
 * asked for, to the same bits: whole words of marks (zeros_body.h), and so that the first panel of B
 * keeps to its room in the L1 cache. For E1 always the same, since by_depth has other panels, and the
 * same sums. */
static inline int64_t IN(depth)(int64_t n, int64_t k, int kind) {
    if (kind >= STEP || kind == AFFINE)
        return kind == AFFINE ? DEPTH : STEP_DEPTH;
    int64_t most = DEPTH * COLUMNS / IN(panel)(n, WIDEST) / SPAN * SPAN;
    int64_t blocks = k > most ? (k + most - 1) / most : 1, equal = (k + blocks - 1) / blocks;
    return equal > SPAN ? (equal + SPAN - 1) / SPAN * SPAN : SPAN;
}

/* A row of C (width,), finished, from sums. */
static inline __attribute__((always_inline)) void
IN(finish_row)(int kind, int64_t width, const real *sums, const real *bias, real *C, int first,
               real *column_sums, const IN(ending) *ending) {
    STILL(kind);
    for (int64_t l = 0; l < width; l += LANES) {
        int64_t some = width - l < LANES ? width - l : LANES;
        IN(reg) c = LOAD(sums + l);
        if (ending->add)
            c += IN(load_part)(C + l, some);
        c = IN(finish)(kind, c, C + l, some, IN(bias_at)(bias ? bias + l : NULL, some), &still);
        if (column_sums)
            IN(store_part)(column_sums + l,
                           first ? c : IN(load_part)(column_sums + l, some) + c, some);
    }
}

/* C (rows, width), finished, from sums (rows, wide), of a tile, or of more for MOMENTS; bias is that
 * of C's first column. */
static void IN(finish_rows)(int64_t rows, int64_t width, int64_t wide, const real *sums,
                            const real *bias, real *C, int64_t ldc, const IN(ending) *ending) {
    real *column_sums = IN(sums_at)(C, ldc, ending);
#define ROWS_OF(KIND)                                                                              \
    case KIND:                                                                                     \
        for (int64_t r = 0; r < rows; r++)                                                         \
            IN(finish_row)(KIND, width, sums + r * wide, bias, C + r * ldc, r == 0, column_sums,   \
                           ending);                                                                \
        break;
    switch (ending->kind) {
        ROWS_OF(SUM)
        ROWS_OF(AFFINE)
        ROWS_OF(GATE)
        ROWS_OF(STEP)
    case MOMENTS:
        IN(update_rows)(rows, width, wide, sums, C, ldc, ending->step);
    }
#undef ROWS_OF
}

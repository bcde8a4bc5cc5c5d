/* Products in tiles (tile_body.h), their operands packed (pack_body.h) where that pays: panels of B and
 * blocks of A. For one type and one instruction set. */

#define LINE (64 / (int64_t)sizeof(real)) /* numbers that the caches hold together */

/* Fetches `width` numbers of each of these rows into the second cache. */
static inline void IN(fetch)(int64_t rows, int64_t width, const real *from, int64_t ld) {
    for (; rows > 0; rows--, from = BEYOND(from, ld))
        for (int64_t l = 0; l < width + LINE - 1; l += LINE)
            __builtin_prefetch(from + (l < width ? l : width - 1), 0, 2);
}

/* C (m, n) from A (m, k) B (k, n), or Bᵀ, over one block of the depth, A by its strides. A panel of B
 * is packed where enough rows of A use it and its rows do not stand together already; its last columns,
 * when they do not fill a register, always. */
_Static_assert(DEPTH <= STEP_DEPTH, "a panel has no room");
static void IN(in_tiles)(int64_t m, int64_t n, int64_t k, const real *A, int64_t a_row,
                         int64_t a_col, const real *B, int64_t ldb, int turned, real *C,
                         int64_t ldc, const IN(ending) *ending) {
    real packed[STEP_DEPTH * WIDTH] __attribute__((aligned(64)));
    real sums[ROWS * WIDTH] __attribute__((aligned(64)));
    const IN(ending) only_sum = {.kind = SUM};
    const int64_t room = turned ? DEPTH : STEP_DEPTH;
    /* Columns apart are finished with sums of ROWS rows, which are more than a widest tile has. */
    const int sums_apart = ending->sums && n % LANES && (ending->add || n < WIDEST * LANES);
    const int widest = sums_apart || k > room * COLUMNS / WIDEST ? COLUMNS : WIDEST;
    const int again = !ending->add && ending->kind < STEP; /* gives the same again */
    /* The next panel is fetched meanwhile: what is turned comes from many rows at once, and a row that
     * ends within a line brings part of the next panel's, which would have to come again. */
    const int fetches = (turned || WIDTH % LINE != 0) && m >= FETCH_ROWS && k * n >= FETCH_LEAST;
    const int64_t chunk = fetches ? FETCH_STEP : m;
    for (int64_t j = 0, nv; j < n; j += nv * LANES) {
        nv = IN(panel)(n - j, widest);
        int64_t wide = nv * LANES, left = n - j < wide ? n - j : wide, ld = ldb;
        if (again && left < wide && n >= wide) /* some columns twice and none apart */
            j = n - wide, left = wide;
        const real *panel = B + j, *bias = ending->bias ? ending->bias + j : NULL;
        const int packs = left < wide || (m >= PACK_ROWS && ldb > wide);
        if (turned)
            IN(turn)(left, wide, k, B + j * ldb, ldb, packed);
        else if (packs)
            IN(pack)(left, wide, k, panel, ldb, packed);
        if (turned || packs)
            panel = packed, ld = wide;
        if (left == wide && ending->kind != MOMENTS) {
            const int64_t next = n - j - wide < wide ? n - j - wide : wide;
            for (int64_t i = 0; i < m; i += chunk) {
                int64_t rows = m - i < chunk ? m - i : chunk, all = turned ? next : k;
                int64_t first = all * i / m, some = all * (i + rows) / m - first;
                if (fetches && next > 0 && turned)
                    IN(fetch)(some, k, B + (j + wide + first) * ldb, ldb);
                else if (fetches && next > 0)
                    IN(fetch)(some, next, B + first * ldb + j + wide, ldb);
                IN(tiles)(nv, rows, k, A + i * a_row, a_row, a_col, panel, ld, C + i * ldc + j, ldc,
                          bias, ending);
            }
            continue;
        }
        const int64_t most = nv > COLUMNS ? WIDEST_ROWS : ROWS;
        for (int64_t i = 0; i < m; i += most) {
            int64_t rows = m - i < most ? m - i : most;
            if (ending->kind == MOMENTS)
                IN(prefetch_step)(rows, left, C + i * ldc + j, ldc, ending->step);
            IN(tiles)(nv, rows, k, A + i * a_row, a_row, a_col, panel, ld, sums, wide, NULL,
                      &only_sum);
            IN(finish_rows)(rows, left, wide, sums, bias, C + i * ldc + j, ldc, ending);
        }
    }
}

/* The same over any depth: E6 and E8, where B stands in rows, and E1, where Bᵀ does. Where enough
 * panels of B use them, blocks of A are packed in rows: its numbers often lie so far apart that the
 * cache has room for few of them. */
static void IN(in_blocks)(int64_t m, int64_t n, int64_t k, const real *A, int64_t a_row,
                          int64_t a_col, const real *B, int64_t ldb, int turned, real *C,
                          int64_t ldc, const IN(ending) *ending) {
    const int64_t deep = IN(depth)(ldc, k, ending->kind), most = k < deep ? k : deep;
    const int64_t wide = (most + LANES - 1) / LANES * LANES;
    const int packs = m >= BLOCK_LEAST && n >= BLOCK_PANELS * WIDTH && k > 0;
    real *block = packs ? own_workspace() : NULL;
    int64_t size = m; /* rows of a block */
    if (block) {      /* all of nearly equal size */
        int64_t room = BLOCK_BYTES / sizeof(real) / wide / ROWS * ROWS;
        int64_t blocks = (m + room - 1) / room;
        size = (m + ROWS * blocks - 1) / (ROWS * blocks) * ROWS;
    }
    for (int64_t i = 0; i < m; i += size)
        for (int64_t p = 0; p < k || p == 0; p += deep) {
            int64_t rows = m - i < size ? m - i : size, depth = k - p < deep ? k - p : deep;
            const real *from = A + i * a_row + p * a_col, *b = turned ? B + p : B + p * ldb;
            real *c = C + i * ldc;
            IN(ending) now = *ending;
            now.add |= p > 0;
            if (p + depth < k)
                now.kind = SUM;
            if (!block) {
                IN(in_tiles)(rows, n, depth, from, a_row, a_col, b, ldb, turned, c, ldc, &now);
                continue;
            }
            if (a_row == 1)
                IN(turn)(depth, wide, rows, from, a_col, block);
            else
                for (int64_t r = 0; r < rows; r++)
                    memcpy(block + r * wide, from + r * a_row, depth * sizeof(real));
            IN(in_tiles)(rows, n, depth, block, wide, 1, b, ldb, turned, c, ldc, &now);
        }
}
#undef LINE

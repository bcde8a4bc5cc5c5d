/* Products in tiles (tile_body.h), their operands packed where that pays: panels of B and blocks of
 * A. For one type and one instruction set. */

/* C (m, n) from A (m, k) B (k, n), A by its strides: E6 and E8, where B stands in rows, and E1,
 * where Bᵀ does. A panel of B is packed where enough rows of A use it; its last columns, when they
 * do not fill a register, always. */
static void IN(in_tiles)(int64_t m, int64_t n, int64_t k, const real *A, int64_t a_row,
                         int64_t a_col, const real *B, int64_t ldb, int turned, real *C,
                         int64_t ldc, const IN(ending) *ending) {
    real packed[STEP_DEPTH * WIDTH] __attribute__((aligned(64)));
    real sums[ROWS * WIDTH] __attribute__((aligned(64)));
    const IN(ending) only_sum = {.kind = SUM};
    int64_t block = ending->kind == STEP ? STEP_DEPTH : DEPTH;
    int again = k <= block && !ending->add && ending->kind != STEP; /* gives the same again */
    for (int64_t p = 0; p < k || p == 0; p += block) {
        int64_t depth = k - p < block ? k - p : block;
        const real *Ap = A + p * a_col, *Bp = turned ? B + p : B + p * ldb;
        IN(ending) now = *ending;
        now.add |= p > 0;
        if (p + depth < k)
            now.kind = SUM;
        for (int64_t j = 0, nv; j < n; j += nv * LANES) {
            nv = IN(panel)(n - j);
            int64_t wide = nv * LANES, left = n - j < wide ? n - j : wide, ld = ldb;
            if (again && left < wide && n >= wide) /* some columns twice and none apart */
                j = n - wide, left = wide;
            const real *panel = Bp + j, *bias = ending->bias ? ending->bias + j : NULL;
            if (turned)
                IN(turn)(left, wide, depth, Bp + j * ldb, ldb, packed);
            else if (left < wide || m >= PACK_ROWS)
                IN(pack)(left, wide, depth, panel, ldb, packed);
            if (turned || left < wide || m >= PACK_ROWS)
                panel = packed, ld = wide;
            if (left == wide) {
                IN(tiles)(nv, m, depth, Ap, a_row, a_col, panel, ld, C + j, ldc, bias, &now);
                continue;
            }
            for (int64_t i = 0; i < m; i += ROWS) {
                int64_t rows = m - i < ROWS ? m - i : ROWS;
                IN(tiles)(nv, rows, depth, Ap + i * a_row, a_row, a_col, panel, ld, sums, wide,
                          NULL, &only_sum);
                IN(finish_rows)(rows, left, wide, sums, bias, C + i * ldc + j, ldc, &now);
            }
        }
    }
}

/* The same by blocks of A, packed in rows where enough panels of B use them: A's numbers often lie
 * so far apart that the cache has room for few of them. */
static void IN(in_blocks)(int64_t m, int64_t n, int64_t k, const real *A, int64_t a_row,
                          int64_t a_col, const real *B, int64_t ldb, int turned, real *C,
                          int64_t ldc, const IN(ending) *ending) {
    const int64_t most = ending->kind == STEP ? STEP_DEPTH : DEPTH, deep = k < most ? k : most;
    const int64_t wide = (deep + LANES - 1) / LANES * LANES;
    const int packs = m >= BLOCK_LEAST && n >= BLOCK_PANELS * WIDTH && k > 0;
    real *block = packs ? own_workspace() : NULL;
    if (!block) {
        IN(in_tiles)(m, n, k, A, a_row, a_col, B, ldb, turned, C, ldc, ending);
        return;
    }
    const int64_t room = BLOCK_BYTES / sizeof(real) / wide / ROWS * ROWS;
    const int64_t blocks = (m + room - 1) / room, tiles = (m + ROWS * blocks - 1) / (ROWS * blocks);
    const int64_t size = tiles * ROWS; /* rows of a block: all of nearly equal size */
    for (int64_t i = 0; i < m; i += size)
        for (int64_t p = 0; p < k; p += deep) {
            int64_t rows = m - i < size ? m - i : size, depth = k - p < deep ? k - p : deep;
            const real *from = A + i * a_row + p * a_col;
            IN(ending) now = *ending;
            now.add |= p > 0;
            if (p + depth < k)
                now.kind = SUM;
            if (a_row == 1)
                IN(turn)(depth, wide, rows, from, a_col, block);
            else
                for (int64_t r = 0; r < rows; r++)
                    memcpy(block + r * wide, from + r * a_row, depth * sizeof(real));
            IN(in_tiles)(rows, n, depth, block, wide, 1, turned ? B + p : B + p * ldb, ldb, turned,
                         C + i * ldc, ldc, &now);
        }
}

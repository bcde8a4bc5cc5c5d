/* The products of a step for one type and one instruction set: C = op(A) op(B) (+ C), row-major, in
 * tiles (tile_body.h) by blocks (block_body.h), or without A's zeros (zeros_body.h). */

/* C (m, n) from A (m, k) B (k, n), or Bᵀ, A by its strides; without A's zeros where that takes less. */
static void IN(by_rows)(int64_t m, int64_t n, int64_t k, const real *A, int64_t a_row,
                        int64_t a_col, const real *B, int64_t ldb, int turned, real *C, int64_t ldc,
                        const IN(ending) *ending) {
    if (!IN(skips)(m, n, k, A, a_row, a_col, B, ldb, turned, C, ldc, ending))
        IN(in_blocks)(m, n, k, A, a_row, a_col, B, ldb, turned, C, ldc, ending);
}

/* C (m, n) from A (m, k) Bᵀ; B (n, k): E1 of few rows. Both stand in rows along the depth; up to
 * WIDTH rows of A are turned and become lanes, Cᵀ = B Aᵀ comes out, and is turned back when
 * complete. Turned it is kept in `in`, unless NULL, for the next layer's E1, which need not turn it
 * then: that is `kept`, or NULL. With `then` it is what g makes of Cᵀ that is kept and, turned back, h. */
static void IN(by_depth)(int64_t m, int64_t n, int64_t k, const real *A, int64_t lda, const real *B,
                         int64_t ldb, real *C, int64_t ldc, IN(held) *in, const real *kept,
                         const activation *then, const IN(ending) *ending) {
    real turned[DEPTH * WIDTH] __attribute__((aligned(64)));
    real on_stack[CHUNK * WIDTH] __attribute__((aligned(64)));
    real *sums = on_stack, *complete = on_stack;
    if (then)
        C = then->h;
    if (in) {
        in->kept = C;
        in->newer = !in->newer;
        complete = in->turned[in->newer];
        sums = then ? on_stack : complete;
    }
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t rows = n - i < CHUNK ? n - i : CHUNK;
        const real *bias = ending->bias ? ending->bias + i : NULL;
        for (int64_t j = 0, nv; j < m; j += nv * LANES) {
            nv = IN(panel)(m - j, COLUMNS);
            int64_t wide = nv * LANES, width = m - j < wide ? m - j : wide;
            for (int64_t p = 0; p < k || p == 0; p += DEPTH) {
                int64_t depth = k - p < DEPTH ? k - p : DEPTH;
                const IN(ending) now = {
                    .kind = p + depth < k ? SUM : TURNED, .add = p > 0, .least = ending->least};
                if (!kept && (i == 0 || k > DEPTH || m > wide))
                    IN(turn)(width, wide, depth, A + j * lda + p, lda, turned);
                IN(tiles)(nv, rows, depth, B + i * ldb + p, ldb, 1,
                          kept ? kept + p * wide : turned, wide, sums, wide, bias, &now);
            }
            if (then)
                then->g(then->call, rows * wide, sums, complete);
            IN(turn_back)(rows, width, wide, complete, C + j * ldc + i, ldc, ending->add);
        }
    }
}

/* C (m, n) from A (m, k) Bᵀ, by whichever takes less: A and C turned, or B, as where many rows of A
 * would read all of B again and again. Elsewhere multiply-adds of whole registers are counted; turning a
 * number costs as much as TURNING rows of multiply-adds. What is to be added to C always goes one way,
 * since only one of them adds it up first. Whether `then` was called, as it is where its h is to be kept
 * turned and registers hold no other numbers. */
static int IN(by_transposed)(int64_t m, int64_t n, int64_t k, const real *A, int64_t lda,
                             const real *B, int64_t ldb, real *C, int64_t ldc, IN(held) *in,
                             const real *kept, const activation *then, const IN(ending) *ending) {
    if (IN(skips)(m, n, k, A, lda, 1, B, ldb, 1, C, ldc, ending))
        return 0;
    int64_t m_lanes = (m + LANES - 1) / LANES * LANES, n_lanes = (n + LANES - 1) / LANES * LANES;
    int turns_B = m >= TURN_ROWS && n >= BLOCK_PANELS * WIDTH;
    if (ending->add ||
        (!turns_B && m_lanes * (n * k + TURNING * (n + k)) <= n_lanes * k * (m + TURNING))) {
        then = in && m == m_lanes ? then : NULL;
        IN(by_depth)(m, n, k, A, lda, B, ldb, C, ldc, in, kept, then, ending);
        return then != NULL;
    }
    IN(in_blocks)(m, n, k, A, lda, 1, B, ldb, 1, C, ldc, ending);
    return 0;
}

/* C (m, n) = op(A) op(B) (+ C). */
static void IN(product)(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const void *A_,
                        int64_t lda, const void *B_, int64_t ldb, void *C_, int64_t ldc, int add) {
    const real *A = A_, *B = B_;
    real *C = C_;
    if (m == 0 || n == 0)
        return;
    if (k == 0) /* they may be NULL, of which nothing can be reckoned; nobody reads them */
        A = B = C;
    const IN(ending) ending = {.kind = trans_b ? AFFINE : SUM, .add = add, .least = -INFINITY};
    if (trans_b && m == 1)
        IN(inner_products)(n, k, A, B, ldb, NULL, -INFINITY, C, add);
    else if (trans_b)
        IN(by_transposed)(m, n, k, A, lda, B, ldb, C, ldc, NULL, NULL, NULL, &ending);
    else if (trans_a && k == 1)
        IN(rank_one)(m, n, A, B, C, ldc, add);
    else if (!trans_a && m == 1)
        IN(sum_of_rows)(n, k, A, B, ldb, C, add);
    else
        IN(by_rows)(m, n, k, A, trans_a ? 1 : lda, trans_a ? lda : 1, B, ldb, 0, C, ldc, &ending);
}

/* Whether E1's output (m, n) is worth keeping turned, and is one panel and one chunk. */
static inline int IN(keeps)(int64_t m, int64_t n) {
    return m > 1 && m <= WIDTH && n <= CHUNK && m * n >= KEEP_LEAST;
}

/* E1: a = x Wᵀ + b; or E2 too, max(a, 0) or what else `then` makes of it. x (batch, n_in),
 * W (n_out, n_in), b (n_out,) or NULL, y (batch, n_out), of rows ld_y apart. */
static void IN(affine)(int64_t batch, int64_t n_in, int64_t n_out, const void *x, const void *W,
                       const void *b, const activation *then, int link, void *y, int64_t ld_y) {
    const int relu = then && !then->g;
    if (n_in == 0) /* as in product */
        x = W = y;
    if (batch == 1) {
        IN(inner_products)(n_out, n_in, x, W, n_in, b, relu ? 0 : -INFINITY, y, 0);
        if (then && !relu)
            then->g(then->call, n_out, y, then->h);
        return;
    }
    const IN(ending) ending = {.kind = AFFINE, .bias = b, .least = relu ? 0 : -INFINITY};
    /* what LINK_Y says of one layer LINK_X says of the next, so that nothing is taken for kept */
    const int keeps = (link & LINK_Y) && IN(keeps)(batch, n_out);
    IN(held) *in = keeps || ((link & LINK_X) && IN(keeps)(batch, n_in)) ? own_workspace() : NULL;
    const real *kept = in && (link & LINK_X) && in->kept == x ? in->turned[in->newer] : NULL;
    if (in)
        in->kept = NULL;
    then = relu ? NULL : then;
    if (!IN(by_transposed)(batch, n_out, n_in, x, n_in, W, n_in, y, ld_y, keeps ? in : NULL, kept,
                           then, &ending) &&
        then)
        then->g(then->call, batch * n_out, y, then->h);
}

/* E6: dh = delta W; or, given h = max(a, 0), E7 too: 0 where h is not above 0; and, given sums, for
 * each ROWS rows of dh the sums of its columns. Of all four the n_in columns of rows ld apart. */
static void IN(upstream)(int64_t batch, int64_t n_in, int64_t n_out, const void *delta,
                         const void *W, const void *h_, void *dh_, void *sums, int64_t ld) {
    const real *h = h_;
    real *dh = dh_;
    const IN(ending) ending = {.kind = h ? GATE : SUM, .h = h, .start = dh, .sums = sums};
    if (batch == 0 || n_in == 0)
        return;
    if (n_out == 0) /* as in product */
        delta = W = dh;
    if (batch > 1) {
        IN(by_rows)(batch, n_in, n_out, delta, n_out, 1, W, ld, 0, dh, ld, &ending);
        return;
    }
    IN(sum_of_rows)(n_in, n_out, delta, W, ld, dh, 0);
    for (int64_t j = 0; h && j < n_in; j++) {
        real d = dh[j]; /* read always: a load under a condition would not vectorise */
        dh[j] = h[j] > 0 ? d : 0;
    }
    if (h && sums)
        memcpy(sums, dh, n_in * sizeof *dh);
}

/* E8 and the optimizer's step along it, with the formulas of update_body.h: dW = deltaᵀ h is in the
 * product's registers, or has just left them. */
static void IN(step_along)(int64_t batch, int64_t n_in, int64_t n_out, const void *delta,
                           int64_t ld_delta, const void *h, const update_rule *rule, void *W) {
    const IN(step) step = IN(step_of)(rule);
    if (batch == 1) {
        IN(step_along_one)(n_out, n_in, delta, h, W, &step);
        return;
    }
    const IN(ending) ending = {.kind = step.kind == RULE_SGD ? STEP : MOMENTS, .step = &step};
    IN(by_rows)(n_out, n_in, batch, delta, 1, ld_delta, h, n_in, 0, W, n_in, &ending);
}
#undef TILES
#undef EDGE
#undef WIDTH
#undef STILL

/* Operands of the products packed or turned, and results turned back, by squares of LANES rows of LANES
 * numbers in registers. For one type and one instruction set.
 */

/* Whether all numbers were finite of which 0 times were added up. */
static inline int IN(finite)(IN(reg) zero) {
    real sum = 0;
    for (int l = 0; l < LANES; l++)
        sum += zero[l];
    return sum == 0;
}

/* r (LANES, LANES) = from (rows, some)ᵀ, 0 where there are no such rows or columns. */
static inline __attribute__((always_inline)) void
IN(turn_square)(int64_t rows, int64_t some, const real *from, int64_t ld, IN(reg) r[LANES]) {
    real square[LANES * LANES] __attribute__((aligned(64)));
    if (rows < LANES || some < LANES) {
        for (int i = 0; i < LANES; i++)
            STORE(square + i * LANES,
                  i < rows ? IN(load_part)(from + i * ld, some) : (IN(reg)){0});
        from = square, ld = LANES;
    }
    IN(load_turned)(from, ld, r);
}

/* `rows` registers, LANES or fewer, to rows ld apart. */
static inline __attribute__((always_inline)) void
IN(store_rows)(int64_t rows, const IN(reg) r[LANES], real *to, int64_t ld) {
    UNROLL(16)
    for (int i = 0; i < LANES; i++, to = BEYOND(to, ld)) {
        OPAQUE(to);
        if (i < rows)
            STORE(to, r[i]);
    }
}

/* to (depth, wide) = from (width, depth)ᵀ, 0 where from has no rows. */
static void IN(turn)(int64_t width, int64_t wide, int64_t depth, const real *from, int64_t ld,
                     real *to) {
    for (int64_t l = 0; l < wide; l += LANES) {
        const real *rows = l < width ? from + l * ld : from; /* or none of them */
        for (int64_t q = 0; q < depth; q += LANES) {
            IN(reg) r[LANES];
            IN(turn_square)(width - l, depth - q, rows + q, ld, r);
            if (depth - q >= LANES)
                IN(store_rows)(LANES, r, to + q * wide + l, wide);
            else
                IN(store_rows)(depth - q, r, to + q * wide + l, wide);
        }
    }
}

/* to (depth, wide) = from (depth, width), 0 beyond its columns. Whether all is finite. */
static int IN(pack)(int64_t width, int64_t wide, int64_t depth, const real *from, int64_t ld,
                    real *to) {
    IN(reg) zero = {0};
    for (int64_t q = 0; q < depth; q++, from = BEYOND(from, ld), to += wide)
        for (int64_t l = 0; l < wide; l += LANES) {
            IN(reg) r = width > l ? IN(load_part)(from + l, width - l) : (IN(reg)){0};
            zero += 0 * r;
            STORE(to + l, r);
        }
    return IN(finite)(zero);
}

/* C (width, n) = sums (n, wide)ᵀ, or + C. */
static void IN(turn_back)(int64_t n, int64_t width, int64_t wide, const real *sums, real *C,
                          int64_t ldc, int add) {
    for (int64_t i = 0; i < n; i += LANES) {
        int64_t some = n - i < LANES ? n - i : LANES;
        for (int64_t j = 0; j < width; j += LANES) {
            int64_t rows = width - j < LANES ? width - j : LANES;
            real *c = C + j * ldc + i;
            IN(reg) r[LANES];
            IN(turn_square)(some, LANES, sums + i * wide + j, wide, r);
            if (some == LANES && rows == LANES && !add) {
                IN(store_rows)(LANES, r, c, ldc);
                continue;
            }
            for (int l = 0; l < rows; l++, c = BEYOND(c, ldc))
                IN(store_part)(c, add ? r[l] + IN(load_part)(c, some) : r[l], some);
        }
    }
}

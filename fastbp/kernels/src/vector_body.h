/* Registers of one type and one instruction set: wants real (float or double), whole and natural
 * (integers of its size, natural without a sign), LANES (numbers per register), BYTES and IN(name), which tells the instances apart. */
typedef real IN(reg) __attribute__((vector_size(LANES * sizeof(real))));
typedef real IN(mem) __attribute__((vector_size(LANES * sizeof(real)), aligned(sizeof(real)),
                                    may_alias)); /* a register's worth anywhere in memory */
typedef whole IN(lanes) __attribute__((vector_size(LANES * sizeof(real))));
typedef natural IN(naturals) __attribute__((vector_size(LANES * sizeof(real))));
typedef whole IN(bits_of) __attribute__((may_alias)); /* the bits of a number in memory */

/* Four numbers: for double more than a register of the baseline, so that no function takes or returns
 * them by value. */
typedef real IN(four) __attribute__((vector_size(4 * sizeof(real))));
typedef real IN(four_mem)
    __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));
typedef whole IN(four_lanes) __attribute__((vector_size(4 * sizeof(real))));

#define LOAD(p) ((IN(reg)) * (const IN(mem) *)(p))
#define STORE(p, r) (*(IN(mem) *)(p) = (r))

/* Some numbers, 1 to LANES or more, from or to memory that may end there; 0 beyond them. */
static inline __attribute__((always_inline)) IN(reg) IN(load_part)(const real *p, int64_t some) {
    real part[LANES] __attribute__((aligned(BYTES)));
    if (some >= LANES)
        return LOAD(p);
    ROLLED /* and so a vector under a mask, where there are such */
    for (int l = 0; l < LANES; l++)
        part[l] = l < (int)some ? p[l] : 0;
    return LOAD(part);
}

static inline __attribute__((always_inline)) void IN(store_part)(real *p, IN(reg) r, int64_t some) {
    real part[LANES] __attribute__((aligned(BYTES)));
    if (some >= LANES) {
        STORE(p, r);
        return;
    }
    STORE(part, r);
    ROLLED
    for (int l = 0; l < LANES; l++)
        if (l < (int)some)
            p[l] = part[l];
}

/* A bit for each lane: of a comparison, 1 where it holds. */
static inline __attribute__((always_inline)) uint32_t IN(bits)(IN(lanes) truth) {
#if BYTES == 64
    return LANES == 16 ? _mm512_movepi32_mask((__m512i)truth) : _mm512_movepi64_mask((__m512i)truth);
#elif BYTES == 32
    return LANES == 8 ? _mm256_movemask_ps((__m256)truth) : _mm256_movemask_pd((__m256d)truth);
#elif defined(__x86_64__)
    return LANES == 4 ? _mm_movemask_ps((__m128)truth) : _mm_movemask_pd((__m128d)truth);
#else
    uint32_t bits = 0;
    for (int l = 0; l < LANES; l++)
        bits |= (uint32_t)(truth[l] & 1) << l;
    return bits;
#endif
}

/* max(x, least), or NaN of NaN: the processor's maximum gives the second where it cannot compare. */
static inline __attribute__((always_inline)) IN(reg) IN(at_least)(IN(reg) x, real least) {
    IN(reg) bound = (IN(reg)){0} + least;
#if BYTES == 64
    return LANES == 16 ? (IN(reg))_mm512_max_ps((__m512)bound, (__m512)x)
                       : (IN(reg))_mm512_max_pd((__m512d)bound, (__m512d)x);
#elif BYTES == 32
    return LANES == 8 ? (IN(reg))_mm256_max_ps((__m256)bound, (__m256)x)
                      : (IN(reg))_mm256_max_pd((__m256d)bound, (__m256d)x);
#elif defined(__x86_64__)
    return LANES == 4 ? (IN(reg))_mm_max_ps((__m128)bound, (__m128)x)
                      : (IN(reg))_mm_max_pd((__m128d)bound, (__m128d)x);
#else
    IN(lanes) low = x <= bound;
    return (IN(reg))((low & (IN(lanes))bound) | (~low & (IN(lanes))x));
#endif
}

/* sqrt(x) for x >= 0 or NaN, and a / b for b > 0. With AVX-512 in float, where both rounded once would
 * take longer than all the rest of Adam's step: from estimates of 14 bits, to the last bit or two. */
static inline __attribute__((always_inline)) IN(reg) IN(root)(IN(reg) x) {
#if BYTES == 64 && LANES == 16
    enum { NANS = 0x81, ZEROS = 0x06, PLUS_INFINITY = 0x08 }; /* which are their own roots */
    __m512 estimate = _mm512_rsqrt14_ps(x), root = x * estimate;
    root += root * (0.5f - 0.5f * estimate * root);
    return _mm512_mask_mov_ps(root, _mm512_fpclass_ps_mask(x, NANS | ZEROS | PLUS_INFINITY), x);
#elif BYTES == 64
    return _mm512_sqrt_pd(x);
#elif BYTES == 32
    return LANES == 8 ? (IN(reg))_mm256_sqrt_ps((__m256)x) : (IN(reg))_mm256_sqrt_pd((__m256d)x);
#elif defined(__x86_64__)
    return LANES == 4 ? (IN(reg))_mm_sqrt_ps((__m128)x) : (IN(reg))_mm_sqrt_pd((__m128d)x);
#else
    for (int l = 0; l < LANES; l++)
        x[l] = ROOT(x[l]);
    return x;
#endif
}

static inline __attribute__((always_inline)) IN(reg) IN(quotient)(IN(reg) a, IN(reg) b) {
#if BYTES == 64 && LANES == 16
    __m512 finite = _mm512_min_ps((__m512){0} + FLT_MAX, b); /* NaN stays: it is the second */
    __m512 estimate = _mm512_rcp14_ps(b), quotient = a * estimate; /* 0 where b is infinite */
    return quotient + (a - quotient * finite) * estimate;
#else
    return a / b;
#endif
}

/* MIXED(a, b, HOW, s): numbers of two registers. LOW, HIGH: the first s of each 2 s numbers, or the
 * last, a's and then b's; FIRST_HALF, LAST_HALF: half of each s numbers, a's and b's by turns. */
#define LOW(l, s) ((l) & (s) ? LANES + (l) - (s) : (l))
#define HIGH(l, s) ((l) & (s) ? LANES + (l) : (l) + (s))
#define FIRST_HALF(l, s) ((l) / (s) * (s) + (l) % (s) / 2 + (l) % 2 * LANES)
#define LAST_HALF(l, s) (FIRST_HALF(l, s) + (s) / 2)
#define MIXED(a, b, HOW, s) SHUFFLED(IN(lanes), a, b, EACH_LANE(HOW, s))

/* Sums of four registers' numbers. */
static inline __attribute__((always_inline)) void IN(sums_of_4)(const IN(reg) s[4], IN(four) *sum) {
#define ADD_UP(a, b, s) (MIXED(a, b, LOW, s) + MIXED(a, b, HIGH, s))
    IN(reg) low = ADD_UP(s[0], s[1], 1), high = ADD_UP(s[2], s[3], 1);
#if LANES == 2
    *sum = (IN(four)){low[0], low[1], high[0], high[1]};
#else
    low = ADD_UP(low, high, 2);
#if LANES >= 16
    low = ADD_UP(low, low, 8);
#endif
#if LANES >= 8
    low = ADD_UP(low, low, 4);
#endif
    *sum = (IN(four)){low[0], low[1], low[2], low[3]};
#endif
#undef ADD_UP
}

/* A register of 128 bits each from p[0] + at, p[1] + at, ... */
static inline __attribute__((always_inline)) IN(reg) IN(gather)(const real *const p[4],
                                                                int64_t at) {
#if BYTES == 64
#define PART(i) _mm_loadu_ps((const float *)(p[i] + at))
    __m512 r = _mm512_castps128_ps512(PART(0));
    r = _mm512_insertf32x4(r, PART(1), 1);
    r = _mm512_insertf32x4(r, PART(2), 2);
    return (IN(reg))_mm512_insertf32x4(r, PART(3), 3);
#elif BYTES == 32
#define PART(i) _mm_loadu_ps((const float *)(p[i] + at))
    return (IN(reg))_mm256_insertf128_ps(_mm256_castps128_ps256(PART(0)), PART(1), 1);
#else
#define PART(i) LOAD(p[i] + at)
    return PART(0);
#endif
#undef PART
}

/* r (LANES, LANES) = (what stands at p, in rows ld apart)ᵀ. 128 bits at a time go to their place as they
 * are loaded: with AVX-512 Intel's processors shuffle registers at half the rate at which they load. */
static inline __attribute__((always_inline)) void IN(load_turned)(const real *p, int64_t ld,
                                                                  IN(reg) r[LANES]) {
    enum { PART = 16 / sizeof(real) };
    const real *part[4];
    UNROLL(4)
    for (int i = 0; i < LANES / PART; i++) {
        part[i] = p + i * PART * ld;
        OPAQUE(part[i]); /* lest GCC keep the place of each load over all squares, in memory */
    }
    UNROLL(8)
    for (int i = 0; i < LANES; i += PART) {
        IN(reg) a = IN(gather)(part, i), b = IN(gather)(part, i + ld);
        IN(reg) ab = MIXED(a, b, FIRST_HALF, PART), more_ab = MIXED(a, b, LAST_HALF, PART);
#if LANES * 4 == BYTES
        IN(reg) c = IN(gather)(part, i + 2 * ld), d = IN(gather)(part, i + 3 * ld);
        IN(reg) cd = MIXED(c, d, FIRST_HALF, PART), more_cd = MIXED(c, d, LAST_HALF, PART);
        r[i] = MIXED(ab, cd, LOW, 2), r[i + 1] = MIXED(ab, cd, HIGH, 2);
        r[i + 2] = MIXED(more_ab, more_cd, LOW, 2), r[i + 3] = MIXED(more_ab, more_cd, HIGH, 2);
#else
        r[i] = ab, r[i + 1] = more_ab;
#endif
    }
}

/* Registers of one type and one instruction set: wants real (float or double), whole (an integer of
 * its size), LANES (numbers per register), BYTES and IN(name), which tells the instances apart. */
typedef real IN(reg) __attribute__((vector_size(LANES * sizeof(real))));
typedef real IN(mem) __attribute__((vector_size(LANES * sizeof(real)), aligned(sizeof(real)),
                                    may_alias)); /* a register's worth anywhere in memory */
typedef whole IN(lanes) __attribute__((vector_size(LANES * sizeof(real))));

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

/* Transposes LANES registers: exchanges blocks off the diagonal, half the size each time. */
#define LOW(l, s) ((l) & (s) ? LANES + (l) - (s) : (l))
#define HIGH(l, s) ((l) & (s) ? LANES + (l) : (l) + (s))
#define EXCHANGE(s)                                                                                \
    UNROLL(16) for (int i = 0; i < LANES; i++) if (!(i & (s))) {                                   \
        IN(reg) a = r[i], b = r[i + (s)];                                                          \
        r[i] = SHUFFLED(IN(lanes), a, b, EACH_LANE(LOW, s));                                       \
        r[i + (s)] = SHUFFLED(IN(lanes), a, b, EACH_LANE(HIGH, s));                                \
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

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
#pragma GCC unroll 1 /* and so a vector under a mask, where there are such */
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
#pragma GCC unroll 1
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

/* Defines apply_f32 and apply_f64 (n, x, y), y = f(x) for whole arrays on the best instruction set
 * there is. f is FUNCTION_F32(x, fused), FUNCTION_F64(x, fused), without branches; beyond ±LIMIT_F32,
 * ±LIMIT_F64 it is taken to be what it is there.
 *
 * The last few numbers go through the same vector code as all others: no bit of a number depends on
 * where it stands. */
#include "every_isa.h"

#define CHUNK 16 /* a whole number of vectors of each type and instruction set */

#define LOOP(type, real, FUNCTION, LIMIT)                                                          \
    /* n is a multiple of CHUNK; y may be x. */                                                    \
    INLINED void all_chunks_##type(int64_t n, const real *x, real *y, int fused) {                 \
        real limit = LIMIT;                                                                        \
        OPAQUE(limit);                                                                             \
        INDEPENDENT for (int64_t i = 0; i < n; i++) {                                              \
            real t = x[i] > limit ? limit : x[i]; /* NaN stays NaN */                              \
            y[i] = FUNCTION(t < -limit ? -limit : t, fused);                                       \
        }                                                                                          \
    }                                                                                              \
    EVERY_ISA(chunks_##type, all_chunks_##type, (int64_t n, const real *x, real *y), (n, x, y))    \
    static void apply_##type(int64_t n, const real *x, real *y) {                                  \
        int64_t whole = n - n % CHUNK;                                                             \
        size_t rest = (size_t)(n - whole) * sizeof *x;                                             \
        if (whole)                                                                                 \
            chunks_##type(whole, x, y);                                                            \
        if (rest) {                                                                                \
            real last[CHUNK] = {0};                                                                \
            memcpy(last, x + whole, rest);                                                         \
            chunks_##type(CHUNK, last, last);                                                      \
            memcpy(y + whole, last, rest);                                                         \
        }                                                                                          \
    }

LOOP(f32, float, FUNCTION_F32, LIMIT_F32)
LOOP(f64, double, FUNCTION_F64, LIMIT_F64)
#undef LOOP

/* The largest entry of a row, and its sum; the order of additions depends on n alone. */
#ifndef FASTBP_ROW_H
#define FASTBP_ROW_H

#include <math.h>
#include <stdint.h>

#include "compiler.h"
#include "inlined.h"

typedef double four_doubles __attribute__((vector_size(32), aligned(8), may_alias));

/* Σ x; x (n,). */
INLINED double sum_of_row(const double *x, int64_t n) {
    four_doubles even = {0}, odd = {0};
    double total = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        even += *(const four_doubles *)(x + i);
        odd += *(const four_doubles *)(x + i + 4);
    }
    if (i) {
        even += odd;
        total = (even[0] + even[2]) + (even[1] + even[3]);
    }
    for (; i < n; i++)
        total += x[i];
    return total;
}

#define ROW(real, type, bits, LANES)                                                               \
    typedef real lanes_##type __attribute__((vector_size(32), aligned(sizeof(real)), may_alias));  \
    typedef bits masks_##type __attribute__((vector_size(32)));                                    \
    typedef real four_##type                                                                       \
        __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));          \
    typedef bits index_##type __attribute__((vector_size(4 * sizeof(real))));                      \
    /* Turns a square of numbers over: row i becomes column i. */                                  \
    INLINED void turn_4_##type(four_##type r[4]) {                                                 \
        four_##type a = SHUFFLED(index_##type, r[0], r[1], 0, 4, 1, 5);                            \
        four_##type b = SHUFFLED(index_##type, r[0], r[1], 2, 6, 3, 7);                            \
        four_##type c = SHUFFLED(index_##type, r[2], r[3], 0, 4, 1, 5);                            \
        four_##type d = SHUFFLED(index_##type, r[2], r[3], 2, 6, 3, 7);                            \
        r[0] = SHUFFLED(index_##type, a, c, 0, 1, 4, 5);                                           \
        r[1] = SHUFFLED(index_##type, a, c, 2, 3, 6, 7);                                           \
        r[2] = SHUFFLED(index_##type, b, d, 0, 1, 4, 5);                                           \
        r[3] = SHUFFLED(index_##type, b, d, 2, 3, 6, 7);                                           \
    }                                                                                              \
    INLINED void larger_##type(lanes_##type *best, const real *x) {                                \
        lanes_##type next = *(const lanes_##type *)x;                                              \
        masks_##type above = next > *best;                                                         \
        *best =                                                                                    \
            (lanes_##type)((above & (masks_##type)next) | (~above & (masks_##type) * best));       \
    }                                                                                              \
    /* The largest of x (n,), NaN left out; -inf if there is none. */                              \
    INLINED real largest_##type(const real *x, int64_t n) {                                        \
        real most = -(real)INFINITY;                                                               \
        int64_t i = 0;                                                                             \
        if (n >= 2 * LANES) {                                                                      \
            lanes_##type best = {0}, other;                                                        \
            best += most;                                                                          \
            other = best; /* two, not to wait for each other */                                    \
            for (; i + 2 * LANES <= n; i += 2 * LANES) {                                           \
                larger_##type(&best, x + i);                                                       \
                larger_##type(&other, x + i + LANES);                                              \
            }                                                                                      \
            for (int k = 0; k < LANES; k++) {                                                      \
                most = best[k] > most ? best[k] : most;                                            \
                most = other[k] > most ? other[k] : most;                                          \
            }                                                                                      \
        }                                                                                          \
        for (; i < n; i++)                                                                         \
            most = x[i] > most ? x[i] : most;                                                      \
        return most;                                                                               \
    }                                                                                              \
    /* The first place where x (n,) is `value`, or the last. */                                    \
    INLINED int64_t where_##type(const real *x, int64_t n, double value) {                         \
        int64_t i = 0;                                                                             \
        while (i < n - 1 && x[i] != value)                                                         \
            i++;                                                                                   \
        return i;                                                                                  \
    }

ROW(float, f32, int32_t, 8)
ROW(double, f64, int64_t, 4)
#undef ROW

#endif

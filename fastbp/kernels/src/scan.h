/* Scans and in-place scalings of whole arrays, for both types: what the plan does between parts. */
#ifndef FASTBP_SCAN_H
#define FASTBP_SCAN_H

#include <stdint.h>
#include <string.h>

#define SCAN(real, bits, EXPONENT)                                                                 \
    /* Whether none of x (n,) is NaN or infinite: those have all bits of the exponent set. */      \
    static int finite_##real(const real *x, int64_t n) {                                           \
        bits bad = 0;                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            bits b;                                                                                \
            memcpy(&b, x + i, sizeof b);                                                           \
            bad |= (bits)((b & EXPONENT) == EXPONENT);                                             \
        }                                                                                          \
        return !bad;                                                                               \
    }                                                                                              \
    /* delta (rows, n) *= scale (rows,); with scale 0 the row is 0 whatever it held. */            \
    static void scale_rows_##real(real *delta, const double *scale, int64_t rows, int64_t n) {     \
        for (int64_t i = 0; i < rows; i++, delta += n) {                                           \
            real s = (real)scale[i];                                                               \
            for (int64_t j = 0; j < n; j++)                                                        \
                delta[j] = s == 0 ? 0 : delta[j] * s;                                              \
        }                                                                                          \
    }                                                                                              \
    /* dx (n,) *= dy (n,). */                                                                      \
    static void multiply_##real(real *dx, const real *dy, int64_t n) {                             \
        for (int64_t i = 0; i < n; i++)                                                            \
            dx[i] *= dy[i];                                                                        \
    }                                                                                              \
    /* dW (n,) += 2 l2 W (n,); returns Σ W². */                                                    \
    static double add_l2_##real(real *dW, const real *W, double l2, int64_t n) {                   \
        real twice = (real)(2 * l2);                                                               \
        double total = 0;                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            dW[i] += twice * W[i];                                                                 \
            total += (double)W[i] * (double)W[i];                                                  \
        }                                                                                          \
        return total;                                                                              \
    }

SCAN(float, uint32_t, UINT32_C(0x7f800000))
SCAN(double, uint64_t, UINT64_C(0x7ff0000000000000))

#endif

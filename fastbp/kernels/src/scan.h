/* In-place scalings of whole arrays, for both types: what the plan does between parts. */
#ifndef FASTBP_SCAN_H
#define FASTBP_SCAN_H

#include <stdint.h>

#define SCAN(real)                                                                                 \
    /* delta (rows, n) *= scale (rows,); with scale 0 the row is 0 whatever it held. */            \
    static inline void scale_rows_##real(real *delta, const double *scale, int64_t rows,           \
                                         int64_t n) {                                              \
        for (int64_t i = 0; i < rows; i++, delta += n) {                                           \
            real s = (real)scale[i];                                                               \
            for (int64_t j = 0; j < n; j++)                                                        \
                delta[j] = s == 0 ? 0 : delta[j] * s;                                              \
        }                                                                                          \
    }                                                                                              \
    /* dx (n,) *= dy (n,). */                                                                      \
    static inline void multiply_##real(real *dx, const real *dy, int64_t n) {                      \
        for (int64_t i = 0; i < n; i++)                                                            \
            dx[i] *= dy[i];                                                                        \
    }                                                                                              \
    /* dW (n,) += 2 l2 W (n,). */                                                                  \
    static inline void add_l2_##real(real *dW, const real *W, double l2, int64_t n) {              \
        real twice = (real)(2 * l2);                                                               \
        for (int64_t i = 0; i < n; i++)                                                            \
            dW[i] += twice * W[i];                                                                 \
    }

SCAN(float)
SCAN(double)

#endif

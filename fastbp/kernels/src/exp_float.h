/* tanh and the logistic function in float, without branches, so that loops over them become vector
 * code.
 *
 * e^x = 2^n (1 + r + w): x = n ln 2 + r' with |r'| <= ln 2 / 2, r is r' but for the low digits of
 * n ln 2, and w, which is small, the rest of e^r' - 1. Where the sum 1 + r + w would round, the part
 * that is lost is carried beside it; so both functions are a quotient of two pairs of floats, taken
 * to a little over half a unit in the last place: benchmarks/ulp.py tries all floats.
 *
 * `fused`, a constant where these are inlined: a multiply-add that rounds once is one instruction.
 */
#ifndef FASTBP_EXP_FLOAT_H
#define FASTBP_EXP_FLOAT_H

#include <stdint.h>
#include <string.h>

#include "inlined.h"

#define ROUNDER_FLOAT 0x1.8p23f

/* a b + c; exact where c cancels all but the lowest digits of a b. */
INLINED float multiply_add(float a, float b, float c, int fused) {
    return fused ? __builtin_fmaf(a, b, c) : (float)((double)a * b + c);
}

/* 2^n for a whole n from -126 to 127. */
INLINED float power_of_two_float(float n) {
    float shifted = n + (ROUNDER_FLOAT + 127);
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits <<= 23;
    memcpy(&shifted, &bits, sizeof bits);
    return shifted;
}

/* n, r and w of e^x for -200 <= x <= 0. The polynomial has the least largest error in e^r', which
 * is 3e-9. */
INLINED float reduce_float(float x, float *r, float *w) {
    float n = x * 0x1.715476p+0f + ROUNDER_FLOAT - ROUNDER_FLOAT;
    float high = x - n * 0x1.62e4p-1f; /* exact: n has 9 digits, this part of ln 2 has 15 */
    float low = n * -0x1.7f7d1cp-20f, whole = high + low;
    float q = 0x1.123a2p-7f + whole * 0x1.6a23d6p-10f;
    q = q * whole + 0x1.5558f2p-5f;
    q = q * whole + 0x1.555492p-3f;
    q = q * whole + 0x1.fffffcp-2f;
    *r = high;
    *w = whole * whole * q + low;
    return n;
}

/* (a + a_low) / (b + b_low). */
INLINED float quotient(float a, float a_low, float b, float b_low, int fused) {
    float inverse = 1 / b, first = a * inverse;
    float rest = multiply_add(-first, b, a, fused) + (a_low - first * b_low);
    return first + rest * inverse;
}

/* tanh |x| = -m / (2 + m) with m = e^-2|x| - 1, and the sign of x; for |x| <= TANH_LIMIT_FLOAT or NaN. */
#define TANH_LIMIT_FLOAT 10.0f /* tanh 10 rounds to 1 */
INLINED float tanh_float(float x, int fused) {
    float r, w, n, scale, less, sum, low, m, m_low, below, t;
    n = reduce_float(-2 * __builtin_fabsf(x), &r, &w);
    scale = power_of_two_float(n);
    less = scale - 1;
    sum = less + scale * r;
    low = (scale * r - (sum - less)) + scale * w + (scale - (less + 1));
    m = sum + low;
    m_low = low - (m - sum);
    below = 2 + m;
    t = quotient(-m, -m_low, below, (m - (below - 2)) + m_low, fused);
    return __builtin_copysignf(t, x);
}

/* 1 / (1 + e^-x) for x >= 0, e^x / (1 + e^x) for x < 0, so that no e overflows; for |x| <=
 * SIGMOID_LIMIT_FLOAT or NaN. */
#define SIGMOID_LIMIT_FLOAT 110.0f /* e^-104 rounds to 0 */
INLINED float sigmoid_float(float x, int fused) {
    float r, w, n, half, e, e_low, scale, rest, small, below, below_low, q;
    n = reduce_float(-__builtin_fabsf(x), &r, &w);
    e = 1 + (r + w);
    e_low = (r - (e - 1)) + w;
    half = n * 0.5f + ROUNDER_FLOAT - ROUNDER_FLOAT; /* 2^n in two steps: n may be -159 */
    scale = power_of_two_float(half);
    rest = power_of_two_float(n - half);
    small = e * scale * rest;
    below = 1 + small;
    below_low = (small - (below - 1)) + e_low * scale * rest;
    q = quotient(x < 0 ? e : 1, x < 0 ? e_low : 0, below, below_low, fused);
    return x < 0 ? q * scale * rest : q;
}

#endif

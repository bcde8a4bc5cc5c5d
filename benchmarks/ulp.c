/* All floats through one function on each instruction set, against the C library's double:
 * ulp.py compiles this once for each function and prints what check() finds. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "exp.h"
#include "exp_float.h"

#if defined(TANH)
#define FUNCTION_F32 tanh_float
#define FUNCTION_F64 tanh_double
#define LIMIT_F32 TANH_LIMIT_FLOAT
#define LIMIT_F64 TANH_LIMIT
#define TRUTH(x) tanh(x)
#elif defined(SIGMOID)
#define FUNCTION_F32 sigmoid_float
#define FUNCTION_F64 sigmoid_double
#define LIMIT_F32 SIGMOID_LIMIT_FLOAT
#define LIMIT_F64 EXP_LIMIT
/* For x < 0 the form that loses nothing; e^x and 1 + e^x are within an ulp of double. */
#define TRUTH(x) ((x) < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-(x))))
#else /* the exp of softmax, which takes doubles, none above 0 */
#define FUNCTION_F32(x, fused) (float)exp_negative(x, fused)
#define FUNCTION_F64(x, fused) exp_negative(x, fused)
#define LIMIT_F32 (float)EXP_LIMIT
#define LIMIT_F64 EXP_LIMIT
#define TRUTH(x) exp(x)
#endif
#include "elementwise_isa.h"

typedef struct result {
    double normal, denormal; /* largest errors in units of the last place; 0.5 when all are nearest */
    float where_normal, where_denormal;
    int64_t rounded, wrong, falls; /* not the nearest; wrong NaN, 0 or infinity; not monotone */
} result;

typedef void apply(int64_t n, const float *x, float *y);

/* Best last, as isa_level() counts. */
static apply *const instances[] = {
    chunks_f32_base,
#if defined(__x86_64__)
    chunks_f32_v3,
    chunks_f32_v4,
#endif
};

static void compare(float x, float got, double truth, result *r) {
    float nearest = (float)truth;
    double error, unit;
    uint64_t bits;
    if (got == nearest && signbit(got) == signbit(nearest))
        return;
    if (isnan(x) || isnan(got) || truth == 0 || signbit(got) != signbit(nearest)) {
        r->wrong += !(isnan(x) && isnan(got));
        return;
    }
    r->rounded++;
    memcpy(&bits, &truth, sizeof bits);
    bits &= UINT64_C(0x7ff) << 52; /* the power of two at or below |truth| */
    memcpy(&unit, &bits, sizeof unit);
    error = fabs(got - truth);
    if (unit < 0x1p-126 && error * 0x1p149 > r->denormal) {
        r->denormal = error * 0x1p149;
        r->where_denormal = x;
    }
    if (unit >= 0x1p-126 && error / unit * 0x1p23 > r->normal) {
        r->normal = error / unit * 0x1p23;
        r->where_normal = x;
    }
}

/* `step` floats apart, all those with the sign bit as given; results, one for each instance. */
void check(int levels, int negative, uint32_t step, result *results) {
    enum { MANY = 4096 };
    float x[MANY], y[MANY], before[3] = {NAN, NAN, NAN};
    double truth[MANY];
    for (uint64_t first = 0; first < UINT64_C(1) << 31; first += (uint64_t)MANY * step) {
        for (int i = 0; i < MANY; i++) {
            uint64_t next = first + (uint64_t)i * step;
            uint32_t bits = next < UINT64_C(1) << 31 ? (uint32_t)next : UINT32_C(0x7fffffff);
            bits |= negative ? UINT32_C(1) << 31 : 0;
            memcpy(x + i, &bits, sizeof bits);
            truth[i] = TRUTH((double)x[i]);
        }
        for (int level = 0; level < levels; level++) {
            result *r = results + level;
            instances[level](MANY, x, y);
            for (int i = 0; i < MANY; i++) {
                compare(x[i], y[i], truth[i], r);
                r->falls += negative ? y[i] > before[level] : y[i] < before[level];
                before[level] = y[i];
            }
        }
    }
}

/* How many of the instances this processor runs. */
int levels(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("x86-64-v4") ? 3 : __builtin_cpu_supports("x86-64-v3") ? 2 : 1;
#else
    return 1;
#endif
}

/* Defines apply_f32 and apply_f64 (n, x, y): y = FUNCTION(x), a function of double without
 * branches, for whole arrays on the best instruction set there is. */
#include "isa.h"

#define LOOP(name, real)                                                                           \
    static void name(int64_t n, const real *x, real *y) {                                          \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = (real)FUNCTION((double)x[i]);                                                   \
    }

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
LOOP(apply_f32_v4, float)
LOOP(apply_f64_v4, double)
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
LOOP(apply_f32_v3, float)
LOOP(apply_f64_v3, double)
#pragma GCC pop_options
#endif
LOOP(apply_f32_base, float)
LOOP(apply_f64_base, double)

#if defined(__x86_64__)
#define APPLY(type, real)                                                                          \
    static void apply_##type(int64_t n, const real *x, real *y) {                                  \
        int level = isa_level();                                                                   \
        (level == 2 ? apply_##type##_v4 : level == 1 ? apply_##type##_v3 : apply_##type##_base)(   \
            n, x, y);                                                                              \
    }
#else
#define APPLY(type, real)                                                                          \
    static void apply_##type(int64_t n, const real *x, real *y) { apply_##type##_base(n, x, y); }
#endif
APPLY(f32, float)
APPLY(f64, double)
#undef LOOP
#undef APPLY

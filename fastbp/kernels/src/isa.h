/* One body, compiled for several instruction sets; which of them runs is found out once.
 *
 * dense.c and elementwise_isa.h say what is compiled for each.
 */
#ifndef FASTBP_ISA_H
#define FASTBP_ISA_H

#include "compiler.h"

#include <stdlib.h>
#include <string.h>

/* What the processor runs. 2: x86-64-v4, 1: x86-64-v3, 0: what the compiler takes as baseline. */
static inline int isa_best(void) {
#if LEVELS == 2
    __builtin_cpu_init();
    return __builtin_cpu_supports("x86-64-v4") ? 2 : __builtin_cpu_supports("x86-64-v3") ? 1 : 0;
#elif LEVELS == 1 /* clang 14 knows no levels: by what came to processors with v3 */
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
#else
    return 0;
#endif
}

/* The one in use: the best, or what FASTBP_ISA names. A name that makes no sense here changes
 * nothing; product.pyx refuses it. */
static inline int isa_level(void) {
    static int level = -1; /* every thread would write the same */
    if (level < 0) {
        const char *name = getenv("FASTBP_ISA");
        int best = isa_best();
        if (name && strcmp(name, "x86-64") == 0)
            best = 0;
        if (name && strcmp(name, "x86-64-v3") == 0 && best > 1)
            best = 1;
        level = best;
    }
    return level;
}

#endif

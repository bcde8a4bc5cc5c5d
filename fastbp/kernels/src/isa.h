/* One body, compiled for several instruction sets; which of them runs is said once, at import, before
 * any of them does: product.pyx reads FASTBP_ISA and tells all others.
 *
 * dense.c and every_isa.h say what is compiled for each.
 */
#ifndef FASTBP_ISA_H
#define FASTBP_ISA_H

#include "compiler.h"

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

#pragma GCC visibility push(hidden)

/* Which level every_isa.h's functions run on, those of this library: the baseline at first. */
extern int isa_level;
void isa_use(int level);

#pragma GCC visibility pop
#endif

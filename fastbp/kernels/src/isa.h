/* One body, compiled for several instruction sets; which of them runs is found out once.
 *
 * matmul.c and elementwise_isa.h say what is compiled for each.
 */
#ifndef FASTBP_ISA_H
#define FASTBP_ISA_H

#include <stdlib.h>
#include <string.h>

/* 2: x86-64-v4, 1: x86-64-v3, 0: whatever the compiler takes as baseline. The best that the
 * processor runs, or what FASTBP_ISA names, if the processor runs that. */
static inline int isa_level(void) {
    static int level = -1; /* every thread would write the same */
    if (level < 0) {
        int best = 0;
#if defined(__x86_64__)
        const char *name = getenv("FASTBP_ISA");
        __builtin_cpu_init();
        best = __builtin_cpu_supports("x86-64-v4") ? 2 : __builtin_cpu_supports("x86-64-v3") ? 1 : 0;
        if (name && strcmp(name, "x86-64") == 0)
            best = 0;
        if (name && strcmp(name, "x86-64-v3") == 0 && best > 1)
            best = 1;
#endif
        level = best;
    }
    return level;
}

#endif

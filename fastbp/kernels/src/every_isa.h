/* One body, compiled for each instruction set, and a function that calls the best there is.
 *
 * EVERY_ISA(name, body, (parameters), (arguments)): `body` takes one argument more, `fused`, whether
 * a multiply-add that rounds once is one instruction; it is inlined three times.
 */
#ifndef FASTBP_EVERY_ISA_H
#define FASTBP_EVERY_ISA_H

#include "inlined.h"
#include "isa.h"

/* In two steps, so that `name` may be what a macro gives. */
#define EVERY_ISA(name, body, parameters, arguments) EVERY_ISA_(name, body, parameters, arguments)
#define UNPACKED(...) __VA_ARGS__

#ifdef __FP_FAST_FMAF
#define BASE_FUSED 1
#else
#define BASE_FUSED 0
#endif

#if defined(__x86_64__)
#define EVERY_ISA_(name, body, parameters, arguments)                                              \
    __attribute__((target("arch=x86-64-v4,prefer-vector-width=512"))) static void name##_v4        \
        parameters {                                                                               \
        body(UNPACKED arguments, 1);                                                               \
    }                                                                                              \
    __attribute__((target("arch=x86-64-v3"))) static void name##_v3 parameters {                   \
        body(UNPACKED arguments, 1);                                                               \
    }                                                                                              \
    static void name##_base parameters { body(UNPACKED arguments, BASE_FUSED); }                   \
    static void name parameters {                                                                  \
        int level = isa_level();                                                                   \
        (level == 2 ? name##_v4 : level == 1 ? name##_v3 : name##_base) arguments;                 \
    }
#else
#define EVERY_ISA_(name, body, parameters, arguments)                                              \
    static void name##_base parameters { body(UNPACKED arguments, BASE_FUSED); }                   \
    static void name parameters { name##_base arguments; }
#endif

#endif

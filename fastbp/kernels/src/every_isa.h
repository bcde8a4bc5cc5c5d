/* One body, compiled for each instruction set, and a function that calls the best there is.
 *
 * EVERY_ISA(name, body, (parameters), (arguments)): `body` takes one argument more, `fused`, whether
 * a multiply-add that rounds once is one instruction; it is inlined three times.
 */
#ifndef FASTBP_EVERY_ISA_H
#define FASTBP_EVERY_ISA_H

#include "compiler.h"
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

#define COMPILED(name, body, parameters, arguments, fused)                                         \
    static void name parameters { body(UNPACKED arguments, fused); }
#define IN_V3(...) __attribute__((target("arch=x86-64-v3"))) COMPILED(__VA_ARGS__)

#if LEVELS == 2
#define IN_V4(...)                                                                                 \
    __attribute__((target("arch=x86-64-v4,prefer-vector-width=512"))) COMPILED(__VA_ARGS__)
#define CHOSEN(name, level) (level == 2 ? name##_v4 : level == 1 ? name##_v3 : name##_base)
#else
#define IN_V4(...)
#define CHOSEN(name, level) (level == 1 ? name##_v3 : name##_base)
#endif

#if LEVELS
#define EVERY_ISA_(name, body, parameters, arguments)                                              \
    IN_V4(name##_v4, body, parameters, arguments, 1)                                               \
    IN_V3(name##_v3, body, parameters, arguments, 1)                                               \
    COMPILED(name##_base, body, parameters, arguments, BASE_FUSED)                                 \
    static void name parameters {                                                                  \
        CHOSEN(name, isa_level) arguments;                                                         \
    }
#else
#define EVERY_ISA_(name, body, parameters, arguments)                                              \
    COMPILED(name, body, parameters, arguments, BASE_FUSED)
#endif

#endif

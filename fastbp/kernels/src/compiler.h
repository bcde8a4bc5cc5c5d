/* What GCC and clang write differently. */
#ifndef FASTBP_COMPILER_H
#define FASTBP_COMPILER_H

#include <stdint.h>

/* How many levels of x86-64 there is code for beyond the baseline: v3 and v4. From clang it is v3 alone:
 * version 14 has no prefer-vector-width, and what it makes of v4 was never run. */
#if !defined(__x86_64__)
#define LEVELS 0
#elif defined(__clang__)
#define LEVELS 1
#else
#define LEVELS 2
#endif

#define PRAGMA(text) _Pragma(#text)

/* p + n, which may lie outside of p's array: what is only fetched ahead, or where a pointer stands
 * when its loop has ended. A sum of pointers must not, even if nobody reads there. */
#define BEYOND(p, n) ((__typeof__(p))((uintptr_t)(p) + (uintptr_t)(n) * sizeof *(p)))

/* BEGIN_TARGET, END_TARGET: functions between them are compiled for these instruction sets.
 * SHUFFLED: the numbers of vectors a and b at these places, b's counted on from a's; `index` is a
 * vector of integers of their size.
 * UNROLL, ROLLED, INDEPENDENT: of the loop that follows, as many times as it runs; not at all; no
 * number is written that another turn reads. */
#ifdef __clang__
#define BEGIN_TARGET(sets)                                                                         \
    PRAGMA(clang attribute push(__attribute__((target(sets))), apply_to = function))
#define END_TARGET PRAGMA(clang attribute pop)
#define SHUFFLED(index, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define UNROLL(times) PRAGMA(clang loop unroll(full))
#define ROLLED PRAGMA(clang loop unroll(disable))
#define INDEPENDENT PRAGMA(clang loop vectorize(assume_safety))
#else
#define BEGIN_TARGET(sets) PRAGMA(GCC push_options) PRAGMA(GCC target(sets))
#define END_TARGET PRAGMA(GCC pop_options)
#define SHUFFLED(index, a, b, ...) __builtin_shuffle(a, b, (index){__VA_ARGS__})
#define UNROLL(times) PRAGMA(GCC unroll times)
#define ROLLED PRAGMA(GCC unroll 1)
#define INDEPENDENT PRAGMA(GCC ivdep)
#endif

#endif

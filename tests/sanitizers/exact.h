/* What the drivers share: arrays of exactly the numbers asked for, so that the address sanitiser sees
 * one read or written beyond them; random numbers; and what to do where something is wrong. */
#ifndef EXACT_H
#define EXACT_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(truth, ...)                                                                          \
    do {                                                                                           \
        if (!(truth)) {                                                                            \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t state = 0x9E3779B97F4A7C15u;

static inline uint64_t bits(void) { /* xorshift* of Vigna */
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Du;
}

static inline int64_t below(int64_t n) { return (int64_t)(bits() >> 1) % n; }

static inline double unit(void) { return (double)(bits() >> 11) * 0x1p-52 - 1; } /* -1 to 1 */

/* A width or a number of rows: mostly around a register's, now and then many. */
static inline int64_t size(void) {
    static const int64_t sizes[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  12, 15, 16, 17,  24,  25,
                                    31, 32, 33, 47, 48, 49, 63, 64, 65, 66, 96, 97, 129, 193, 257};
    return sizes[below(sizeof sizes / sizeof *sizes)];
}

static inline size_t bytes(int type, int64_t n) { return (size_t)n * (type ? 8 : 4); }

static inline double get(int type, const void *x, int64_t i) {
    return type ? ((const double *)x)[i] : ((const float *)x)[i];
}

static inline void set(int type, void *x, int64_t i, double value) {
    if (type)
        ((double *)x)[i] = value;
    else
        ((float *)x)[i] = (float)value;
}

static inline void *place(int type, void *x, int64_t i) { return (char *)x + bytes(type, i); }

/* n numbers, of which that part is 0; NULL where there are none, as from an empty NumPy array. */
static inline void *numbers(int type, int64_t n, double zeros) {
    void *x = n ? malloc(bytes(type, n)) : NULL;
    for (int64_t i = 0; i < n; i++)
        set(type, x, i, (unit() + 1) / 2 < zeros ? 0 : unit());
    return x;
}

/* Rows of `width` numbers, ld apart: after the last of them nothing follows. */
static inline int64_t extent(int64_t rows, int64_t width, int64_t ld) {
    return rows && width ? (rows - 1) * ld + width : 0;
}

static inline void *copy(int type, const void *x, int64_t n) {
    void *y = n ? malloc(bytes(type, n)) : NULL;
    if (n)
        memcpy(y, x, bytes(type, n));
    return y;
}

static inline double epsilon(int type) { return type ? 0x1p-52 : 0x1p-23; }

#endif

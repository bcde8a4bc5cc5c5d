/* A thread's floating-point mode as one word: rounding, and whether denormals count as zero. The
 * flags of past exceptions are left out. Where the processor is unknown the mode stays as it is.
 *
 * fpmode_flush has denormals count as zero, as operands and as results, and returns the mode before,
 * to be set again: Intel's processors take some 150 cycles for an operation on one. */
#ifndef FASTBP_FPMODE_H
#define FASTBP_FPMODE_H

#include <stdint.h>

typedef uint64_t fpmode;

#if defined(__x86_64__)
#include <xmmintrin.h>
#define FPMODE_FLAGS 0x3Fu

/* In the high half the control word of the x87, which long double and fesetround have beside; 0, which it
 * never is, where nobody may have changed it. */
static inline fpmode fpmode_get(void) {
    uint16_t x87;
    __asm__ __volatile__("fnstcw %0" : "=m"(x87));
    return (_mm_getcsr() & ~FPMODE_FLAGS) | (fpmode)x87 << 32;
}

static inline void fpmode_set(fpmode mode) {
    uint32_t now = _mm_getcsr(), wanted = (uint32_t)mode;
    if ((now & ~FPMODE_FLAGS) != wanted) /* writing costs more than reading */
        _mm_setcsr(wanted | (now & FPMODE_FLAGS));
    if (mode >> 32) {
        uint16_t x87, before = (uint16_t)(mode >> 32);
        __asm__ __volatile__("fnstcw %0" : "=m"(x87));
        if (x87 != before)
            __asm__ __volatile__("fldcw %0" : : "m"(before));
    }
}

/* Without the x87: it takes part in no step. */
static inline fpmode fpmode_flush(void) {
    uint32_t now = _mm_getcsr(), flushing = now | 0x8040u; /* results, operands */
    if (now != flushing)
        _mm_setcsr(flushing);
    return now & ~FPMODE_FLAGS;
}

#elif defined(__aarch64__)

static inline fpmode fpmode_get(void) {
    fpmode mode;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(mode));
    return mode;
}

static inline void fpmode_set(fpmode mode) {
    if (fpmode_get() != mode)
        __asm__ __volatile__("msr fpcr, %0" : : "r"(mode) : "memory");
}

static inline fpmode fpmode_flush(void) {
    fpmode before = fpmode_get();
    fpmode_set(before | (fpmode)1 << 24); /* FZ: both, in float32 and float64 */
    return before;
}

#else

static inline fpmode fpmode_get(void) {
    return 0;
}

static inline void fpmode_set(fpmode mode) {
    (void)mode;
}

static inline fpmode fpmode_flush(void) {
    return 0;
}

#endif
#endif

/* What compilers have to be told about functions that are to become vector code. */
#ifndef FASTBP_INLINED_H
#define FASTBP_INLINED_H

/* Compiled where they are called, for the instruction set of the caller. */
#define INLINED static inline __attribute__((always_inline))

/* Hides the value of a constant. GCC would make two cases of all that comes after x > limit ? limit
 * : x, and blend them again and again. */
#define OPAQUE(constant) __asm__("" : "+m"(constant))

#endif

/* fastbp's own matrix product, for the shapes that dense networks have. */
#ifndef FASTBP_MATMUL_H
#define FASTBP_MATMUL_H

#include <stdint.h>

/* C (m, n) = op(A) (m, k) op(B) (k, n), added to C when `add` is not 0; row-major; lda, ldb, ldc are
 * numbers from one stored row to the next; not both may be transposed. */
typedef void (*matmul_f32)(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k,
                           const float *A, int64_t lda, const float *B, int64_t ldb, float *C,
                           int64_t ldc, int add);
typedef void (*matmul_f64)(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k,
                           const double *A, int64_t lda, const double *B, int64_t ldb, double *C,
                           int64_t ldc, int add);

typedef struct matmul_isa {
    const char *name; /* "x86-64", "x86-64-v3", "x86-64-v4", or "baseline" elsewhere */
    matmul_f32 f32;
    matmul_f64 f64;
} matmul_isa;

/* The best instance that this processor runs, or NULL at the end: numbered from the best down. */
const matmul_isa *matmul_instance(int number);
int matmul_runs(const matmul_isa *instance); /* whether this processor runs it */

#endif

/* What a step does with dense layers and parameters, on the best instruction set there is. */
#ifndef FASTBP_DENSE_H
#define FASTBP_DENSE_H

#include <stdint.h>

enum { RULE_NONE, RULE_SGD, RULE_MOMENTUM, RULE_NESTEROV, RULE_ADAM };

/* An optimizer's step, ready to be made. With d = g + decay theta:
 * SGD       theta -= rate d
 * MOMENTUM  m = keep_m m + d, theta -= rate m; NESTEROV: theta -= rate (d + keep_m m)
 * ADAM      m = keep_m m + new_m d, v = keep_v v + new_v d², theta -= rate m / (grow sqrt(v) + eps)
 * Each constant is rounded to the parameters' type once. */
typedef struct update_rule {
    int kind;
    double lr; /* of which Adam's rate is made at each step */
    double rate, decay, keep_m, new_m, keep_v, new_v, grow, eps;
    void *theta, *m, *v; /* whole arrays of one layout: entry i of m belongs to entry i of theta */
} update_rule;

/* Examples up to which weights step along a gradient that is not formed, in one block of the depth;
 * and by Adam, which is slower in the product's tiles than apart (with AVX-512 1.05 to 1.2 times for 32
 * to 128 examples, and steps of networks 0.97 to 1.16 times for 2 to 128; with AVX2 these 1.01 to 1.18
 * for 32 to 200), but not along one example, where a step at 784-128-10 takes 0.8 of the time, and one
 * with momentum 0.64. */
#define STEP_DEPTH 512
#define ADAM_DEPTH 1

enum { LINK_X = 1, LINK_Y = 2 };

/* E2: max(a, 0) if g is NULL, or an elementwise layer's (fastbp/plugin.h), which makes h (batch, n_out):
 * called once, on all n numbers in any order; what it returns is not looked at. */
struct fastbp_call;
typedef int (*activation_g)(const struct fastbp_call *call, int64_t n, const void *a, void *h);
typedef struct activation {
    activation_g g;
    const struct fastbp_call *call;
    void *h;
} activation;

/* All matrices are row-major; `void *` is float or double; outputs overlap no input. */
typedef struct dense_type {
    int64_t sum_rows; /* rows of a tile, if 16 rows are whole tiles, or 1: upstream sums so many */
    /* C (m, n) = op(A) (m, k) op(B) (k, n), added to C when `add` is not 0; lda, ldb, ldc are
     * numbers from one stored row to the next; not both may be transposed. */
    void (*product)(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const void *A,
                    int64_t lda, const void *B, int64_t ldb, void *C, int64_t ldc, int add);
    /* E1: y (batch, n_out) = x (batch, n_in) W (n_out, n_in)ᵀ + b; b (n_out,) or NULL; the rows of y
     * are ld_y apart. Unless `then` is NULL, with its E2: y = max(x Wᵀ + b, 0), or then->h, where y,
     * whose rows are n_out apart, holds nothing of use. `link`: LINK_Y if the thread's next call of
     * affine has y, or h, as its x, unchanged, and LINK_X if this is such a call; that x is kept
     * turned in between. */
    void (*affine)(int64_t batch, int64_t n_in, int64_t n_out, const void *x, const void *W,
                   const void *b, const activation *then, int link, void *y, int64_t ld_y);
    /* E6: dh (batch, n_in) = delta (batch, n_out) W. Given h (batch, n_in), what a ReLU put out, E7
     * as well: 0 where h is not above 0; and, unless sums is NULL, the first half of E9: for each
     * sum_rows rows of dh, begun or full, the sums of its columns, sums (batch / sum_rows, n_in). Not
     * on instruction sets where sum_rows is 1. Rows of W, h, dh and sums are ld apart: some of a
     * layer's inputs give the bits that all give. */
    void (*upstream)(int64_t batch, int64_t n_in, int64_t n_out, const void *delta, const void *W,
                     const void *h, void *dh, void *sums, int64_t ld);
    /* E8 and the step along it in one, for batch <= STEP_DEPTH: dW = deltaᵀ h, of W (n_out, n_in)
     * inside rule->theta; delta (batch, n_out) whose rows are ld_delta apart, h (batch, n_in). */
    void (*step_along)(int64_t batch, int64_t n_in, int64_t n_out, const void *delta,
                       int64_t ld_delta, const void *h, const update_rule *rule, void *W);
    /* E9: db (n_out,) = Σ_n delta_n, `at_once` rows in their own type and these sums in double; delta
     * (batch, n_out), ld_delta apart. Or the other half of it, delta being upstream's sums: to the
     * bits that sum_rows at once give. */
    void (*column_sums)(int64_t batch, int64_t n_out, const void *delta, int64_t ld_delta,
                        int64_t at_once, void *db);
    /* The step for n parameters, theta inside rule->theta, along g. */
    void (*update)(int64_t n, void *theta, const void *g, const update_rule *rule);
    /* max |x_i|, 0 of nothing; NaN where one of x is NaN. */
    double (*largest)(int64_t n, const void *x);
    /* At least that, but for rounding, and finite where all of x is; NaN where one of x is NaN. It takes
     * half the time, if denormal numbers count as 0. */
    double (*bound)(int64_t n, const void *x);
    /* Σ x_i², summed in double. */
    double (*squares)(int64_t n, const void *x);
    /* x (rows, n) *= scale (rows,); with scale 0 the row is 0 whatever it held. */
    void (*scale_rows)(int64_t rows, int64_t n, const double *scale, void *x);
    /* x (n,) *= y (n,). */
    void (*multiply)(int64_t n, const void *y, void *x);
    /* x (n,) += scale y (n,). */
    void (*add_scaled)(int64_t n, double scale, const void *y, void *x);
} dense_type;

typedef struct dense_isa {
    const char *name; /* "x86-64", "x86-64-v3", "x86-64-v4", or "baseline" elsewhere */
    int level;        /* of isa.h */
    dense_type type[2]; /* float, double */
} dense_isa;

/* Numbered from the best down, NULL at the end. */
const dense_isa *dense_instance(int number);
int dense_runs(int number); /* whether this processor runs it */

/* Products pack in what this gives them, WORKSPACE bytes for the calling thread. Where that is NULL,
 * and before this is called, they pack no blocks, skip no zeros and keep nothing. */
void dense_pack_in(void *(*workspace)(void));

#endif

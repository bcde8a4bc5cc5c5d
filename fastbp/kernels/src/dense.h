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

#define STEP_DEPTH 512 /* examples up to which a weight gradient can be stepped along unformed */

/* All matrices are row-major; `void *` is float or double; outputs overlap no input. */
typedef struct dense_type {
    /* C (m, n) = op(A) (m, k) op(B) (k, n), added to C when `add` is not 0; lda, ldb, ldc are
     * numbers from one stored row to the next; not both may be transposed. */
    void (*product)(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const void *A,
                    int64_t lda, const void *B, int64_t ldb, void *C, int64_t ldc, int add);
    /* E1: y (batch, n_out) = x (batch, n_in) W (n_out, n_in)ᵀ + b; b (n_out,) or NULL. With `relu`
     * E2 as well: y = max(x Wᵀ + b, 0). */
    void (*affine)(int64_t batch, int64_t n_in, int64_t n_out, const void *x, const void *W,
                   const void *b, int relu, void *y);
    /* E6: dh (batch, n_in) = delta (batch, n_out) W. Given h (batch, n_in), what a ReLU put out, E7
     * as well: 0 where h is not above 0. */
    void (*upstream)(int64_t batch, int64_t n_in, int64_t n_out, const void *delta, const void *W,
                     const void *h, void *dh);
    /* E8 and a step of SGD in one, for batch <= STEP_DEPTH: W (n_out, n_in) -= rate (deltaᵀ h +
     * decay W); delta (batch, n_out) whose rows are ld_delta apart, h (batch, n_in). */
    void (*step_along)(int64_t batch, int64_t n_in, int64_t n_out, const void *delta,
                       int64_t ld_delta, const void *h, double rate, double decay, void *W);
    /* E9: db (n_out,) = Σ_n delta_n, summed in double; delta (batch, n_out), ld_delta apart. */
    void (*column_sums)(int64_t batch, int64_t n_out, const void *delta, int64_t ld_delta,
                        void *db);
    /* The step for n parameters, theta inside rule->theta, along g. */
    void (*update)(int64_t n, void *theta, const void *g, const update_rule *rule);
    /* max |x_i|, 0 of nothing; NaN where one of x is NaN. */
    double (*largest)(int64_t n, const void *x);
    /* Σ x_i², summed in double. */
    double (*squares)(int64_t n, const void *x);
} dense_type;

typedef struct dense_isa {
    const char *name; /* "x86-64", "x86-64-v3", "x86-64-v4", or "baseline" elsewhere */
    dense_type type[2]; /* float, double */
} dense_isa;

const dense_isa *dense_chosen(void); /* the one for isa_level() */
/* Numbered from the best down, NULL at the end. */
const dense_isa *dense_instance(int number);
int dense_runs(int number); /* whether this processor runs it */

/* Products pack in what this gives them, WORKSPACE bytes for the calling thread. Where that is NULL,
 * and before this is called, they pack no blocks and skip no zeros. */
void dense_pack_in(void *(*workspace)(void));

#endif

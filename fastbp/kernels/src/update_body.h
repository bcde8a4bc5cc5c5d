/* Optimizer steps (dense.h has the formulas) for one type and one instruction set. */

/* Parameters theta (rows, n) go one step along g; their rows are ld and ldg numbers apart. */
static __attribute__((noinline)) void
IN(update_rows)(int64_t rows, int64_t n, real *theta, int64_t ld, const real *g, int64_t ldg,
                const update_rule *rule) {
    const real rate = (real)rule->rate, decay = (real)rule->decay, keep_m = (real)rule->keep_m,
               new_m = (real)rule->new_m, keep_v = (real)rule->keep_v, new_v = (real)rule->new_v,
               grow = (real)rule->grow, eps = (real)rule->eps;
    const int64_t at = theta - (real *)rule->theta;
    for (int64_t i = 0; i < rows; i++) {
        real *restrict w = theta + i * ld;
        const real *restrict slope = g + i * ldg;
        if (rule->kind == RULE_SGD) {
            for (int64_t j = 0; j < n; j++)
                w[j] -= rate * (slope[j] + decay * w[j]);
            continue;
        }
        real *restrict m = (real *)rule->m + at + i * ld;
        if (rule->kind == RULE_MOMENTUM) {
            for (int64_t j = 0; j < n; j++) {
                m[j] = keep_m * m[j] + (slope[j] + decay * w[j]);
                w[j] -= rate * m[j];
            }
        } else if (rule->kind == RULE_NESTEROV) {
            for (int64_t j = 0; j < n; j++) {
                real d = slope[j] + decay * w[j];
                m[j] = keep_m * m[j] + d;
                w[j] -= rate * (d + keep_m * m[j]);
            }
        } else if (rule->kind == RULE_ADAM) {
            real *restrict v = (real *)rule->v + at + i * ld;
            for (int64_t j = 0; j < n; j++) {
                real d = slope[j] + decay * w[j];
                m[j] = keep_m * m[j] + new_m * d;
                v[j] = keep_v * v[j] + new_v * (d * d);
                w[j] -= rate * m[j] / (ROOT(v[j]) * grow + eps);
            }
        }
    }
}

static void IN(update)(int64_t n, void *theta, const void *g, const update_rule *rule) {
    IN(update_rows)(1, n, theta, n, g, n, rule);
}

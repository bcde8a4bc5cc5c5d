/* Optimizer steps (dense.h has the formulas) for one type and one instruction set. Nothing stored
 * is read again: where m lay across cache lines, that made Adam three times slower. */
static void IN(update)(int64_t n, void *theta, const void *g_, const update_rule *rule) {
    const real rate = (real)rule->rate, decay = (real)rule->decay, keep_m = (real)rule->keep_m,
               new_m = (real)rule->new_m, keep_v = (real)rule->keep_v, new_v = (real)rule->new_v,
               grow = (real)rule->grow, eps = (real)rule->eps;
    const int64_t at = (real *)theta - (real *)rule->theta;
    const real *restrict g = g_;
    real *restrict w = theta, *restrict m = rule->m ? (real *)rule->m + at : NULL,
                   *restrict v = rule->v ? (real *)rule->v + at : NULL;
    switch (rule->kind) {
    case RULE_SGD:
        for (int64_t j = 0; j < n; j++)
            w[j] -= rate * (g[j] + decay * w[j]);
        break;
    case RULE_MOMENTUM:
        for (int64_t j = 0; j < n; j++) {
            real new = keep_m *m[j] + (g[j] + decay * w[j]);
            m[j] = new;
            w[j] -= rate * new;
        }
        break;
    case RULE_NESTEROV:
        for (int64_t j = 0; j < n; j++) {
            real d = g[j] + decay * w[j], new = keep_m *m[j] + d;
            m[j] = new;
            w[j] -= rate * (d + keep_m * new);
        }
        break;
    case RULE_ADAM:
        for (int64_t j = 0; j < n; j++) {
            real d = g[j] + decay * w[j];
            real first = keep_m * m[j] + new_m * d, second = keep_v * v[j] + new_v * (d * d);
            m[j] = first, v[j] = second;
            w[j] -= rate * first / (ROOT(second) * grow + eps);
        }
        break;
    }
}

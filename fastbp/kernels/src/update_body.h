/* Optimizer steps (dense.h has the formulas) for one type and one instruction set. */
typedef struct IN(step) {
    int kind;
    real rate, decay, keep_m, new_m, keep_v, new_v, grow, eps;
    real *theta, *m, *v;
} IN(step);

static IN(step) IN(step_of)(const update_rule *rule) {
    return (IN(step)){.kind = rule->kind,
                      .rate = (real)rule->rate,
                      .decay = (real)rule->decay,
                      .keep_m = (real)rule->keep_m,
                      .new_m = (real)rule->new_m,
                      .keep_v = (real)rule->keep_v,
                      .new_v = (real)rule->new_v,
                      .grow = (real)rule->grow,
                      .eps = (real)rule->eps,
                      .theta = rule->theta,
                      .m = rule->m,
                      .v = rule->v};
}

/* w, with 0 for what is infinite: a class is masked by a bias of -inf, which decay leaves alone. */
static inline __attribute__((always_inline)) IN(reg) IN(finite_or_0)(IN(reg) w) {
    return (IN(reg))((IN(lanes))w & (w - w == 0));
}

/* Some parameters at `theta`, a register's worth or less, whose gradient is g. Nothing stored is read
 * again: where m lay across cache lines, that made Adam three times slower. */
static inline __attribute__((always_inline)) void
IN(take_step)(int kind, IN(reg) g, real *theta, int64_t some, const IN(step) *step) {
    const int64_t at = theta - step->theta;
    IN(reg) w = IN(load_part)(theta, some), d = g, m, v;
    if (step->decay != 0)
        d += step->decay * IN(finite_or_0)(w);
    if (kind == RULE_SGD) {
        IN(store_part)(theta, w - step->rate * d, some);
        return;
    }
    IN(reg) first = kind == RULE_ADAM ? step->new_m * d : d, second = step->new_v * (d * d);
    ROUNDED(first);
    ROUNDED(second);
    m = step->keep_m * IN(load_part)(step->m + at, some) + first;
    IN(store_part)(step->m + at, m, some);
    if (kind == RULE_MOMENTUM) {
        w -= step->rate * m;
    } else if (kind == RULE_NESTEROV) {
        w -= step->rate * (d + step->keep_m * m);
    } else {
        v = step->keep_v * IN(load_part)(step->v + at, some) + second;
        IN(store_part)(step->v + at, v, some);
        w -= IN(quotient)(step->rate * m, IN(root)(v) * step->grow + step->eps);
    }
    IN(store_part)(theta, w, some);
}

/* Fetches what the step of theta (rows, width) will read. */
static void IN(prefetch_step)(int64_t rows, int64_t width, const real *theta, int64_t ld,
                              const IN(step) *step) {
    for (int64_t r = 0; r < rows; r++, theta = BEYOND(theta, ld))
        for (int64_t l = 0; l < width; l += LANES) {
            const int64_t at = theta + l - step->theta;
            __builtin_prefetch(theta + l, 1);
            __builtin_prefetch(step->m + at, 1);
            if (step->kind == RULE_ADAM)
                __builtin_prefetch(step->v + at, 1);
        }
}

/* The step of theta (rows, width), of rows ld apart, along g (rows, wide). */
static void IN(update_rows)(int64_t rows, int64_t width, int64_t wide, const real *g, real *theta,
                            int64_t ld, const IN(step) *step) {
#define STEPS(KIND)                                                                                \
    case KIND:                                                                                     \
        for (; rows; rows--, g += wide, theta = BEYOND(theta, ld))                                 \
            for (int64_t j = 0; j < width; j += LANES)                                             \
                IN(take_step)(KIND, IN(load_part)(g + j, width - j) + 0, theta + j, width - j,     \
                              step);                                                               \
        break;
    switch (step->kind) {
        STEPS(RULE_SGD)
        STEPS(RULE_MOMENTUM)
        STEPS(RULE_NESTEROV)
        STEPS(RULE_ADAM)
    }
#undef STEPS
}

static void IN(update)(int64_t n, void *theta, const void *g, const update_rule *rule) {
    const IN(step) step = IN(step_of)(rule);
    IN(update_rows)(1, n, n, g, theta, n, &step);
}

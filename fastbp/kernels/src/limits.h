/* How large a gradient may be for a step along it to leave every finite number finite, by bounds alone.
 *
 * A finite theta stays finite if it changes by less than half the last digit of the largest number, 2^103
 * in float and 2^970 in double. What bounds the optimizer's memory follows from step to step from what
 * bounded it before and from the limit itself, so that nothing has to be looked at: gradients below
 * ORDINARY are, by far, all that training meets. A limit that is not above 0 says that nothing is sure.
 * None of this depends on the number of threads, as what a step does depends on it.
 */
#ifndef FASTBP_LIMITS_H
#define FASTBP_LIMITS_H

#include <math.h>

#include "dense.h"

/* No |m_i| and no v_i is larger; INFINITY: they have not been looked at. */
typedef struct slot_bounds {
    double m, v;
} slot_bounds;

#define ROUNDING 1.000001 /* more than float's rounding adds to a bound in a step */

static const double ORDINARY[2] = {1e18, 1e150}; /* whose squares are finite, and sums of these */
static const double LARGE[2] = {1e37, 1e306};    /* finite, and so are a few added up */
static const double PUSH[2] = {0x1p101, 0x1p968}; /* a quarter of what could move theta to infinity */

/* Of g + decay theta, which the rule calls d. */
static inline double limit_of_d(const update_rule *rule, int type, const slot_bounds *slots) {
    double push = PUSH[type] / rule->rate, most = ORDINARY[type], eps = rule->eps;
    if (!(rule->rate <= LARGE[type])) /* Adam's is more than lr */
        return -1;
    if (rule->kind == RULE_MOMENTUM || rule->kind == RULE_NESTEROV) {
        if (!(slots->m <= LARGE[type]))
            return -1;
        push -= slots->m; /* rate (d + keep_m (keep_m m + d)) */
    } else if (rule->kind == RULE_ADAM) {
        push *= eps > 1 ? 1 : type ? eps : (float)eps; /* rate m, / (grow sqrt(v) + eps) */
        if (!(slots->m <= push && slots->m <= LARGE[type] && slots->v <= LARGE[type]))
            return -1;
    }
    return push < most ? push : most;
}

/* Whether decay takes no more than half of theta off, so that theta need not be bounded for it. */
static inline int limit_shrinks(const update_rule *rule, double decay) {
    return rule->kind == RULE_SGD && decay <= 0.5 && rule->rate * decay <= 0.5;
}

/* What the memory has for bounds after a step along any d within limit_of_d. */
static inline void limit_follow(const update_rule *rule, int type, slot_bounds *slots) {
    if (rule->kind == RULE_SGD)
        return;
    double d = limit_of_d(rule, type, slots);
    double new_m = rule->kind == RULE_ADAM ? rule->new_m : 1;
    slots->m = (rule->keep_m * slots->m + new_m * d) * ROUNDING;
    slots->v = (rule->keep_v * slots->v + rule->new_v * d * d) * ROUNDING;
}

#endif

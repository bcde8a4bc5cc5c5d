/* Neighbours on a machine slow one CPU down and then another, for milliseconds to seconds. Speeds are
 * relative: over the threads of a job they add up to what they did before, but for the limits below. */
#include "speeds.h"

#include <stdatomic.h>

#include "pool.h"

#define FASTEST 4.0 /* speed that counts, and the least is one over it: equal threads have 1 */

static _Atomic double speeds[POOL_MOST]; /* 0: not known yet */

static double speed_of(int number) {
    double speed = atomic_load_explicit(&speeds[number], memory_order_relaxed);
    return speed > 0 ? speed : 1;
}

static double within(double speed, double least, double most) {
    return speed < least ? least : speed > most ? most : speed;
}

void speeds_shares(int threads, double *upto) {
    upto[0] = 0;
    for (int i = 0; i < threads; i++)
        upto[i + 1] = upto[i] + speed_of(i);
    for (int i = 1; i <= threads; i++)
        upto[i] /= upto[threads];
}

void speeds_learn(int threads, const double *given, const int64_t *spent) {
    double before = 0, now = 0;
    for (int i = 0; i < threads; i++) {
        if (spent[i] <= 0 || given[i + 1] <= given[i])
            return;
        before += speed_of(i);
        now += (given[i + 1] - given[i]) / spent[i];
    }
    for (int i = 0; i < threads; i++) {
        double old = speed_of(i), seen = (given[i + 1] - given[i]) / spent[i] / now * before;
        seen = within(seen, old / 2, 2 * old);
        seen = old + (seen - old) / 4; /* one job may have been disturbed */
        atomic_store_explicit(&speeds[i], within(seen, 1 / FASTEST, FASTEST), memory_order_relaxed);
    }
}

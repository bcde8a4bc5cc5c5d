/* Read at every step from threads without the interpreter lock, hence atomics. */
#include "limit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "pool.h"

static _Atomic int limit, counted;
static int (*counter)(void);

static int within(int threads) {
    return threads < 1 ? 1 : threads > POOL_MOST ? POOL_MOST : threads;
}

int limit_get(void) {
    return atomic_load_explicit(&limit, memory_order_relaxed);
}

void limit_set(int threads) {
    atomic_store_explicit(&limit, threads, memory_order_relaxed);
}

int limit_counted(void) {
    return atomic_load_explicit(&counted, memory_order_relaxed);
}

void limit_keep_count(int threads) {
    atomic_store_explicit(&counted, threads, memory_order_relaxed);
}

static void count_anew(void) {
    limit_keep_count(0);
}

void limit_counter(int (*count)(void)) {
    /* A child may be confined to other CPUs than its parent. If no handler can be registered, the
     * child keeps its parent's count, which harms nothing. */
    if (counter == NULL)
        (void)pthread_atfork(NULL, NULL, count_anew);
    counter = count;
}

int fastbp_get_num_threads(void) {
    int threads = limit_get();
    if (threads == 0)
        threads = limit_counted();
    if (threads == 0)
        threads = counter();
    return within(threads);
}

void fastbp_set_num_threads(int threads) {
    limit_set(within(threads));
}

/* Drives the pool from C, so that a sanitiser can watch it and a clock can time it.
 *
 *     pool_stress rounds   every kind of call at once, from three threads; exit code 0: all ran once
 *     pool_stress modes    helpers round as their caller does; exit code 77: no mode known here
 *     pool_stress own      who runs which part: first each its own, in their order, then others' last
 *     pool_stress slow     a thread whose work takes longer is given less of it
 *     pool_stress time     what a hand-over to a helper and back costs, on a warm and a cold pool
 */
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "fpmode.h"
#include "pool.h"
#include "speeds.h"

enum { PARTS = 64 };

struct job {
    int threads, inner;
    int ran[PARTS];  /* not atomic: a part runs on one thread */
    long payload;    /* written before the job and read by its parts */
    long sum[PARTS]; /* written by the parts and read after the job */
};

static void count(void *context, int part) {
    (void)part;
    ++*(long *)context;
}

static void one(void *context, int part) {
    struct job *job = context;
    job->ran[part]++;
    job->sum[part] = job->payload * part;
    long inner = 0;
    if (job->inner && job->threads > 1)
        pool_run(job->threads, job->inner, NULL, count, &inner); /* all on this thread */
    if (job->threads > 1 && inner != job->inner)
        abort();
}

static void *caller(void *argument) {
    long rounds = *(long *)argument;
    for (long i = 0; i < rounds; i++) {
        struct job job = {.threads = (int)(i % 5), .inner = i % 7 == 0 ? 3 : 0, .payload = i};
        int parts = (int)(i * 13 % (PARTS + 1));
        double upto[5] = {0};
        if (job.threads)
            speeds_shares(job.threads, upto);
        for (int t = 0; t < job.threads; t++)
            if (!(upto[t] < upto[t + 1] && upto[t + 1] <= 1))
                return "a thread has no share";
        pool_run(job.threads, parts, i % 3 ? upto : NULL, one, &job);
        for (int part = 0; part < PARTS; part++)
            if (job.ran[part] != (part < parts) || job.sum[part] != (part < parts ? i * part : 0))
                return "a part was lost, ran twice, or saw another job's numbers";
        if (i % 500 == 0) {
            struct timespec pause = {0, 200000}; /* helpers fall asleep */
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static atomic_int here;

static void meet(void *context, int part) { /* both threads have to take one */
    (void)context, (void)part;
    atomic_fetch_add(&here, 1);
    while (atomic_load(&here) < 2)
        ;
}

static double met(void) {
    atomic_store(&here, 0);
    double start = now();
    pool_run(2, 2, NULL, meet, NULL);
    return now() - start;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *name, int times, double sleep) {
    double *took = malloc((size_t)times * sizeof *took);
    for (int i = 0; i < times; i++) {
        double until = now() + sleep;
        while (now() < until)
            ;
        took[i] = met();
    }
    qsort(took, (size_t)times, sizeof *took, ascending);
    printf("%-28s median %7.2f us, 10%% %7.2f, 90%% %7.2f\n", name, took[times / 2],
           took[times / 10], took[times * 9 / 10]);
    free(took);
}

static void empty(void *context, int part) {
    (void)context, (void)part;
}

static void measure(void) {
    report("both threads meet, warm", 20000, 0);
    report("both threads meet, cold", 1000, 500);
    double start = now();
    for (int i = 0; i < 100000; i++)
        pool_run(2, 2, NULL, empty, NULL);
    printf("%-28s mean   %7.3f us\n", "two empty parts, warm", (now() - start) / 1e5);
    start = now();
    for (int i = 0; i < 100000; i++)
        pool_run(1, 2, NULL, empty, NULL);
    printf("%-28s mean   %7.3f us\n", "two empty parts, alone", (now() - start) / 1e5);

    struct timespec second = {1, 0};
    struct rusage a, b;
    met();
    getrusage(RUSAGE_SELF, &a);
    nanosleep(&second, NULL);
    getrusage(RUSAGE_SELF, &b);
    printf("%-28s        %7ld us of CPU, %d awake\n", "one idle second",
           (b.ru_utime.tv_sec - a.ru_utime.tv_sec) * 1000000L + b.ru_utime.tv_usec -
               a.ru_utime.tv_usec + b.ru_stime.tv_usec - a.ru_stime.tv_usec,
           pool_warm());
}

static double rounded[2];

static void third(void *context, int part) {
    volatile double one = 1, three = 3;
    rounded[part] = one / three;
    meet(context, part);
}

/* Both threads round alike, upwards and then to nearest again. */
static int modes(void) {
    int rounding[] = {FE_UPWARD, FE_TONEAREST, FE_DOWNWARD};
    fpmode before = fpmode_get();
    double last = 0;
    for (int i = 0; i < 300; i++) {
        fesetround(rounding[i % 3]);
        if (i == 0 && fpmode_get() == before)
            return 77;
        atomic_store(&here, 0);
        pool_run(2, 2, NULL, third, NULL);
        if (rounded[0] != rounded[1] || (i % 3 == 1 && rounded[0] == last)) {
            fprintf(stderr, "%a on one thread, %a on the other\n", rounded[0], rounded[1]);
            return 1;
        }
        last = rounded[0];
    }
    return 0;
}

static int ran_by[6];
static atomic_int finished;

static void pairs(void *context, int part) { /* no thread has two of a pair */
    (void)context;
    ran_by[part] = pool_thread();
    int place = atomic_fetch_add(&here, 1) / 2 * 2 + 2;
    while (atomic_load(&here) < place)
        sched_yield();
}

static void held_up(void *context, int part) { /* the caller's first part until all others have run */
    ran_by[part] = pool_thread();
    ((int *)context)[atomic_fetch_add(&finished, 1)] = part;
    while (part == 0 && atomic_load(&finished) < 6)
        sched_yield();
}

static int own(void) {
    for (int i = 0; i < 200; i++) {
        int order[6];
        atomic_store(&here, 0);
        pool_run(2, 6, NULL, pairs, NULL);
        for (int part = 0; part < 6; part++)
            if (ran_by[part] != part / 3) {
                fprintf(stderr, "part %d of 6 on thread %d\n", part, ran_by[part]);
                return 1;
            }
        atomic_store(&finished, 0);
        pool_run(2, 6, NULL, held_up, order);
        int theirs[5], n = 0;
        for (int k = 0; k < 6; k++)
            if (order[k] != 0)
                theirs[n++] = order[k];
        if (memcmp(theirs, (int[]){3, 4, 5, 2, 1}, sizeof theirs) != 0) {
            fprintf(stderr, "the helper ran %d %d %d %d %d\n", theirs[0], theirs[1], theirs[2],
                    theirs[3], theirs[4]);
            return 1;
        }
    }
    return 0;
}

struct sleepers {
    double upto[3], milliseconds[2]; /* that all of the work would take each thread */
};

static void asleep(void *context, int part) {
    struct sleepers *it = context;
    double share = it->upto[part + 1] - it->upto[part];
    struct timespec pause = {0, (long)(share * it->milliseconds[part] * 1e6)};
    nanosleep(&pause, NULL);
}

/* What the caller is given after so many jobs, or once it is about as wanted. */
static double share(double caller_ms, double helper_ms, int jobs, double wanted) {
    struct sleepers it = {.milliseconds = {caller_ms, helper_ms}};
    do {
        speeds_shares(2, it.upto);
        pool_run(2, 2, it.upto, asleep, &it);
    } while (jobs-- && !(fabs(it.upto[1] - wanted) < 0.05));
    return it.upto[1];
}

static int slow(void) {
    double four = share(4, 16, 500, 0.8); /* many, since a busy machine wakes sleepers late */
    double fourth = share(16, 4, 500, 0.2), least = share(100, 1, 60, 0);
    if (fabs(four - 0.8) < 0.05 && fabs(fourth - 0.2) < 0.05 && least > 1 / 17.1)
        return 0;
    fprintf(stderr, "the caller's shares are %g %g %g\n", four, fourth, least);
    return 1;
}

int main(int count_, char **arguments) {
    if (count_ == 2 && strcmp(arguments[1], "time") == 0) {
        measure();
        return 0;
    }
    if (count_ == 2 && strcmp(arguments[1], "modes") == 0)
        return modes();
    if (count_ == 2 && strcmp(arguments[1], "own") == 0)
        return own();
    if (count_ == 2 && strcmp(arguments[1], "slow") == 0)
        return slow();
    long rounds = count_ == 2 ? atol(arguments[1]) : 1000;
    pthread_t threads[3];
    int bad = 0;
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, caller, &rounds);
    for (int i = 0; i < 3; i++) {
        void *message;
        pthread_join(threads[i], &message);
        if (message) {
            fprintf(stderr, "%s\n", (char *)message);
            bad = 1;
        }
    }
    return bad;
}

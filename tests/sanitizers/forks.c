/* Forks while other threads are in the pool: every child has a pool of its own, and loses no part.
 *
 *     forks [rounds]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exact.h"
#include "pool.h"

enum { PARTS = 16 };

static atomic_int going = 1;

static void count(void *context, int part) {
    volatile int turns = 0;
    while (turns < 100)
        turns++;
    ((int *)context)[part]++;
}

/* Whether every part ran once a round. */
static int all_ran(int threads, int rounds) {
    int *ran = calloc(PARTS, sizeof *ran), good = 1;
    for (int r = 0; r < rounds; r++)
        pool_run(threads, PARTS, NULL, count, ran);
    for (int part = 0; part < PARTS; part++)
        good &= ran[part] == rounds;
    free(ran);
    return good;
}

static void *caller(void *argument) {
    (void)argument;
    while (atomic_load(&going))
        if (!all_ran(3, 5))
            return "a part was lost, or ran twice";
    return NULL;
}

int main(int arguments, char **argument) {
    long rounds = arguments > 1 ? atol(argument[1]) : 40;
    pthread_t threads[2];
    void *message;
    for (int t = 0; t < 2; t++)
        pthread_create(&threads[t], NULL, caller, NULL);
    for (long r = 0; r < rounds; r++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0, "no fork");
        if (child == 0) {
            alarm(20); /* ends a child that hangs */
            _exit(all_ran(3, 20) ? 0 : 1);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0, "a child ended with %#x", status);
        CHECK(all_ran(2, 20), "a part was lost, or ran twice, after a fork");
    }
    atomic_store(&going, 0);
    for (int t = 0; t < 2; t++) {
        pthread_join(threads[t], &message);
        CHECK(!message, "%s", (char *)message);
    }
    return 0;
}

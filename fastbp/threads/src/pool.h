/* A small pool of threads: the parts of one job run on the caller and its helpers. No OpenMP. */
#ifndef FASTBP_POOL_H
#define FASTBP_POOL_H

/* Not exported, so that no other library's function of the same name can stand in for these. */
#pragma GCC visibility push(hidden)

enum { POOL_MOST = 1024 }; /* threads of one job, the caller among them */

typedef void (*pool_task)(void *context, int part);

/* Run task for part = 0 .. parts - 1 on up to `threads` threads, the caller among them, and return
 * when all have run. Each thread begins with its own parts, the first with the first, so that from
 * job to job it finds the same numbers in its cache; then it takes what others have not begun, so
 * results must not depend on who runs what. Unless given is NULL, and with as many parts as threads,
 * part t is given[t] to given[t + 1] of the work, and speeds.h learns from the times they take.
 *
 * A call from inside a task of a job for several threads, or while another thread uses the pool, runs
 * everything on the caller; so does one for which no helper can be started. Never an error, never a
 * deadlock.
 *
 * The first call that can use them starts helpers; they stay. A helper without work spins for
 * about 50 us and then sleeps. Every part begins in the caller's floating-point mode
 * (rounding, flushing of denormals), so that its bits depend neither on who runs it nor on what ran there
 * before; the caller comes back in it.
 * Helpers take no signals and have stacks of 512 KiB: too small for Python. A forked child starts
 * without helpers and makes its own. A task must not fork and go on with its job in the child. */
void pool_run(int threads, int parts, const double *given, pool_task task, void *context);

/* How many helpers are awake, spinning or at work: waking a sleeper costs some 50 us and does not
 * pay for small jobs, handing work to a spinning one costs less than 1 us. */
int pool_warm(void);

/* The number of the helper that asks, from 1; 0 for all other threads. */
int pool_thread(void);

#pragma GCC visibility pop
#endif

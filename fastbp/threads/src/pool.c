/* One job at a time. Each of its threads has some of the parts; which of them nobody has claimed yet
 * stands in one atomic word. A thread claims its own from the first on, then others' from the last
 * back. Whoever has claimed a part holds the job open, since its caller waits for that part; so a claim
 * comes first and the job's other fields are read after it. Nothing waits for a helper that has claimed
 * nothing: one that comes late finds none of its own parts open, or those of a later job, which are as
 * good.
 */
#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity, pthread_setname_np */
#endif
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "fpmode.h"
#include "speeds.h"
#include "workspace.h"

#define STACK (512 * 1024)
#define SPIN_NS 50000   /* about what waking a sleeper costs: waiting longer cannot save more */
#define REFUSED 1000    /* jobs between two requests for a thread that was refused: 50 us each */
#define LOOKS 32        /* pauses, 40 to 140 cycles each, between two looks at the clock */
#define PATIENCE 1000   /* pauses before a caller that waits lets others run */
#define APART _Alignas(128) /* no two threads' variables share a line or its neighbour */

struct member {
    APART _Atomic uint64_t open; /* its parts that nobody has claimed << 32 | the first of them */
    int64_t spent;               /* on its own parts, in nanoseconds; 0: others ran them */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic int parked;
};

static struct member members[POOL_MOST]; /* [0] is the caller, whoever that is */
static int started;                      /* helpers; this and the next two: for who is in the pool */
static int refused;                      /* the system gave no more: jobs until it is asked again */
static int unsafe;                       /* a fork would not be noticed: start none */
static int cpus;                         /* that the caller might run on when it last started one */

APART static _Atomic int busy;       /* somebody is in the pool */
APART static _Atomic int done;       /* parts that helpers have finished */
APART static _Atomic int awake;      /* helpers that are not parked */
static _Thread_local int own_number; /* of a helper, from 1; 0 elsewhere */
static _Thread_local int inside;     /* whether this thread is running a job's parts */
static _Atomic int spins;            /* whether waiting helpers spin: not when they outnumber CPUs */

APART static struct {
    pool_task task;
    void *context;
    int threads;
    fpmode mode;
} job;

static inline void pause_(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb"); /* a wait; `yield` is none on most cores */
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A part of that thread's, its first or its last; -1: it has none left. */
static int claim(int number, int last) {
    _Atomic uint64_t *word = &members[number].open;
    uint64_t open = atomic_load_explicit(word, memory_order_acquire);
    while (open >> 32) {
        uint64_t less = open - ((uint64_t)1 << 32) + !last;
        if (atomic_compare_exchange_weak_explicit(word, &open, less, memory_order_acquire,
                                                  memory_order_acquire))
            return (int)((uint32_t)open + (last ? (open >> 32) - 1 : 0));
    }
    return -1;
}

/* A part that is claimed. The one before it may have changed the thread's mode. */
static void run(int part) {
    fpmode_set(job.mode);
    job.task(job.context, part);
}

/* Claim parts and run them until none is left; returns how many. */
static int work(int number) {
    int part = claim(number, 0), ran = 0;
    if (number > 0 && part < 0)
        return 0;
    int64_t start = nanoseconds();
    for (; part >= 0; part = claim(number, 0), ran++)
        run(part);
    if (ran)
        members[number].spent = nanoseconds() - start;
    for (int i = 1; i < job.threads; i++)
        while ((part = claim((number + i) % job.threads, 1)) >= 0) {
            run(part);
            ran++;
        }
    return ran;
}

/* Sleep until called. Either this sees the job that is open, or its caller sees that this one is
 * parked: each writes before it reads, in one order that all threads agree on. */
static void park(struct member *self) {
    pthread_mutex_lock(&self->lock);
    atomic_fetch_sub(&awake, 1);
    atomic_store(&self->parked, 1);
    if (atomic_load(&self->open) >> 32)
        atomic_store(&self->parked, 0);
    while (atomic_load(&self->parked))
        pthread_cond_wait(&self->wake, &self->lock);
    atomic_fetch_add(&awake, 1);
    pthread_mutex_unlock(&self->lock);
}

static void call(struct member *helper) {
    if (atomic_load(&helper->parked)) {
        pthread_mutex_lock(&helper->lock);
        atomic_store(&helper->parked, 0);
        pthread_mutex_unlock(&helper->lock);
        pthread_cond_signal(&helper->wake);
    }
}

static void *help(void *argument) {
    struct member *self = argument;
    int number = own_number = (int)(self - members);
    inside = 1;
    workspace(); /* now, so that no job has to ask for it */
#ifdef __linux__
    pthread_setname_np(pthread_self(), "fastbp"); /* in debuggers and in top */
#endif
    int64_t until = 0; /* when to sleep; 0: the clock has not been looked at since the last job */
    for (unsigned turn = 1;; turn++) {
        int ran = work(number);
        if (ran) {
            /* Last of all: from here on the caller may return, and the job be gone. */
            atomic_fetch_add_explicit(&done, ran, memory_order_release);
            until = 0;
            turn = 0;
        } else if (!atomic_load_explicit(&spins, memory_order_relaxed)) {
            park(self);
        } else if (turn % LOOKS == 0) {
            int64_t now = nanoseconds();
            if (until == 0) {
                until = now + SPIN_NS;
            } else if (now >= until) {
                park(self);
                until = 0;
            }
        } else {
            pause_();
        }
    }
    return NULL;
}

static int count_cpus(void) {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* In a forked child there is one thread, and the pool is as it was before the first call. */
static void forget(void) {
    for (int i = 0; i <= started; i++)
        atomic_store(&members[i].open, 0);
    started = refused = 0;
    atomic_store(&done, 0);
    atomic_store(&awake, 0);
    atomic_store(&busy, 0);
}

/* When this library is loaded: a fork may come while the very first job starts its helpers. */
__attribute__((constructor)) static void watch_forks(void) {
    unsafe = pthread_atfork(NULL, NULL, forget) != 0;
}

static int start_one(void) {
    struct member *helper = &members[started + 1];
    pthread_mutex_init(&helper->lock, NULL);
    pthread_cond_init(&helper->wake, NULL);
    atomic_store(&helper->parked, 0);

    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0)
        return 0;
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited: signals go to Python's threads */
    atomic_fetch_add(&awake, 1);
    int failed = pthread_create(&thread, &attributes, help, helper);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed)
        atomic_fetch_sub(&awake, 1);
    return !failed;
}

/* Have that many helpers, or as many as the system gives. */
static int have(int wanted) {
    if (started < wanted && !unsafe && (refused == 0 || --refused == 0)) {
        cpus = count_cpus();
        while (started < wanted && !refused) {
            if (start_one())
                started++;
            else
                refused = REFUSED;
        }
    }
    return wanted < started ? wanted : started;
}

static void alone(int parts, pool_task task, void *context) {
    fpmode mode = fpmode_get();
    for (int part = 0; part < parts; part++) {
        task(context, part);
        fpmode_set(mode);
    }
}

void pool_run(int threads, int parts, const double *given, pool_task task, void *context) {
    int wanted = (threads < parts ? threads : parts) - 1;
    if (wanted > POOL_MOST - 1)
        wanted = POOL_MOST - 1;
    if (wanted < 1 || inside) {
        alone(parts, task, context);
        return;
    }
    inside = 1;
    if (atomic_exchange_explicit(&busy, 1, memory_order_acquire)) {
        alone(parts, task, context);
        inside = 0;
        return;
    }

    const fpmode mode = fpmode_get();
    int most = have(wanted) + 1;
    job.task = task;
    job.context = context;
    job.threads = most;
    job.mode = mode;
    atomic_store_explicit(&spins, most <= cpus, memory_order_relaxed);
    atomic_store_explicit(&done, 0, memory_order_relaxed);
    for (int i = 0; i < most; i++) { /* the caller's first: a quick helper comes for them */
        int64_t first = (int64_t)parts * i / most, after = (int64_t)parts * (i + 1) / most;
        members[i].spent = 0;
        atomic_store(&members[i].open, (uint64_t)(after - first) << 32 | (uint64_t)first);
        if (i)
            call(&members[i]);
    }

    int left = parts - work(0);
    fpmode_set(mode);
    for (int turn = 0; atomic_load_explicit(&done, memory_order_acquire) != left; turn++) {
        if (turn < PATIENCE) {
            pause_();
        } else {
            turn = PATIENCE;
            sched_yield();
        }
    }
    if (given && most == threads && parts == threads) {
        int64_t spent[POOL_MOST]; /* side by side, as members are not */
        for (int i = 0; i < threads; i++)
            spent[i] = members[i].spent;
        speeds_learn(threads, given, spent);
    }
    atomic_store_explicit(&busy, 0, memory_order_release);
    inside = 0;
}

int pool_warm(void) {
    return atomic_load_explicit(&awake, memory_order_relaxed);
}

int pool_thread(void) {
    return own_number;
}

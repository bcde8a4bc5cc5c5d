/* Preloaded into a process (LD_PRELOAD): refuses one request for memory, of the thread that armed it.
 *
 * After arm(n, callers) the thread's requests are counted from 0, and number n gets no memory; with
 * n = -1 all do. What is counted is what `callers` says: ANYBODY, or OWN, what C code of fastbp or
 * NumPy asks for, through Python's functions as well, but not what the interpreter's loop does.
 * Never counted is what the dynamic loader asks for, which ends the process where it gets none. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

enum { ANYBODY, OWN, DEEP = 24 };

static __thread int armed __attribute__((tls_model("initial-exec")));
static long count, wanted;
static int callers, no_threads;

static int counts(const void *caller) {
    void *frames[DEEP];
    Dl_info at;
    int n;
    if (dladdr(caller, &at) && at.dli_fname && strstr(at.dli_fname, "/ld-"))
        return 0;
    if (callers == ANYBODY)
        return 1;
    n = backtrace(frames, DEEP);
    for (int i = 1; i < n; i++) {
        if (!dladdr(frames[i], &at) || at.dli_fname == NULL)
            continue;
        if (strstr(at.dli_fname, "fastbp/kernels/") || strstr(at.dli_fname, "/numpy/"))
            return 1;
        if (at.dli_sname && strcmp(at.dli_sname, "_PyEval_EvalFrameDefault") == 0)
            return 0;
    }
    return 0;
}

static int refused(const void *caller) {
    int no;
    if (!armed || (count > wanted && wanted >= 0)) /* which is done */
        return 0;
    armed = 0; /* what is asked for meanwhile does not count */
    no = counts(caller) && count++ == wanted;
    armed = 1;
    if (no)
        errno = ENOMEM;
    return no;
}

#define refuses() refused(__builtin_return_address(0))

void arm(long number, int whose) {
    void *frames[2];
    backtrace(frames, 2); /* loads what it needs, once */
    count = 0;
    wanted = number;
    callers = whose;
    armed = 1;
}

/* How many requests there were, up to the one that was refused. */
long disarm(void) {
    armed = 0;
    return count;
}

/* Whether the system gives no more threads. */
void refuse_threads(int none) { no_threads = none; }

void *malloc(size_t size) { return refuses() ? NULL : __libc_malloc(size); }

void *calloc(size_t n, size_t size) { return refuses() ? NULL : __libc_calloc(n, size); }

void *realloc(void *old, size_t size) { return refuses() ? NULL : __libc_realloc(old, size); }

void *memalign(size_t alignment, size_t size) {
    return refuses() ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return refuses() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    void *memory = refuses() ? NULL : __libc_memalign(alignment, size);
    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) {
    if ((flags & MAP_ANONYMOUS) && refuses())
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

void *mmap64(void *at, size_t size, int protection, int flags, int file, off_t offset) {
    if ((flags & MAP_ANONYMOUS) && refuses())
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument) {
    static int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (no_threads)
        return EAGAIN;
    if (create == NULL)
        create = dlsym(RTLD_NEXT, "pthread_create");
    return create(thread, attributes, start, argument);
}

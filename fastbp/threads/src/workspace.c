/* Not on the stack, of which a thread may have little; on a huge page where the system grants one,
 * so that a block in it needs no more than one entry of the processor's page tables. */
#ifdef __linux__
#define _GNU_SOURCE /* madvise */
#endif
#include "workspace.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int keyed;
static _Thread_local void *own;

static void give_back(void *room) {
    own = NULL;
    free(room);
}

static void make_key(void) { keyed = pthread_key_create(&key, give_back) == 0; }

void *workspace(void) {
    void *room;
    if (own)
        return own;
    pthread_once(&once, make_key);
    if (!keyed || posix_memalign(&room, WORKSPACE, WORKSPACE) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    madvise(room, WORKSPACE, MADV_HUGEPAGE);
#endif
    if (pthread_setspecific(key, room) != 0) {
        free(room);
        return NULL;
    }
    return own = room;
}

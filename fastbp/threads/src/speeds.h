/* How fast each thread of the pool was of late, so that work can be divided accordingly. */
#ifndef FASTBP_SPEEDS_H
#define FASTBP_SPEEDS_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

/* How a job's work had better be divided over its threads, as fast as each was of late: thread t, the
 * caller being 0, gets upto[t] to upto[t + 1] of 1; upto (threads + 1,). */
void speeds_shares(int threads, double *upto);

/* Learn from a job of which thread t had given[t] to given[t + 1] and spent so many nanoseconds on it;
 * from none where a thread spent 0 or was given nothing. By one thread at a time. */
void speeds_learn(int threads, const double *given, const int64_t *spent);

#pragma GCC visibility pop
#endif

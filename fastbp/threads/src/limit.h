/* How many threads fastbp may use: one number for the process. */
#ifndef FASTBP_LIMIT_H
#define FASTBP_LIMIT_H

/* Exported: other tools limit this library by these two names, as they do OpenMP and BLAS. */
__attribute__((visibility("default"))) int fastbp_get_num_threads(void);
__attribute__((visibility("default"))) void fastbp_set_num_threads(int threads);

#pragma GCC visibility push(hidden)

/* The limit that was set; 0 when none is, and the count of CPUs and the environment decide. */
int limit_get(void);
void limit_set(int threads);

/* Who counts, called at the first need; and what was counted, 0 when it has to be counted anew. */
void limit_counter(int (*count)(void));
int limit_counted(void);
void limit_keep_count(int threads);

#pragma GCC visibility pop
#endif

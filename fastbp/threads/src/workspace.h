/* Memory of each thread's own, in which products pack their operands and E1 keeps what it put out. */
#ifndef FASTBP_WORKSPACE_H
#define FASTBP_WORKSPACE_H

#pragma GCC visibility push(hidden)

#define WORKSPACE (2 << 20) /* bytes: a huge page */

/* Asked for at a thread's first call and given back when it ends; NULL where there is none. */
void *workspace(void);

#pragma GCC visibility pop
#endif

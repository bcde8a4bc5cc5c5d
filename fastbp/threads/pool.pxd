# A part of a job: C code that holds no lock and touches no Python object.
ctypedef void (*pool_task)(void* context, int part) noexcept nogil

# How many threads a job may use now, >= 1; for the caller of a job, not for its tasks. Whoever
# plans work calls num_threads() first, which raises where this can but answer 1.
cdef int c_threads() noexcept nogil

# How a job's work had better be divided over so many threads: upto[t] to upto[t + 1] of 1 to thread
# t; upto (threads + 1,). src/speeds.h says more.
cdef void c_shares(int threads, double* upto) noexcept nogil

# Run task(context, part) for part = 0 .. parts - 1 on up to `threads` threads, the caller among
# them, each part once; return when all have run. Unless given is NULL, part t is given[t] to
# given[t + 1] of the work, for t = 0 .. threads - 1. src/pool.h says more.
cdef void c_pool_run(
    int threads, int parts, const double* given, pool_task task, void* context) noexcept nogil

# This thread's workspace, NULL where there is none; src/workspace.h says more.
cdef void* c_workspace() noexcept nogil

# How many helpers are awake, so that handing them work costs little.
cdef int c_pool_warm() noexcept nogil

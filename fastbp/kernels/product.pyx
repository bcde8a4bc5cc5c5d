"""Which matrix product goes to fastbp's own kernel and which to BLAS, and on which instructions.

The own kernel (src/matmul.c) is compiled for several instruction sets; the best one that this
processor runs is taken once, at import, or the one that FASTBP_ISA names.
"""

import os

from fastbp.errors import ConfigError

from fastbp.kernels.blas cimport c_gemm, fits

cdef extern from "src/matmul.h" nogil:
    ctypedef struct matmul_isa:
        const char* name
        void (*f32)(
            int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const float* A, int64_t lda,
            const float* B, int64_t ldb, float* C, int64_t ldc, int add) noexcept nogil
        void (*f64)(
            int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, const double* A,
            int64_t lda, const double* B, int64_t ldb, double* C, int64_t ldc,
            int add) noexcept nogil
    const matmul_isa* matmul_instance(int number)
    bint matmul_runs(const matmul_isa* instance)

# Multiply-adds from which BLAS is faster, where it may use several threads. On one thread the own
# kernel was faster at every size measured, up to 512 x 2048 x 2048: 0.7 to 1.0 of the FMA peak
# against 0.4 to 0.6.
cdef double CROSSOVER = 2.0 ** 26

cdef const matmul_isa* own = NULL
cdef bint many_threads = False


cdef void c_product(
        bint trans_a, bint trans_b, int64_t m, int64_t n, int64_t k, const floating* A, int64_t lda,
        const floating* B, int64_t ldb, bint add, floating* C, int64_t ldc) noexcept nogil:
    # C = op(A) op(B) (+ C).
    cdef bint can = fits(m) and fits(n) and fits(k) and fits(lda) and fits(ldb) and fits(ldc)
    if many_threads and can and <double>m * <double>n * <double>k > CROSSOVER:
        c_gemm(trans_a, trans_b, m, n, k, <floating>1, A, lda, B, ldb, <floating>add, C, ldc)
    elif floating is float:
        own.f32(trans_a, trans_b, m, n, k, A, lda, B, ldb, C, ldc, add)
    else:
        own.f64(trans_a, trans_b, m, n, k, A, lda, B, ldb, C, ldc, add)


def instruction_sets():
    """The instruction sets that this processor runs, best first; FASTBP_ISA may name one.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from fastbp.kernels.product import instruction_set, instruction_sets
    >>> instruction_set() in instruction_sets()
    True
    """
    cdef int i = 0
    names = []
    while matmul_instance(i) != NULL:
        if matmul_runs(matmul_instance(i)):
            names.append(matmul_instance(i).name.decode())
        i += 1
    return names


def instruction_set():
    """The instruction set that fastbp's own matrix product uses in this process.

    Returns
    -------
    str
    """
    return own.name.decode()


cdef object choose(object name):
    # Take the instance of that name, or the best one.
    global own
    cdef int i = 0
    runs = instruction_sets()
    if name is not None and name not in runs:
        raise ConfigError(f"FASTBP_ISA: got {name!r}; this processor runs {', '.join(runs)}")
    while matmul_instance(i).name.decode() != (runs[0] if name is None else name):
        i += 1
    own = matmul_instance(i)


cdef object count_threads():
    # How many threads BLAS may use, as far as the environment says.
    global many_threads
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cpus = os.cpu_count() or 1
    limits = [os.environ.get(name, "") for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")]
    many_threads = cpus > 1 and "1" not in limits


choose(os.environ.get("FASTBP_ISA") or None)
count_threads()

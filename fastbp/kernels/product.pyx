"""Which kernel makes a matrix product, and on which instructions.

The own kernels (src/dense.c) are compiled for several instruction sets; the best one that this
processor runs is taken, or the one that FASTBP_ISA names.
"""

import os

from fastbp.errors import ConfigError

from fastbp.kernels.blas cimport c_gemm, fits

cdef extern from "src/dense.h" nogil:
    ctypedef struct dense_isa:
        const char* name
        dense_type type[2]
    const dense_isa* dense_chosen()
    const dense_isa* dense_instance(int number)
    bint dense_runs(int number)

# Multiply-adds from which BLAS is faster than the own kernels: no such size was found. On one
# thread they were ahead from 32 x 64 x 64 to 512 x 2048 x 2048, at 0.75 to 0.98 of the FMA peak
# against 0.4 to 0.8.
cdef double CROSSOVER = float("inf")

cdef const dense_isa* own = dense_chosen()


cdef const dense_type* kernels(bint is_double) noexcept nogil:
    return &own.type[is_double]


cdef void c_product(
        bint trans_a, bint trans_b, int64_t m, int64_t n, int64_t k, const floating* A, int64_t lda,
        const floating* B, int64_t ldb, bint add, floating* C, int64_t ldc) noexcept nogil:
    # C = op(A) op(B) (+ C).
    if <double>m * <double>n * <double>k > CROSSOVER and (
            fits(m) and fits(n) and fits(k) and fits(lda) and fits(ldb) and fits(ldc)):
        c_gemm(trans_a, trans_b, m, n, k, <floating>1, A, lda, B, ldb, <floating>add, C, ldc)
    else:
        own.type[floating is double].product(
            trans_a, trans_b, m, n, k, A, lda, B, ldb, C, ldc, add)


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
    while dense_instance(i) != NULL:
        if dense_runs(i):
            names.append(dense_instance(i).name.decode())
        i += 1
    return names


def instruction_set():
    """The instruction set that fastbp's own kernels use in this process.

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        FASTBP_ISA names one that is not known, or that this processor does not run.
    """
    name = os.environ.get("FASTBP_ISA")
    runs = instruction_sets()
    if name and name not in runs:
        raise ConfigError(f"FASTBP_ISA: got {name!r}; this processor runs {', '.join(runs)}")
    return own.name.decode()

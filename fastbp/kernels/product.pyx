"""Which kernel makes a matrix product, and on which instructions.

The own kernels (src/dense.c) are compiled for several instruction sets; the best one that this
processor runs is taken, or the one that FASTBP_ISA names.

BLAS makes no product of a network, of whatever size, for it has threads of its own, and its bits
depend on them. What SciPy's OpenBLAS takes for the three products of a step, without zeros and on
one thread, in units of what the own kernels take, on a core with one 512-bit multiply-add a cycle,
on one with two, and on one with AVX2 alone, two of 256 bits a cycle:

    AVX-512                one a cycle     two
    32 x 128 x 784         1.05 to 1.55    1.60 to 1.99
    64 x 256 x 784         1.05 to 1.55    1.31 to 1.51
    128 x 512 x 512        1.05 to 1.55    1.19 to 1.30
    256 x 1024 x 1024      1.05 to 1.55    1.05 to 1.09
    512 x 2048 x 2048      1.02 to 1.08    0.88 to 1.14
    2048 x 4096 x 4096     0.94 to 1.01    0.77 to 0.88

    AVX2                                           AVX2 alone
    up to 64 x 256 x 784   1.07 to 1.8     1.11 to 1.64    1.06 to 1.52
    128 x 512 x 512        1.07 to 1.8     1.11 to 1.64    0.99 to 1.06
    256 x 1024 x 1024      0.92 to 1.04    1.01 to 1.05    0.99 to 1.00
    512 x 2048 x 2048      0.92 to 1.04    0.86 to 0.99    0.91 to 0.98
    2048 x 4096 x 4096     0.91 to 0.93    0.73 to 0.94    0.87 to 0.94

MKL 2026.2 took 1.02 to 1.35 on the first up to 512 x 2048 x 2048, beside an earlier version.
"""

import os

from fastbp.errors import ConfigError

from fastbp.threads.pool cimport c_workspace

cdef extern from "src/dense.h" nogil:
    ctypedef struct dense_isa:
        const char* name
        int level
        dense_type type[2]
    const dense_isa* dense_instance(int number)
    bint dense_runs(int number)
    void dense_pack_in(void* (*workspace)() noexcept nogil)

# Read once, for every kernel of the process: what the variable becomes later changes none.
cdef object asked_for = os.environ.get("FASTBP_ISA") or None


cdef const dense_isa* chosen():
    # What FASTBP_ISA names, or the best; a name that nothing here has is refused at first use.
    cdef const dense_isa* best = NULL
    cdef int i = 0
    while dense_instance(i) != NULL:
        if dense_runs(i) and asked_for == dense_instance(i).name.decode():
            return dense_instance(i)
        if dense_runs(i) and best == NULL:
            best = dense_instance(i)
        i += 1
    return best


cdef const dense_isa* own = chosen()
dense_pack_in(c_workspace)


cdef int c_isa_level() noexcept nogil:
    return own.level


cdef const dense_type* kernels(bint is_double) noexcept nogil:
    return &own.type[is_double]


cdef void c_product(
        bint trans_a, bint trans_b, int64_t m, int64_t n, int64_t k, const floating* A, int64_t lda,
        const floating* B, int64_t ldb, bint add, floating* C, int64_t ldc) noexcept nogil:
    # C = op(A) op(B) (+ C).
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
        FASTBP_ISA named one that is not known, or that this processor does not run, when fastbp
        was imported.
    """
    runs = instruction_sets()
    if asked_for is not None and asked_for not in runs:
        raise ConfigError(f"FASTBP_ISA: got {asked_for!r}; this processor runs {', '.join(runs)}")
    return own.name.decode()

/* fastbp's own kernels of dense layers, once for each type and instruction set: the matrix products
 * of matmul_body.h, in tiles or without zeros, and the passes of update_body.h and sums_body.h.
 *
 * A step has three products: a = h Wᵀ (E1), dh = delta W (E6), dW = deltaᵀ h (E8). The depth block
 * keeps a panel of B in the L1 cache; the tile is as large as the registers allow, since a step of
 * depth loads COLUMNS vectors and ROWS numbers for ROWS * COLUMNS multiply-adds.
 *
 * Measured with AVX-512 and float32, against the FMA peak, on two cores: one with 32 KB of L1 and 1 MB
 * of L2, a 512-bit multiply-add a cycle; and one with 48 KB, 2 MB, and two a cycle, of which a load
 * with each leaves 1.3. From 32 x 128 x 784 to 256 x 1024 x 1024 the three products reach 0.86 to 0.97
 * of it on the first and 0.82 to 0.95 on the second. Where half of delta is 0, E8 takes 0.6 to 1.0 of
 * the time that its multiply-adds would at the first's peak, from 32 x 64 x 64 to 512 x 2048 x 2048;
 * on the second 0.84 to 0.94 of that in tiles where W has 256 columns or more.
 *
 * Packing B where it stands in rows costs 7 to 17% at 32 rows of A; from 96 on it gains up to 15%
 * on the second core, where a row of B is a multiple of 256 bytes, but costs 6 to 8% where the
 * panel is all of B (E8 at 200 x 100 x 64 and 128 x 128 x 64); with AVX2 it gains from 64 on. With
 * blocks of A packed, E8 at 512 x 2048 x 2048, where the numbers of a column of delta lie 8 KB
 * apart, takes 0.84 (AVX-512) and 0.90 (AVX2) of the time. On a core with AVX2 and 512 KB of L2,
 * E6 at 256 x 1024 x 1024 takes 0.88 to 0.93 of the time where the next panel of B, whose rows are
 * no whole cache lines, is fetched meanwhile. Where E1 turns W, and reads it once for all rows, it
 * takes 0.92 to 0.98 with AVX2, from 128 x 256 x 784 to 512 x 2048 x 2048; with AVX-512 1.00 to
 * 1.03 at 128 rows, but at 256 x 1024 x 1024 0.98, at 256 x 2048 x 2048 0.87, at 512 x 2048 x 2048
 * 0.73 to 0.90. With the next panel of W fetched meanwhile a step of 784-1024-1024-10 on 256 rows
 * takes 1.00 of the time, beside busy neighbours 0.94 to 0.96. A panel of four registers, in tiles
 * of six rows, gains 6% over two of two, and nothing over as many of three; in E6, in tiles of
 * four, 8% at 32 x 10 x 64 and 9% at 200 x 10 x 100. To turn 16 x 16 numbers as they are loaded
 * takes 4% from E1 at 32 x 64 x 64 and 14% at 32 x 10 x 64. A step with momentum in the product's
 * tiles is 4 to 13% faster on the second core than along a gradient that is formed, from
 * 784-128-10 on 32 examples to 784-1024-1024-10 on 64; dense.h has Adam's figures.
 */
#include "dense.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "compiler.h"
#include "isa.h"
#include "workspace.h"

/* What becomes of a product A B in C */
enum {
    SUM,    /* C = A B */
    AFFINE, /* C = max(A B + bias, least): E1, and E2 of a ReLU */
    TURNED, /* the same of Cᵀ = B A: the bias is of a row */
    GATE,   /* C = A B where h > 0, else 0: E6, and E7 of a ReLU */
    STEP,   /* C, parameters, go one step of SGD along A B */
    MOMENTS /* or of another optimizer, from sums that were set down */
};

/* A register of products, rounded before it is added to others: of a b + c d GCC rounds now one and
 * now the other first, in copies of one function, and bits would depend on where a register begins. */
#if LEVELS == 2
#define ROUNDED(register) __asm__("" : "+v"(register))
#elif LEVELS == 1
#define ROUNDED(register) __asm__("" : "+x"(register))
#else
#define ROUNDED(register) __asm__("" : "+m"(register))
#endif

/* Hides where a pointer comes from. */
#define OPAQUE(pointer) __asm__("" : "+r"(pointer))

/* What is held at a time */
#define COLUMNS 3               /* registers of B in a tile */
#define DEPTH 192               /* numbers a block of E1 adds up: 36 KB of B with AVX-512 */
#define SPAN 64                 /* of them marked in a word, and rows of B packed together then */
#define CHUNK 256               /* outputs of E1, until they are complete */
#define BLOCK_BYTES (512 << 10) /* of A, packed (block_body.h): half of an L2 cache of 1 MB */
#define SKIP_ROWS 256           /* rows of A that share packed panels of B (zeros_body.h) */
#define SKIP_MARKS 8192         /* words that mark, 64 numbers each */

/* Which way a product goes: the crossovers, as measured. There is none to BLAS; kernels/product.pyx
 * has the figures. */
#define PACK_ROWS (ROWS == 8 ? 96 : 64) /* rows from which on panels of B are packed, if wider */
#define BLOCK_LEAST 64                   /* rows from which on blocks of A are packed, */
#define BLOCK_PANELS 10                  /* if so many panels of B use them */
#define FETCH_ROWS 256                   /* rows from which on the next panel of B is fetched, */
#define FETCH_LEAST (64 << 10)           /* if B has so many numbers, */
#define FETCH_STEP 24                    /* while so many rows use this one */
#define TURN_ROWS (ROWS == 8 ? 256 : 128) /* from which on E1 turns W, for BLOCK_PANELS of outputs */
#define TURNING 6      /* rows whose multiply-adds take as long as turning what they multiply */
#define SKIP_DEPTH 16  /* numbers of a row from which on zeros are looked for */
#define KEEP_LEAST 512 /* numbers that E1 keeps for the next layer */

/* What skipping costs, as measured on one Intel core, of two multiply-adds a cycle, and one of AMD, of
 * one: how long a multiply-add takes that loads a factor, in quarters of one between registers, and in
 * the time of how many of these a row of 64 numbers begins and ends. */
typedef struct skip_costs {
    int64_t loading, row;
} skip_costs;

static const skip_costs *costs_of_skipping(void) {
    static const skip_costs intel = {5, 48}, others = {4, 24};
#if defined(__x86_64__)
    return __builtin_cpu_is("intel") ? &intel : &others; /* found out when the library was loaded */
#else
    return &others;
#endif
}

static void *no_workspace(void) { return NULL; }
static void *(*own_workspace)(void) = no_workspace;
void dense_pack_in(void *(*workspace)(void)) { own_workspace = workspace; }

#define EDGES_8(NV) EDGE(7, NV) EDGE(6, NV) EDGES_6(NV)
#define EDGES_6(NV) EDGE(5, NV) EDGE(4, NV) EDGES_4(NV)
#define EDGES_4(NV) EDGE(3, NV) EDGES_3(NV)
#define EDGES_3(NV) EDGE(2, NV) EDGE(1, NV)

/* prfchw, as all processors of this level have it: lines of C are fetched to be written, since other
 * cores may have read them. With two threads steps take 0.97 to 0.98 of the time. */
#if LEVELS == 2

BEGIN_TARGET("arch=x86-64-v4,prfchw,prefer-vector-width=512")
#define ROWS 8 /* 24 of the 32 registers add up */
#define WIDEST 4
#define WIDEST_ROWS 6 /* 24 too */
#define WIDEST_EDGES EDGES_6
#define EDGES EDGES_8
#define BYTES 64
#define SKIP_UNIT 1
#define SKIP_UNITS 8 /* which divide 256 columns, as 7 do not: steps take 0.95 of the time */
#define ISA(name) name##_v4
#include "dense_types.h"
END_TARGET

#endif
#if LEVELS >= 1

BEGIN_TARGET("arch=x86-64-v3")
#define ROWS 4 /* 12 of 16 */
#define WIDEST 3
#define WIDEST_ROWS ROWS
#define EDGES EDGES_4
#define BYTES 32
#define SKIP_UNIT 2
#define SKIP_UNITS 7
#define ISA(name) name##_v3
#include "dense_types.h"
END_TARGET

#endif

#define ROWS 3 /* 9 of 16: without fused multiply-add a product needs a register of its own */
#define WIDEST 3
#define WIDEST_ROWS ROWS
#define EDGES EDGES_3
#define BYTES 16
#define SKIP_UNIT 2
#define SKIP_UNITS 7
#define ISA(name) name##_base
#include "dense_types.h"

#define TYPE_(type, isa)                                                                           \
    {sum_rows_##isa,            product_##type##_##isa,    affine_##type##_##isa,                  \
     upstream_##type##_##isa,   step_along_##type##_##isa, column_sums_##type##_##isa,             \
     update_##type##_##isa,     largest_##type##_##isa,    bound_##type##_##isa,                   \
     squares_##type##_##isa,    scale_rows_##type##_##isa, multiply_##type##_##isa,                \
     add_scaled_##type##_##isa}
#define INSTANCE(name, level, isa) {name, level, {TYPE_(f32, isa), TYPE_(f64, isa)}}
static const dense_isa instances[] = {
#if LEVELS == 2
    INSTANCE("x86-64-v4", 2, v4),
#endif
#if LEVELS >= 1
    INSTANCE("x86-64-v3", 1, v3),
    INSTANCE("x86-64", 0, base),
#else
    INSTANCE("baseline", 0, base),
#endif
};
#define COUNT (int)(sizeof instances / sizeof *instances)

const dense_isa *dense_instance(int number) {
    return number >= 0 && number < COUNT ? &instances[number] : NULL;
}

int dense_runs(int number) { return instances[number].level <= isa_best(); }

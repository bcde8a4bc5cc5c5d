/* fastbp's own matrix product: matmul_body.h, once for each type and instruction set.
 *
 * A step has three products: a = h Wᵀ (E1), dh = delta W (E6), dW = deltaᵀ h (E8). The depth block
 * keeps a panel of B in the L1 cache; the tile is as large as the registers allow, since a step of
 * depth loads COLUMNS vectors and ROWS numbers for ROWS * COLUMNS multiply-adds.
 */
#include "matmul.h"

#include <stddef.h>

#define DEPTH 256
#define COLUMNS 3
#define EDGES_8(NV) EDGE(7, NV) EDGE(6, NV) EDGE(5, NV) EDGE(4, NV) EDGES_4(NV)
#define EDGES_4(NV) EDGE(3, NV) EDGES_3(NV)
#define EDGES_3(NV) EDGE(2, NV) EDGE(1, NV)

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
#define ROWS 8 /* 24 of the 32 registers add up */
#define EDGES EDGES_8
#define BYTES 64
#define ISA(name) name##_v4
#include "matmul_types.h"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define ROWS 4 /* 12 of 16 */
#define EDGES EDGES_4
#define BYTES 32
#define ISA(name) name##_v3
#include "matmul_types.h"
#pragma GCC pop_options

#endif

#define ROWS 3 /* 9 of 16: without fused multiply-add a product needs a register of its own */
#define EDGES EDGES_3
#define BYTES 16
#define ISA(name) name##_base
#include "matmul_types.h"

static const matmul_isa instances[] = {
#if defined(__x86_64__)
    {"x86-64-v4", product_f32_v4, product_f64_v4},
    {"x86-64-v3", product_f32_v3, product_f64_v3},
    {"x86-64", product_f32_base, product_f64_base},
#else
    {"baseline", product_f32_base, product_f64_base},
#endif
};

const matmul_isa *matmul_instance(int number) {
    int count = (int)(sizeof instances / sizeof *instances);
    return number >= 0 && number < count ? &instances[number] : NULL;
}

int matmul_runs(const matmul_isa *instance) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (instance == &instances[0])
        return __builtin_cpu_supports("x86-64-v4") != 0;
    if (instance == &instances[1])
        return __builtin_cpu_supports("x86-64-v3") != 0;
#endif
    return instance != NULL;
}

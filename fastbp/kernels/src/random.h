/* Counter-based uniform numbers: Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy
 * as 1, 2, 3", 2011. A number is a function of its key and counter alone. */
#ifndef FASTBP_RANDOM_H
#define FASTBP_RANDOM_H

#include <stdint.h>

static void philox(const uint32_t key_[2], uint32_t counter[4]) {
    uint32_t key[2] = {key_[0], key_[1]};
    for (int round = 0; round < 10; round++) {
        uint64_t a = UINT64_C(0xD2511F53) * counter[0], b = UINT64_C(0xCD9E8D57) * counter[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ counter[1] ^ key[0], (uint32_t)b,
                            (uint32_t)(a >> 32) ^ counter[3] ^ key[1], (uint32_t)a};
        for (int i = 0; i < 4; i++)
            counter[i] = next[i];
        key[0] += UINT32_C(0x9E3779B9);
        key[1] += UINT32_C(0xBB67AE85);
    }
}

/* The key of one pass through one layer: the finaliser of SplitMix64 over seed, step and layer. */
static uint64_t mixed(uint64_t seed, uint64_t step, uint64_t layer) {
    uint64_t parts[3] = {seed, step, layer}, z = 0;
    for (int i = 0; i < 3; i++) {
        z += parts[i] + UINT64_C(0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        z ^= z >> 31;
    }
    return z;
}

/* out (rows, count): doubles in [0, 1), 53 random bits each. */
static void uniform(uint64_t seed, uint64_t step, uint64_t layer, int64_t first_row, int64_t rows,
                    int64_t count, double *out) {
    uint64_t z = mixed(seed, step, layer);
    const uint32_t key[2] = {(uint32_t)z, (uint32_t)(z >> 32)};
    for (int64_t n = 0; n < rows; n++, out += count)
        for (int64_t j = 0; j < count; j += 2) {
            uint64_t row = (uint64_t)(first_row + n), pair = (uint64_t)(j / 2);
            uint32_t bits[4] = {(uint32_t)row, (uint32_t)(row >> 32), (uint32_t)pair,
                                (uint32_t)(pair >> 32)};
            philox(key, bits);
            for (int64_t i = 0; i < 2 && j + i < count; i++) {
                uint64_t wide = (uint64_t)bits[2 * i] << 32 | bits[2 * i + 1];
                out[j + i] = (double)(wide >> 11) * 0x1p-53;
            }
        }
}

#endif

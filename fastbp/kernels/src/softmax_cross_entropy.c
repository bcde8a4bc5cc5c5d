/* Softmax cross-entropy: output and loss E3, gradient w.r.t. the output units E5.
 *
 * Everything is written in e_j = exp(a_j - max), so that y_hat_j = e_j / Σ e. The largest e is 1
 * and none overflows: where a_j - max overflows to -inf, e_j = 0 is right. e is taken and summed in
 * double for both types, for so is the loss. Wherever 1 - y_hat_j is meant, the others are summed
 * instead: the difference would cancel.
 *
 * Vectors are filled from many rows where rows are short, LANES of them side by side, and from one
 * row where they are long. The order of a row's sums depends on n alone.
 */
#ifndef real
#include <fastbp/plugin.h>
#include <math.h>

#include "every_isa.h"
#include "exp.h"
#include "row.h"

#define ROOM 1024 /* numbers e of a block: longer rows go in pieces, their e taken twice */
#define ROWS 64   /* rows of a block, at most */
#define NARROW 32 /* columns up to which rows stand side by side */
#define LANES 16  /* rows side by side: two vectors of the widest kind, which wait less than one */
#define EACH_LANE UNROLL(2) for (int i = 0; i < LANES; i++)

/* e = exp(e) for n numbers <= 0. */
INLINED void exponentials(double *e, int64_t n, int fused) {
    double least = -EXP_LIMIT;
    OPAQUE(least);
    for (int64_t i = 0; i < n; i++)
        e[i] = exp_negative(e[i] < least ? least : e[i], fused);
}

/* x = log(1 + x) for n numbers >= 0. */
INLINED void logarithms(double *x, int64_t n, int fused) {
    for (int64_t i = 0; i < n; i++)
        x[i] = log1p_positive(x[i], fused);
}

/* A block's rows: e as far as there is room, and for each row what is known of it. */
typedef struct block {
    double e[ROOM], max[ROWS];
    double apart[ROWS], others[ROWS]; /* e of one entry, and the sum of all others */
    double log[ROWS];
    int64_t entry[ROWS]; /* which entry stands apart, or -1 */
} block;

#define BODY "softmax_cross_entropy.c"
#include "both_types.h"

const fastbp_loss fastbp_softmax_cross_entropy = {
    .struct_size = sizeof(fastbp_loss),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE,
    .loss_and_delta = {loss_and_delta_f32, loss_and_delta_f64},
    .y_hat = {y_hat_f32, y_hat_f64},
};

#else

/* e of the columns from `from`, `width` of them, of a (rows, n). */
INLINED void TYPED(take)(block *b, const real *a, int64_t ld, int64_t rows, int64_t from,
                         int64_t width, int fused) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < width; j++)
            b->e[i * width + j] = (double)a[i * ld + from + j] - b->max[i];
    exponentials(b->e, rows * width, fused);
}

/* From a (rows, n), max and entry: apart and others; e, if a row has room there. */
INLINED void TYPED(sums)(block *b, const real *a, int64_t ld, int64_t rows, int64_t n, int fused) {
    for (int64_t i = 0; i < rows; i++)
        b->apart[i] = b->others[i] = 0;
    for (int64_t from = 0; from < n; from += ROOM) {
        int64_t width = n - from < ROOM ? n - from : ROOM;
        TYPED(take)(b, a, ld, rows, from, width, fused);
        for (int64_t i = 0; i < rows; i++) {
            double *e = b->e + i * width;
            int64_t entry = b->entry[i] - from;
            int here = entry >= 0 && entry < width;
            if (here) {
                b->apart[i] = e[entry];
                e[entry] = 0;
            }
            b->others[i] += sum_of_row(e, width);
            if (here)
                e[entry] = b->apart[i];
        }
    }
}

/* E3: y_hat_j = e_j / Σ e; a, y_hat (rows, n). For classes, where -1 is none:
 * E3: loss = -log y_hat_l = (max - a_l) + log Σ e;
 * E5: delta_j = y_hat_j, and delta_l = y_hat_l - 1 = -Σ_{j≠l} y_hat_j; y_hat may be NULL. */
INLINED void TYPED(classes)(block *b, const real *a, int64_t ld, int64_t rows, int64_t n,
                            double *loss, real *y_hat, int64_t ld_y, int fused) {
    for (int64_t i = 0; i < rows; i++)
        b->max[i] = TYPED(largest)(a + i * ld, n);
    TYPED(sums)(b, a, ld, rows, n, fused);
    if (loss) {
        /* Where e_l is 1, Σ e - 1 would lose small others. NaN comes out where there is no softmax:
         * +inf, NaN, or nothing above -inf. */
        for (int64_t i = 0; i < rows; i++)
            b->log[i] = (double)a[i * ld + b->entry[i]] == b->max[i]
                            ? b->others[i]
                            : b->others[i] + b->apart[i] - 1;
        logarithms(b->log, rows, fused);
        for (int64_t i = 0; i < rows; i++)
            loss[i] = b->max[i] - (double)a[i * ld + b->entry[i]] + b->log[i];
    }
    for (int64_t from = 0; y_hat && from < n; from += ROOM) {
        int64_t width = n - from < ROOM ? n - from : ROOM;
        if (n > ROOM)
            TYPED(take)(b, a, ld, rows, from, width, fused);
        for (int64_t i = 0; i < rows; i++) {
            const double *e = b->e + i * width;
            real *out = y_hat + i * ld_y + from;
            double scale = 1 / (b->apart[i] + b->others[i]);
            for (int64_t j = 0; j < width; j++)
                out[j] = (real)(e[j] * scale);
            if (b->entry[i] >= from && b->entry[i] < from + width)
                out[b->entry[i] - from] = (real)(-b->others[i] * scale);
        }
    }
}

/* Where the square of four columns after that at j begins, of n; the last one may share some with it. */
INLINED int64_t TYPED(next_square)(int64_t j, int64_t n) {
    return j + 4 < n && j + 8 > n ? n - 4 : j + 4;
}

/* columns (n, LANES) = a (LANES, n)ᵀ, from pointers to a's rows; by squares where four numbers are one
 * vector. */
INLINED void TYPED(turn)(const real *const a[LANES], int64_t n, real columns[][LANES], int fused) {
    const int squares = n >= 4 && (fused || sizeof(real) == sizeof(float));
    for (int64_t j = 0; squares && j < n; j = TYPED(next_square)(j, n))
        for (int i = 0; i < LANES; i += 4) {
            TYPED(four) r[4];
            UNROLL(4)
            for (int k = 0; k < 4; k++)
                r[k] = *(const TYPED(four) *)(a[i + k] + j);
            TYPED(turn_4)(r);
            UNROLL(4)
            for (int k = 0; k < 4; k++)
                *(TYPED(four) *)&columns[j + k][i] = r[k];
        }
    for (int64_t j = 0; !squares && j < n; j++)
        for (int i = 0; i < LANES; i++)
            columns[j][i] = a[i][j];
}

/* a (rows, n), of rows ld apart, = columns (n, LANES)ᵀ. */
INLINED void TYPED(turn_back)(const real columns[][LANES], int64_t rows, int64_t n, real *a,
                              int64_t ld, int fused) {
    const int squares = rows == LANES && n >= 4 && (fused || sizeof(real) == sizeof(float));
    for (int64_t j = 0; squares && j < n; j = TYPED(next_square)(j, n))
        for (int i = 0; i < LANES; i += 4) {
            TYPED(four) r[4];
            UNROLL(4)
            for (int k = 0; k < 4; k++)
                r[k] = *(const TYPED(four) *)&columns[j + k][i];
            TYPED(turn_4)(r);
            UNROLL(4)
            for (int k = 0; k < 4; k++)
                *(TYPED(four) *)(a + (i + k) * ld + j) = r[k];
        }
    for (int64_t i = 0; !squares && i < rows; i++)
        for (int64_t j = 0; j < n; j++)
            a[i * ld + j] = columns[j][i];
}

/* What `classes` does, for up to LANES rows of up to NARROW columns, side by side: a vector holds all
 * e_j. An entry is told from the others by a factor, lest GCC look at each vector whether it has any. */
INLINED void TYPED(narrow)(const real *a, int64_t ld, int64_t rows, int64_t n, const int64_t *entry,
                           double *loss, real *y_hat, int64_t ld_y, int fused) {
    double e[NARROW][LANES], max[LANES], at_entry[LANES], apart[LANES], others[LANES], part[LANES];
    double place[LANES], least = -EXP_LIMIT; /* of the entry: a double, to be compared beside e */
    real columns[NARROW][LANES];
    const real *row[LANES];
    OPAQUE(least);
    for (int64_t i = 0; i < LANES; i++) {
        row[i] = a + (i < rows ? i : 0) * ld;
        place[i] = i < rows ? (double)entry[i] : -1;
        at_entry[i] = place[i] < 0 ? 0 : (double)row[i][entry[i]];
    }
    TYPED(turn)(row, n, columns, fused);
    EACH_LANE max[i] = -INFINITY, apart[i] = others[i] = 0;
    for (int64_t j = 0; j < n; j++)
        EACH_LANE max[i] = columns[j][i] > max[i] ? columns[j][i] : max[i];
    for (int64_t j = 0; j < n; j++)
        EACH_LANE {
            double x = (double)columns[j][i] - max[i], here = place[i] == (double)j ? 1 : 0;
            x = exp_negative(x < least ? least : x, fused);
            e[j][i] = x;
            apart[i] += x * here;
            others[i] += x - x * here;
        }
    if (loss) {
        EACH_LANE {
            double rest = others[i] + apart[i] - 1;
            rest = at_entry[i] == max[i] ? others[i] : rest;
            part[i] = max[i] - at_entry[i] + log1p_positive(rest, fused);
        }
        for (int64_t i = 0; i < rows; i++)
            loss[i] = part[i];
    }
    if (!y_hat)
        return;
    EACH_LANE part[i] = 1 / (apart[i] + others[i]);
    for (int64_t j = 0; j < n; j++)
        EACH_LANE columns[j][i] =
            (real)((place[i] == (double)j ? -others[i] : e[j][i]) * part[i]);
    TYPED(turn_back)(columns, rows, n, y_hat, ld_y, fused);
}

/* The same to the same bits for one row alone, in plain numbers, which do not wait for what is stored
 * number by number to be read as a vector: 3 classes take 36 ns instead of 156. */
INLINED void TYPED(alone)(const real *a, int64_t n, int64_t entry, double *loss, real *delta,
                          int fused) {
    double e[NARROW], max = -INFINITY, apart = 0, others = 0, scale;
    for (int64_t j = 0; j < n; j++)
        max = a[j] > max ? a[j] : max;
    for (int64_t j = 0; j < n; j++) {
        double x = (double)a[j] - max;
        __asm__ volatile(""); /* no vectors, which a few columns do not fill */
        e[j] = exp_negative(x < -EXP_LIMIT ? -EXP_LIMIT : x, fused);
    }
    for (int64_t j = 0; j < n; j++) {
        apart = j == entry ? e[j] : apart;
        others += j == entry ? 0 : e[j];
    }
    *loss = max - (double)a[entry] +
            log1p_positive((double)a[entry] == max ? others : others + apart - 1, fused);
    scale = 1 / (apart + others);
    for (int64_t j = 0; delta && j < n; j++)
        delta[j] = (real)((j == entry ? -others : e[j]) * scale);
}

EVERY_ISA(TYPED(one_row), TYPED(alone),
          (const real *a, int64_t n, int64_t entry, double *loss, real *delta),
          (a, n, entry, loss, delta))

/* ½ Σ_j p_j (max - a_j), where p_j = 0 counts as 0 even with a_j = -inf; a, p (n,). max - a_j may
 * overflow where p_j times it does not: hence the halves. Writes over e. */
INLINED double TYPED(half_gaps)(block *b, const real *a, const real *p, int64_t n, double max) {
    double total = 0;
    for (int64_t from = 0; from < n; from += ROOM) {
        int64_t width = n - from < ROOM ? n - from : ROOM;
        for (int64_t j = 0; j < width; j++) {
            double gap = 0.5 * max - 0.5 * (double)a[from + j], weight = p[from + j];
            b->e[j] = weight != 0 ? weight * gap : 0;
        }
        total += sum_of_row(b->e, width);
    }
    return total;
}

/* Σ p but for one entry; p (n,). Writes over e. */
INLINED double TYPED(sum_of_others)(block *b, const real *p, int64_t n, int64_t entry) {
    double total = 0;
    for (int64_t from = 0; from < n; from += ROOM) {
        int64_t width = n - from < ROOM ? n - from : ROOM;
        for (int64_t j = 0; j < width; j++)
            b->e[j] = p[from + j];
        if (entry >= from && entry < from + width)
            b->e[entry - from] = 0;
        total += sum_of_row(b->e, width);
    }
    return total;
}

/* E3: loss = Σ_j p_j (-log y_hat_j) = Σ_j p_j (max - a_j) + Σp log Σ e;
 * E5: delta_j = y_hat_j Σp - p_j = (e_j Σ_{i≠j} p_i - p_j Σ_{i≠j} e_i) / Σ e;
 * a, p (rows, n), delta (rows, n) or NULL. */
INLINED void TYPED(probabilities)(block *b, const real *a, const real *p, int64_t ld, int64_t rows,
                                  int64_t n, double *loss, real *delta, int fused) {
    double p_largest[ROWS], p_rest[ROWS];
    int64_t p_entry[ROWS];
    /* Σ_{i≠j} is a difference that cannot cancel, except for the largest entry. */
    for (int64_t i = 0; i < rows; i++) {
        const real *row = a + i * ld, *p_row = p + i * ld;
        b->max[i] = TYPED(largest)(row, n);
        b->entry[i] = TYPED(where)(row, n, b->max[i]);
        p_largest[i] = TYPED(largest)(p_row, n);
        p_entry[i] = TYPED(where)(p_row, n, p_largest[i]);
        loss[i] = TYPED(half_gaps)(b, row, p_row, n, b->max[i]);
        p_rest[i] = TYPED(sum_of_others)(b, p_row, n, p_entry[i]);
    }
    TYPED(sums)(b, a, ld, rows, n, fused);
    for (int64_t i = 0; i < rows; i++)
        b->log[i] = b->others[i];
    logarithms(b->log, rows, fused);
    for (int64_t i = 0; i < rows; i++)
        loss[i] = isnan(b->apart[i]) ? b->apart[i]
                                     : 2 * loss[i] + (p_rest[i] + p_largest[i]) * b->log[i];
    for (int64_t from = 0; delta && from < n; from += ROOM) {
        int64_t width = n - from < ROOM ? n - from : ROOM;
        if (n > ROOM)
            TYPED(take)(b, a, ld, rows, from, width, fused);
        for (int64_t i = 0; i < rows; i++) {
            const double *e = b->e + i * width;
            const real *p_row = p + i * ld + from;
            real *out = delta + i * ld + from;
            double e_sum = b->apart[i] + b->others[i], p_sum = p_rest[i] + p_largest[i];
            double scale = 1 / e_sum;
            int64_t special[2] = {b->entry[i] - from, p_entry[i] - from};
            for (int64_t j = 0; j < width; j++)
                out[j] = (real)((e[j] * (p_sum - p_row[j]) - p_row[j] * (e_sum - e[j])) * scale);
            for (int k = 0; k < 2; k++) {
                int64_t j = special[k];
                if (j < 0 || j >= width)
                    continue;
                double e_others = j == special[0] ? b->others[i] : e_sum - e[j];
                double p_others = j == special[1] ? p_rest[i] : p_sum - p_row[j];
                out[j] = (real)((e[j] * p_others - p_row[j] * e_others) * scale);
            }
        }
    }
}

/* Block by block; targets are classes l (rows,) or rows of probabilities p (rows, n), or NULL for
 * y_hat alone, which then goes to delta. */
INLINED void TYPED(all_blocks)(const fastbp_call *call, const real *a, const void *targets,
                                double *loss, real *delta, int fused) {
    int64_t n = call->n_in, ld = call->ld_x, ld_y = targets ? ld : call->ld_y;
    int64_t most = n <= ROOM / ROWS ? ROWS : n <= ROOM ? ROOM / n : 1;
    block b;
    for (int64_t first = 0; first < call->rows; first += most) {
        int64_t rows = call->rows - first < most ? call->rows - first : most;
        const real *block_a = a + first * ld;
        real *out = delta ? delta + first * ld_y : NULL;
        if (targets && call->target_kind != FASTBP_CLASSES) {
            TYPED(probabilities)(&b, block_a, (const real *)targets + first * ld, ld, rows, n,
                                 loss + first, out, fused);
            continue;
        }
        for (int64_t i = 0; i < rows; i++)
            b.entry[i] = targets ? ((const int64_t *)targets)[first + i] : -1;
        if (n > NARROW)
            TYPED(classes)(&b, block_a, ld, rows, n, targets ? loss + first : NULL, out, ld_y,
                           fused);
        else
            for (int64_t i = 0; i < rows; i += LANES)
                TYPED(narrow)(block_a + i * ld, ld, rows - i < LANES ? rows - i : LANES, n,
                              b.entry + i, targets ? loss + first + i : NULL,
                              out ? out + i * ld_y : NULL, ld_y, fused);
    }
}

EVERY_ISA(TYPED(blocks), TYPED(all_blocks),
          (const fastbp_call *call, const real *a, const void *targets, double *loss, real *delta),
          (call, a, targets, loss, delta))

static int TYPED(y_hat)(const fastbp_call *call, const void *a, void *y_hat) {
    TYPED(blocks)(call, a, NULL, NULL, y_hat);
    return FASTBP_OK;
}

static int TYPED(loss_and_delta)(const fastbp_call *call, const void *a, const void *targets,
                                 double *loss, void *delta) {
    if (call->rows == 1 && call->n_in <= NARROW && call->target_kind == FASTBP_CLASSES)
        TYPED(one_row)(a, call->n_in, *(const int64_t *)targets, loss, delta);
    else
        TYPED(blocks)(call, a, targets, loss, delta);
    return FASTBP_OK;
}

#endif

/* The tables of the built-in parts, for both types and at every level of instructions that the
 * processor runs, and the host's random numbers, on arrays without a number to spare.
 *
 *     parts [rounds]
 */
#include "exact.h"
#include "isa.h"
#include "random.h"
#include "tables.h"

static int type;

static void start(fastbp_call *call, int64_t rows, int64_t n, int64_t spare, int kind) {
    memset(call, 0, sizeof *call);
    call->struct_size = sizeof *call;
    call->rows = rows;
    call->n_in = call->n_out = n;
    call->ld_x = n + spare;
    call->ld_y = n + below(3);
    call->target_kind = kind;
}

static double wanted(const fastbp_elementwise *part, double a) {
    return part == &fastbp_relu ? fmax(a, 0) : part == &fastbp_tanh ? tanh(a) : 1 / (1 + exp(-a));
}

static void elementwise(const fastbp_elementwise *part, int64_t n) {
    fastbp_call call;
    void *a = numbers(type, n, 0.1), *h = numbers(type, n, 0), *in_place;
    void *dh = numbers(type, n, 0), *da = numbers(type, n, 0), *slope = numbers(type, n, 0);
    for (int64_t i = 0; i < n; i++)
        set(type, a, i, get(type, a, i) * 8);
    in_place = copy(type, a, n);
    start(&call, 1, n, 0, 0);
    part->f[type](&call, n, a, h);
    part->f[type](&call, n, in_place, in_place);
    CHECK(n == 0 || memcmp(h, in_place, bytes(type, n)) == 0, "f in its place, of %ld", (long)n);
    part->df[type](&call, n, a, h, slope);
    part->backward[type](&call, n, a, h, dh, da);
    for (int64_t i = 0; i < n; i++) {
        double y = wanted(part, get(type, a, i)), x = get(type, h, i);
        double d = part == &fastbp_relu ? x > 0 : part == &fastbp_tanh ? 1 - x * x : x * (1 - x);
        double product = get(type, dh, i) * get(type, slope, i);
        CHECK(fabs(x - y) <= 4 * epsilon(type) * fabs(y), "f(%g) = %g", get(type, a, i), x);
        CHECK(fabs(get(type, slope, i) - d) <= 4 * epsilon(type), "f' at h = %g", x);
        CHECK(fabs(get(type, da, i) - product) <= 4 * epsilon(type), "backward at h = %g", x);
    }
    for (int64_t i = 0; i < n; i++) /* what is not finite, or beyond all limits */
        set(type, a, i, (double[]){NAN, INFINITY, -INFINITY, 1e30, -1e30, -0.0}[below(6)]);
    part->f[type](&call, n, a, h);
    for (int64_t i = 0; i < n; i++)
        CHECK(isnan(get(type, a, i)) == isnan(get(type, h, i)), "f(%g)", get(type, a, i));
    free(a), free(h), free(in_place), free(dh), free(da), free(slope);
}

static void loss(const fastbp_loss *part, int64_t rows, int64_t n, int kind, double scale) {
    fastbp_call call;
    int64_t spare = kind == FASTBP_CLASSES && rows == 1 ? 0 : below(3);
    start(&call, rows, n, spare, kind);
    int64_t all = extent(rows, n, call.ld_x);
    void *a = numbers(type, all, 0), *delta = numbers(type, all, 0);
    void *y_hat = numbers(type, extent(rows, n, call.ld_y), 0), *targets;
    double *losses = numbers(1, rows, 0), *alone = numbers(1, rows, 0);
    for (int64_t i = 0; i < all; i++)
        set(type, a, i, get(type, a, i) * scale);
    if (kind == FASTBP_CLASSES) {
        targets = malloc((size_t)rows * sizeof(int64_t));
        for (int64_t i = 0; i < rows; i++)
            ((int64_t *)targets)[i] = below(n);
    } else {
        targets = numbers(type, all, 0.3);
        for (int64_t i = 0; i < all; i++)
            set(type, targets, i, fabs(get(type, targets, i)));
    }
    part->loss_and_delta[type](&call, a, targets, losses, delta);
    part->loss_and_delta[type](&call, a, targets, alone, NULL);
    part->y_hat[type](&call, a, y_hat);
    for (int64_t i = 0; i < rows; i++) {
        CHECK(losses[i] >= 0 && losses[i] == alone[i], "a loss of %g, or %g", losses[i], alone[i]);
        double sum = 0, shift = 0, size = 1;
        for (int64_t j = 0; j < n; j++) {
            sum += get(type, y_hat, i * call.ld_y + j);
            shift += get(type, delta, i * call.ld_x + j);
            size += fabs(get(type, delta, i * call.ld_x + j));
        }
        CHECK(part != &fastbp_softmax_cross_entropy || fabs(sum - 1) < 1e-4, "Σ y_hat = %g", sum);
        CHECK(part != &fastbp_softmax_cross_entropy || fabs(shift) < 1e-4 * size,
              "Σ delta = %g", shift);
    }
    for (int64_t i = 0; i < all; i++)
        set(type, a, i, (double[]){NAN, INFINITY, -INFINITY, 1e30, -1e30, 0}[below(6)]);
    part->loss_and_delta[type](&call, a, targets, losses, delta);
    part->y_hat[type](&call, a, y_hat);
    free(a), free(delta), free(y_hat), free(targets), free(losses), free(alone);
}

static void losses(int64_t rows, int64_t n) {
    const fastbp_loss *parts[] = {&fastbp_softmax_cross_entropy, &fastbp_sigmoid_cross_entropy,
                                  &fastbp_squared_error};
    for (int i = 0; i < 3; i++)
        loss(parts[i], rows, n, FASTBP_VALUES, rows % 2 ? 1 : 30);
    loss(parts[0], rows, n, FASTBP_CLASSES, rows % 2 ? 1 : 30);
}

static void random_numbers(int64_t rows, int64_t count) {
    double *whole = numbers(1, rows * count, 0), *last = numbers(1, count, 0);
    uniform(1, 2, 3, 4, rows, count, whole);
    uniform(1, 2, 3, 4 + rows - 1, 1, count, last);
    for (int64_t j = 0; rows && j < count; j++)
        CHECK(last[j] == whole[(rows - 1) * count + j] && last[j] >= 0 && last[j] < 1,
              "random numbers of row %ld", (long)rows);
    free(whole), free(last);
}

int main(int count, char **arguments) {
    long rounds = count > 1 ? atol(arguments[1]) : 40;
    const fastbp_elementwise *parts[] = {&fastbp_relu, &fastbp_tanh, &fastbp_sigmoid};
    const int64_t widths[] = {1, 2, 3, 4, 5, 8, 31, 32, 33, 64, 100, 1023, 1024, 1025, 2050};
    for (int level = 0; level <= isa_best(); level++) {
        isa_use(level);
        for (type = 0; type < 2; type++) {
            for (int64_t n = 0; n < 70; n++)
                for (int i = 0; i < 3; i++)
                    elementwise(parts[i], n);
            for (int w = 0; w < 15; w++)
                losses(1, widths[w]), losses(2, widths[w]), losses(67, widths[w] % 70);
            for (long r = 0; r < rounds; r++) {
                int64_t rows = size(), n = size();
                losses(rows, n), random_numbers(rows % 7, n);
                elementwise(parts[r % 3], rows * n);
            }
        }
    }
    return 0;
}

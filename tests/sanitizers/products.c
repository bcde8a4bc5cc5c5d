/* Every product of dense_type, for both types and on every instruction set that the processor runs, on
 * arrays without a number to spare; some entries are compared with plain sums in double.
 *
 *     products [rounds]
 */
#include "dense.h"
#include "exact.h"
#include "workspace.h"

typedef struct matrix {
    int64_t rows, width, ld;
    void *x;
} matrix;

static int type;
static const dense_type *own;
static const char *isa;

static matrix made(int64_t rows, int64_t width, int64_t spare, double zeros) {
    matrix A = {rows, width, width + spare, NULL};
    A.x = numbers(type, extent(rows, width, A.ld), zeros);
    return A;
}

static double at(matrix A, int64_t i, int64_t j) { return get(type, A.x, i * A.ld + j); }

/* Some entries of got (m, n) are start + Σ_p a b, or what `end` makes of it: it has the number's place. */
static void compare(const char *what, matrix got, const void *start, matrix A, int trans_a, matrix B,
                    int trans_b, const void *bias, const matrix *gate, int relu) {
    const int64_t k = trans_a ? A.rows : A.width;
    for (int t = 0; t < 40 && got.x; t++) {
        int64_t i = below(got.rows), j = below(got.width);
        double sum = bias ? get(type, bias, j) : 0, size = fabs(sum) + 1e-30;
        if (start)
            sum += get(type, start, i * got.ld + j), size += fabs(sum);
        for (int64_t p = 0; p < k; p++) {
            double term = (trans_a ? at(A, p, i) : at(A, i, p)) *
                          (trans_b ? at(B, j, p) : at(B, p, j));
            sum += term, size += fabs(term);
        }
        sum = relu && sum < 0 ? 0 : sum;
        sum = gate && !(at(*gate, i, j) > 0) ? 0 : sum;
        CHECK(fabs(at(got, i, j) - sum) <= 2 * epsilon(type) * (double)(k + 4) * size,
              "%s %s f%d (%ld, %ld, %ld): entry (%ld, %ld) is %g, not %g", what, isa, 32 << type,
              (long)got.rows, (long)got.width, (long)k, (long)i, (long)j, at(got, i, j), sum);
    }
}

static void product(int64_t m, int64_t n, int64_t k, double zeros) {
    for (int how = 0; how < 6; how++) {
        int trans_a = how % 3 == 1, trans_b = how % 3 == 2, add = how > 2;
        matrix A = trans_a ? made(k, m, below(3), zeros) : made(m, k, below(3), zeros);
        matrix B = trans_b ? made(n, k, below(3), 0) : made(k, n, below(3), 0);
        matrix C = made(m, n, below(3), 0);
        void *start = copy(type, C.x, extent(m, n, C.ld));
        own->product(trans_a, trans_b, m, n, k, A.x, A.ld, B.x, B.ld, C.x, C.ld, add);
        compare("product", C, add ? start : NULL, A, trans_a, B, trans_b, NULL, NULL, 0);
        if (zeros && B.x && C.x) { /* what is not finite is met, zeros or not */
            set(type, B.x, below(extent(B.rows, B.width, B.ld)), INFINITY);
            own->product(trans_a, trans_b, m, n, k, A.x, A.ld, B.x, B.ld, C.x, C.ld, add);
        }
        free(A.x), free(B.x), free(C.x), free(start);
    }
}

static int same_f32(const struct fastbp_call *call, int64_t n, const void *a, void *h) {
    (void)call;
    for (int64_t i = 0; i < n; i++)
        ((float *)h)[i] = ((const float *)a)[i];
    return 0;
}

static int same_f64(const struct fastbp_call *call, int64_t n, const void *a, void *h) {
    (void)call;
    for (int64_t i = 0; i < n; i++)
        ((double *)h)[i] = ((const double *)a)[i];
    return 0;
}

/* E1, with E2 and without; and two layers, the second of which finds the first's output turned. */
static void affine(int64_t batch, int64_t n_in, int64_t n_out, double zeros) {
    matrix x = made(batch, n_in, 0, zeros), W = made(n_out, n_in, 0, 0);
    matrix V = made(1 + below(70), n_out, 0, 0);
    void *b = numbers(type, n_out, 0);
    for (int how = 0; how < 6; how++) {
        const void *bias = how < 3 ? b : NULL;
        matrix h = made(batch, n_out, 0, 0), y = made(batch, n_out, how % 3 == 2 ? 0 : below(3), 0);
        matrix z = made(batch, V.rows, 0, 0), linked = made(batch, V.rows, 0, 0);
        activation relu = {NULL, NULL, NULL}, g = {type ? same_f64 : same_f32, NULL, h.x};
        const activation *then = how % 3 == 0 ? NULL : how % 3 == 1 ? &relu : &g;
        own->affine(batch, n_in, n_out, x.x, W.x, bias, then, 0, y.x, y.ld);
        compare("affine", then == &g ? h : y, NULL, x, 0, W, 1, bias, NULL, then == &relu);
        if (y.ld == n_out) {
            void *first = then == &g ? h.x : y.x;
            own->affine(batch, n_out, V.rows, first, V.x, NULL, NULL, 0, z.x, V.rows);
            own->affine(batch, n_in, n_out, x.x, W.x, bias, then, LINK_Y, y.x, y.ld);
            own->affine(batch, n_out, V.rows, first, V.x, NULL, NULL, LINK_X, linked.x, V.rows);
            CHECK(!z.x || memcmp(z.x, linked.x, bytes(type, batch * V.rows)) == 0,
                  "%s f%d: %ld x %ld x %ld, linked, gives other bits", isa, 32 << type, (long)batch,
                  (long)n_in, (long)n_out);
        }
        free(h.x), free(y.x), free(z.x), free(linked.x);
    }
    free(x.x), free(W.x), free(V.x), free(b);
}

static void upstream(int64_t batch, int64_t n_in, int64_t n_out, double zeros) {
    int64_t spare = below(3), groups = (batch + own->sum_rows - 1) / own->sum_rows;
    matrix delta = made(batch, n_out, 0, zeros), W = made(n_out, n_in, spare, 0);
    matrix h = made(batch, n_in, spare, 0.5);
    for (int how = 0; how < 3; how++) {
        if (how == 2 && own->sum_rows == 1)
            continue;
        matrix dh = made(batch, n_in, spare, 0), sums = made(groups, n_in, spare, 0);
        own->upstream(batch, n_in, n_out, delta.x, W.x, how ? h.x : NULL, dh.x,
                      how == 2 ? sums.x : NULL, n_in + spare);
        compare("upstream", dh, NULL, delta, 0, W, 0, NULL, how ? &h : NULL, 0);
        for (int64_t g = 0; how == 2 && g < groups; g++)
            for (int64_t j = 0; j < n_in; j++) {
                double sum = 0, size = 1e-30;
                for (int64_t i = g * own->sum_rows; i < batch && i < (g + 1) * own->sum_rows; i++)
                    sum += at(dh, i, j), size += fabs(at(dh, i, j));
                CHECK(fabs(at(sums, g, j) - sum) <= 8 * epsilon(type) * size, "%s: sums of %ld rows",
                      isa, (long)own->sum_rows);
            }
        free(dh.x), free(sums.x);
    }
    free(delta.x), free(W.x), free(h.x);
}

/* E8 and a step of each rule: as with the gradient formed first, but for rounding. */
static void step_along(int64_t batch, int64_t n_in, int64_t n_out, double zeros) {
    matrix delta = made(batch, n_out, below(3), zeros), h = made(batch, n_in, 0, zeros);
    int64_t n = n_in * n_out, before = below(5), after = below(5), all = before + n + after;
    for (int kind = RULE_SGD; kind <= RULE_ADAM && batch <= STEP_DEPTH; kind++) {
        update_rule rule = {.kind = kind, .rate = 0.1, .decay = kind % 2 * 0.01, .keep_m = 0.9,
                            .new_m = 0.1, .keep_v = 0.99, .new_v = 0.01, .grow = 1, .eps = 0.1};
        update_rule apart = rule;
        matrix g = made(n_out, n_in, 0, 0);
        void *arrays[3], *copies[3];
        for (int i = 0; i < 3; i++) {
            arrays[i] = numbers(type, all, 0);
            for (int64_t j = 0; i == 2 && j < all; j++)
                set(type, arrays[i], j, fabs(get(type, arrays[i], j)));
            copies[i] = copy(type, arrays[i], all);
        }
        rule.theta = arrays[0], apart.theta = copies[0];
        if (kind != RULE_SGD)
            rule.m = arrays[1], apart.m = copies[1];
        if (kind == RULE_ADAM)
            rule.v = arrays[2], apart.v = copies[2];
        own->step_along(batch, n_in, n_out, delta.x, delta.ld, h.x, &rule,
                        place(type, rule.theta, before));
        own->product(1, 0, n_out, n_in, batch, delta.x, delta.ld, h.x, n_in, g.x, n_in, 0);
        own->update(n, place(type, apart.theta, before), g.x, &apart);
        for (int i = 0; i < 3; i++) {
            for (int64_t j = 0; j < all; j++)
                CHECK(fabs(get(type, arrays[i], j) - get(type, copies[i], j)) <=
                          1e3 * epsilon(type) * (double)(batch + 1),
                      "step_along %s f%d rule %d, %ld x %ld x %ld: array %d at %ld", isa, 32 << type,
                      kind, (long)batch, (long)n_in, (long)n_out, i, (long)j);
            free(arrays[i]), free(copies[i]);
        }
        free(g.x);
    }
    free(delta.x), free(h.x);
}

/* Large enough for packed blocks, turned W, panels that are fetched, zeros that are skipped. */
static void large(double zeros) {
    static const int64_t shapes[][3] = {
        {65, 490, 193}, {260, 500, 140}, {37, 200, 520}, {300, 130, 64}, {130, 17, 700}};
    for (int s = 0; s < 5; s++) {
        int64_t m = shapes[s][0], n = shapes[s][1] + below(9), k = shapes[s][2] + below(9);
        product(m, n, k, zeros);
        affine(m, k, n, zeros);
        upstream(m, n, k, zeros);
        step_along(m, k, n, zeros);
    }
}

int main(int count, char **arguments) {
    long rounds = count > 1 ? atol(arguments[1]) : 12;
    const dense_isa *one;
    for (int packs = 0; packs < 2; packs++) {
        if (packs)
            dense_pack_in(workspace);
        for (int i = 0; (one = dense_instance(i)); i++)
            for (type = 0; type < 2 && dense_runs(i); type++) {
                own = &one->type[type], isa = one->name;
                for (long r = 0; r < rounds; r++) {
                    int64_t m = size(), n = size(), k = size();
                    double zeros = r % 3 ? 0 : 0.85;
                    if (r % 11 == 0)
                        *(int64_t *[]){&m, &n, &k}[r / 11 % 3] = 0;
                    product(m, n, k, zeros);
                    affine(m, k, n, zeros);
                    upstream(m, n, k, zeros);
                    if (m > 0)
                        step_along(m, k, n, zeros);
                }
                if (packs)
                    large(rounds % 2 ? 0 : 0.85);
                if (packs && rounds > 20)
                    large(0), large(0.85);
            }
    }
    return 0;
}

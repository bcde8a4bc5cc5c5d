/* Every pass of dense_type over whole arrays, for both types and on every instruction set that the
 * processor runs, on arrays without a number to spare, against plain loops.
 *
 *     passes [rounds]
 */
#include "dense.h"
#include "exact.h"

static int type;
static const dense_type *own;
static const char *isa;

static void near(const char *what, double got, double wanted, double size, int64_t n) {
    CHECK(fabs(got - wanted) <= epsilon(type) * (double)(n + 4) * (size + 1e-30) * 4,
          "%s %s f%d of %ld: got %g, not %g", what, isa, 32 << type, (long)n, got, wanted);
}

static void column_sums(int64_t batch, int64_t n_out) {
    for (int many = 0; many < 2; many++) {
        int64_t ld = n_out + below(3), at_once = many ? own->sum_rows : 1;
        void *delta = numbers(type, extent(batch, n_out, ld), 0), *db = numbers(type, n_out, 0);
        own->column_sums(batch, n_out, delta, ld, at_once, db);
        for (int64_t j = 0; j < n_out; j++) {
            double sum = 0, size = 0;
            for (int64_t i = 0; i < batch; i++)
                sum += get(type, delta, i * ld + j), size += fabs(get(type, delta, i * ld + j));
            near("column_sums", get(type, db, j), sum, size, at_once);
        }
        free(delta), free(db);
    }
}

static void maxima(int64_t n) {
    void *x = numbers(type, n, 0);
    double top = 0, square = 0;
    for (int64_t i = 0; i < n; i++) {
        double one = fabs(get(type, x, i));
        top = one > top ? one : top, square += one * one;
    }
    near("largest", own->largest(n, x), top, 0, 0);
    near("squares", own->squares(n, x), square, square, n);
    CHECK(own->bound(n, x) >= top * (1 - 4 * epsilon(type)), "bound %s of %ld", isa, (long)n);
    for (int what = 0; what < 3 && n; what++) {
        void *y = copy(type, x, n);
        set(type, y, below(n), what == 0 ? NAN : what == 1 ? INFINITY : type ? 1e300 : 1e38);
        double most = own->largest(n, y), bound = own->bound(n, y);
        CHECK(what ? most > 9e37 && bound >= most * (1 - 4 * epsilon(type))
                   : isnan(most) && isnan(bound),
              "largest and bound %s f%d of %ld: %g, %g", isa, 32 << type, (long)n, most, bound);
        CHECK((what == 2) == isfinite(bound), "bound %s f%d of %ld", isa, 32 << type, (long)n);
        free(y);
    }
    free(x);
}

static void scaled(int64_t rows, int64_t n) {
    void *x = numbers(type, rows * n, 0), *y = numbers(type, rows * n, 0);
    void *was = copy(type, x, rows * n);
    double *scale = numbers(1, rows, 0.3);
    own->scale_rows(rows, n, scale, x);
    for (int64_t i = 0; i < rows * n; i++) {
        double wanted = get(type, was, i) * scale[i / n];
        near("scale_rows", get(type, x, i), wanted, fabs(wanted), 1);
        set(type, was, i, get(type, x, i));
    }
    own->multiply(rows * n, y, x);
    own->add_scaled(rows * n, 0.5, y, x);
    for (int64_t i = 0; i < rows * n; i++) {
        double factor = get(type, y, i), wanted = get(type, was, i) * factor + 0.5 * factor;
        near("multiply, add_scaled", get(type, x, i), wanted, 1, 1);
    }
    free(x), free(y), free(was), free(scale);
}

static void update(int64_t n) {
    for (int kind = RULE_SGD; kind <= RULE_ADAM; kind++) {
        void *g = numbers(type, n, 0.2), *array[3], *was[3];
        for (int i = 0; i < 3; i++) {
            array[i] = numbers(type, n, 0.2);
            for (int64_t j = 0; i == 2 && j < n; j++)
                set(type, array[i], j, fabs(get(type, array[i], j)));
            was[i] = copy(type, array[i], n);
        }
        update_rule rule = {.kind = kind, .rate = 0.1, .decay = kind % 2 * 0.25, .keep_m = 0.75,
                            .new_m = 0.25, .keep_v = 0.5, .new_v = 0.5, .grow = 2, .eps = 0.5};
        rule.theta = array[0];
        rule.m = kind == RULE_SGD ? NULL : array[1];
        rule.v = kind == RULE_ADAM ? array[2] : NULL;
        own->update(n, array[0], g, &rule);
        for (int64_t j = 0; j < n; j++) {
            double theta = get(type, was[0], j), m = get(type, was[1], j), v = get(type, was[2], j);
            double d = get(type, g, j) + rule.decay * theta, adam = kind == RULE_ADAM;
            m = kind == RULE_SGD ? m : rule.keep_m * m + (adam ? rule.new_m : 1) * d;
            v = adam ? rule.keep_v * v + rule.new_v * d * d : v;
            double along = kind == RULE_SGD ? d : kind == RULE_NESTEROV ? d + rule.keep_m * m : m;
            theta -= rule.rate * along / (adam ? rule.grow * sqrt(v) + rule.eps : 1);
            near("update's theta", get(type, array[0], j), theta, 4, 4);
            near("update's m", get(type, array[1], j), m, 4, 4);
            near("update's v", get(type, array[2], j), v, 4, 4);
        }
        for (int i = 0; i < 3; i++)
            free(array[i]), free(was[i]);
        free(g);
    }
}

int main(int count, char **arguments) {
    long rounds = count > 1 ? atol(arguments[1]) : 60;
    const dense_isa *one;
    for (int i = 0; (one = dense_instance(i)); i++)
        for (type = 0; type < 2 && dense_runs(i); type++) {
            own = &one->type[type], isa = one->name;
            for (int64_t n = 0; n < 70; n++)
                maxima(n), update(n), column_sums(n % 20, n);
            for (long r = 0; r < rounds; r++) {
                int64_t rows = size(), n = size();
                column_sums(rows, n), scaled(rows, n), maxima(rows * n), update(n);
            }
        }
    return 0;
}

/* Layers on the pool's threads, as a step divides them: rows of x, columns of E1 and E6, rows of dW. From
 * three callers at once, one of which has the pool; and all bits are those of one thread.
 *
 *     threads [rounds]
 */
#include <pthread.h>
#include <stddef.h>

#include "dense.h"
#include "exact.h"
#include "pool.h"
#include "workspace.h"

enum { BATCH = 48, IN = 70, OUT = 96, PARTS = 3 };

typedef struct layer {
    int type;
    const dense_type *own;
    /* x (BATCH, IN), W (OUT, IN), b and db (OUT,), y and delta (BATCH, OUT), dx (BATCH, IN) */
    void *x, *W, *b, *y, *delta, *dx, *db, *m, *v;
    update_rule rule;
} layer;

static int64_t from(int64_t n, int part, int64_t unit) {
    return part == PARTS ? n : n * part / PARTS / unit * unit;
}

static void rows_of_outputs(void *context, int part) { /* E1 and E6 by rows */
    layer *it = context;
    int t = it->type;
    int64_t first = from(BATCH, part, 16), rows = from(BATCH, part + 1, 16) - first;
    activation relu = {NULL, NULL, NULL};
    it->own->affine(rows, IN, OUT, place(t, it->x, first * IN), it->W, it->b, &relu, 0,
                    place(t, it->y, first * OUT), OUT);
    it->own->upstream(rows, IN, OUT, place(t, it->delta, first * OUT), it->W, NULL,
                      place(t, it->dx, first * IN), NULL, IN);
}

static void columns(void *context, int part) { /* E1 by outputs, E6 by inputs */
    layer *it = context;
    int t = it->type;
    int64_t first = from(OUT, part, 8), n = from(OUT, part + 1, 8) - first;
    activation relu = {NULL, NULL, NULL};
    it->own->affine(BATCH, IN, n, it->x, place(t, it->W, first * IN), place(t, it->b, first), &relu,
                    0, place(t, it->y, first), OUT);
    first = from(IN, part, 16), n = from(IN, part + 1, 16) - first;
    it->own->upstream(BATCH, n, OUT, it->delta, place(t, it->W, first), NULL,
                      place(t, it->dx, first), NULL, IN);
}

static void rows_of_weights(void *context, int part) { /* E8, E9 and the step */
    layer *it = context;
    int t = it->type;
    int64_t first = from(OUT, part, 8), n = from(OUT, part + 1, 8) - first;
    it->own->step_along(BATCH, IN, n, place(t, it->delta, first), OUT, it->x, &it->rule,
                        place(t, it->W, first * IN));
    it->own->column_sums(BATCH, n, place(t, it->delta, first), OUT, 1, place(t, it->db, first));
}

static const struct { size_t at; int64_t size; } arrays[] = {
    {offsetof(layer, x), BATCH * IN},      {offsetof(layer, W), OUT * IN},
    {offsetof(layer, b), OUT},             {offsetof(layer, y), BATCH * OUT},
    {offsetof(layer, delta), BATCH * OUT}, {offsetof(layer, dx), BATCH * IN},
    {offsetof(layer, db), OUT},            {offsetof(layer, m), OUT * IN},
    {offsetof(layer, v), OUT * IN},
};
enum { COUNT = sizeof arrays / sizeof *arrays };

static void **array(layer *it, int i) { return (void **)((char *)it + arrays[i].at); }

static void run(layer *it, int threads) {
    for (int kind = RULE_SGD; kind <= RULE_ADAM; kind++) {
        it->rule = (update_rule){.kind = kind, .rate = 0.01, .keep_m = 0.9, .new_m = 0.1,
                                 .keep_v = 0.99, .new_v = 0.01, .grow = 1, .eps = 0.1,
                                 .theta = it->W, .m = it->m, .v = it->v};
        pool_run(threads, PARTS, NULL, kind % 2 ? rows_of_outputs : columns, it);
        pool_run(threads, PARTS, NULL, rows_of_weights, it);
    }
}

typedef struct work {
    layer shared, alone; /* of the same numbers */
    long rounds;
} work;

static void *caller(void *argument) {
    work *it = argument;
    for (long r = 0; r < it->rounds; r++) {
        run(&it->shared, 2 + (int)(r % 2));
        run(&it->alone, 1);
        for (int i = 0; i < COUNT; i++)
            if (memcmp(*array(&it->shared, i), *array(&it->alone, i),
                       bytes(it->shared.type, arrays[i].size)))
                return "threads change a bit";
    }
    return NULL;
}

int main(int count, char **arguments) {
    long rounds = count > 1 ? atol(arguments[1]) : 3;
    const dense_isa *one;
    dense_pack_in(workspace);
    for (int i = 0; (one = dense_instance(i)); i++)
        for (int type = 0; type < 2 && dense_runs(i); type++) {
            pthread_t threads[3];
            work works[3];
            void *message = NULL;
            for (int t = 0; t < 3; t++) {
                works[t].rounds = rounds;
                works[t].shared.type = works[t].alone.type = type;
                works[t].shared.own = works[t].alone.own = &one->type[type];
                for (int a = 0; a < COUNT; a++) {
                    void *x = numbers(type, arrays[a].size, t == 2 ? 0.8 : 0);
                    for (int64_t j = 0; a == COUNT - 1 && j < arrays[a].size; j++)
                        set(type, x, j, fabs(get(type, x, j)));
                    *array(&works[t].shared, a) = x;
                    *array(&works[t].alone, a) = copy(type, x, arrays[a].size);
                }
            }
            for (int t = 0; t < 3; t++)
                pthread_create(&threads[t], NULL, caller, &works[t]);
            for (int t = 0; t < 3; t++) {
                pthread_join(threads[t], &message);
                CHECK(!message, "%s f%d: %s", one->name, 32 << type, (char *)message);
                for (int a = 0; a < COUNT; a++)
                    free(*array(&works[t].shared, a)), free(*array(&works[t].alone, a));
            }
        }
    return 0;
}

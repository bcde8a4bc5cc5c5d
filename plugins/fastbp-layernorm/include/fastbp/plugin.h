/* plugin.h: the C contract between fastbp and the layers and losses that plugins bring.
 *
 * Plain C99: no Python.h, no NumPy, nothing to link against. A plugin may carry a copy of this file.
 *
 * A part hands out a PyCapsule from a method, and the host calls the functions of its table:
 *
 *     method                       capsule's name            pointer
 *     __fastbp_layer__()           "fastbp.layer_v1"         const fastbp_layer *
 *     __fastbp_elementwise__()     "fastbp.elementwise_v1"   const fastbp_elementwise *
 *     __fastbp_loss__()            "fastbp.loss_v1"          const fastbp_loss *
 *
 * The capsule's pointer is a static table that outlives the process's use of it; the capsule's
 * context, which may be NULL, is state of the one part (say, a slope) and arrives in every call.
 * The host keeps the part and the capsule alive while it may call.
 *
 * Functions come in pairs, [FASTBP_F32] for float and [FASTBP_F64] for double; NULL says that the
 * part does not compute in that type. They run without Python's lock: they must not touch Python,
 * must not keep pointers, and return FASTBP_OK or an error code. All matrices are row-major and
 * C-contiguous unless a leading dimension says otherwise. Outputs are overwritten, never added to.
 * x, params and everything else that is const stay as they are. Outputs overlap no input.
 * Denormal numbers may count as zero, in operands and results, as they do in step and fit.
 *
 * How it grows: the capsule's name carries the major version. Within it, every struct begins with
 * its size and grows at its end alone, so a plugin may be older or newer than the host: the host
 * reads no field beyond a table's struct_size, and a plugin reads none beyond a call's, which
 * FASTBP_HAS tells. What a host does not know it refuses, since the part would mean another thing
 * there: a table whose least_minor is above the host's own minor version, and a flag that the host
 * does not know for that kind of table. What a host may well ignore, such as a function that only
 * saves time, leaves least_minor as it is.
 *
 * No struct has padding, whether pointers have 32 or 64 bits.
 */
#ifndef FASTBP_PLUGIN_H
#define FASTBP_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FASTBP_LAYER_V1 "fastbp.layer_v1"
#define FASTBP_ELEMENTWISE_V1 "fastbp.elementwise_v1"
#define FASTBP_LOSS_V1 "fastbp.loss_v1"

#define FASTBP_MINOR 0 /* minor version that this header describes */

/* Whether what `pointer` points to (a call, or its host) is large enough to have that member. */
#define FASTBP_HAS(pointer, member)                                                                \
    ((size_t)((const char *)(&(pointer)->member + 1) - (const char *)(pointer)) <=                 \
     (pointer)->struct_size)

enum { FASTBP_F32 = 0, FASTBP_F64 = 1 }; /* index into every pair of functions */

enum { /* what functions return */
    FASTBP_OK = 0,
    FASTBP_ERROR = 1,      /* failed; say why in call->message */
    FASTBP_NO_MEMORY = 2,  /* could not get memory; the host raises MemoryError */
    FASTBP_NON_FINITE = 3  /* met a NaN or infinity that makes no sense */
};

enum { /* flags of a table */
    FASTBP_ROWS_INDEPENDENT = 1, /* row n of every output depends on row n of the inputs alone;
                                  * without it, the functions are called with the whole batch */
    FASTBP_INFALLIBLE = 2,       /* the functions always return FASTBP_OK */
    FASTBP_NEEDS_X = 4, /* elementwise: df or backward reads x; without it, x may be anything there */
    FASTBP_ENTRIES_INDEPENDENT = 8, /* elementwise: an entry of y depends on that entry of x alone,
                                     * not on its place: f may get them in another order */
    FASTBP_WHOLE_BATCH = 16 /* loss: one number for all rows, weighted by the loss itself; never
                             * with ROWS_INDEPENDENT, and rows_independent = False in Python */
};

enum { /* kinds of targets, call->target_kind */
    FASTBP_CLASSES = 0, /* const int64_t [rows]: classes 0 .. n_in - 1, already checked */
    FASTBP_VALUES = 1   /* const float or double [rows][n_in]: values, labels or probabilities */
};

struct fastbp_call;

/* What the host offers to a function while it runs. */
typedef struct fastbp_host {
    uint32_t struct_size; /* bytes of this struct as the host knows it */
    uint32_t minor;       /* minor version of the host */
    int32_t threads;      /* threads that one function may use; 1 when others are at work */
    int32_t reserved;     /* 0 */

    /* C (m, n) = alpha op(A) (m, k) op(B) (k, n) + beta C, row-major; op transposes where
     * trans_a, trans_b are not 0; lda, ldb, ldc are elements from one stored row to the next.
     * With beta 0 nothing of C is read. [F32]: pointers to float; [F64]: to double. */
    void (*gemm[2])(int trans_a, int trans_b, int64_t m, int64_t n, int64_t k, double alpha,
                    const void *A, int64_t lda, const void *B, int64_t ldb, double beta, void *C,
                    int64_t ldc);

    /* Fills out, [count] doubles for each of call->rows rows, with uniform numbers in [0, 1). They
     * are a function of call->seed, ->step, ->layer and the row's number alone, so blocks and
     * threads do not change them, and a second call in the same pass returns the same. */
    void (*random)(const struct fastbp_call *call, int64_t count, double *out);
} fastbp_host;

/* The circumstances of one call. */
typedef struct fastbp_call {
    uint32_t struct_size; /* bytes of this struct as the host knows it */
    int32_t training;     /* 1 in step and fit, 0 in prediction */

    int64_t rows;      /* rows of this call: any block of the batch, 0 too */
    int64_t first_row; /* number of its first row in the batch */
    int64_t n_in;      /* width of x; for a loss, of a */
    int64_t n_out;     /* width of y; for a loss, of a */
    int64_t ld_x;      /* elements from one row to the next of x and dx (of a, targets and delta) */
    int64_t ld_y;      /* elements from one row to the next of y and dy (of y_hat) */

    uint64_t seed;       /* random numbers: see host->random */
    uint64_t step;       /* updates that the network has made */
    uint32_t layer;      /* position of the layer in the network; a loss comes after the last */
    int32_t target_kind; /* losses: FASTBP_CLASSES or FASTBP_VALUES */

    int64_t scratch_size; /* bytes of scratch: what the table's scratch asked for */
    void *scratch;        /* memory for this call alone, aligned to 64 bytes */

    const fastbp_host *host; /* never NULL */
    void *context;           /* the capsule's context */

    /* Arrays in the order of the part's LayerSpec, C-contiguous. */
    const void *const *params; /* parameters; read-only during a call */
    void *const *grads;        /* backward: their gradients, summed over the rows; all to be filled */
    void *const *buffers;      /* buffers; writable while training */
    void *const *saved;        /* what forward leaves for backward, `rows` rows each */

    /* Losses: [rows], each row's weight times the factor of the mean or sum. Where the host applies
     * it, it may be NULL; with FASTBP_WHOLE_BATCH the loss applies it, and it is not. */
    const double *row_scale;

    char *message;       /* an error's text may be written here, ending in '\0' */
    size_t message_size; /* bytes of it, the '\0' included */
} fastbp_call;

/* A layer: forward fills y (rows, n_out) and saved; backward fills dx (rows, n_in) unless it is
 * NULL, and all of grads, from the same x, y, params and saved and the gradient dy (rows, n_out). */
typedef int (*fastbp_forward)(const fastbp_call *call, const void *x, void *y);
typedef int (*fastbp_backward)(const fastbp_call *call, const void *x, const void *y,
                               const void *dy, void *dx);

typedef struct fastbp_layer {
    uint32_t struct_size; /* sizeof(fastbp_layer) */
    uint32_t minor;       /* FASTBP_MINOR */
    uint32_t flags;       /* FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE */
    uint32_t least_minor; /* of a host that gives all of this its meaning; 0 for what is here */
    fastbp_forward forward[2];
    fastbp_backward backward[2];
    /* Bytes of call->scratch wanted for calls of up to `rows` rows by the part with this context;
     * NULL: none. */
    size_t (*scratch)(void *context, int64_t rows, int64_t n_in, int64_t n_out, int type);
} fastbp_layer;

/* An elementwise layer on n numbers: y = f(x), and df is f'(x). */
typedef struct fastbp_elementwise {
    uint32_t struct_size; /* sizeof(fastbp_elementwise) */
    uint32_t minor;       /* FASTBP_MINOR */
    uint32_t flags;       /* those of a layer | FASTBP_NEEDS_X | FASTBP_ENTRIES_INDEPENDENT */
    uint32_t least_minor; /* of a host that gives all of this its meaning; 0 for what is here */
    int (*f[2])(const fastbp_call *call, int64_t n, const void *x, void *y);
    /* out = f'(x), from x (only with FASTBP_NEEDS_X) and y. */
    int (*df[2])(const fastbp_call *call, int64_t n, const void *x, const void *y, void *out);
    /* dx = dy * f'(x) in one pass; NULL: the host multiplies what df gives. */
    int (*backward[2])(const fastbp_call *call, int64_t n, const void *x, const void *y,
                       const void *dy, void *dx);
} fastbp_elementwise;

/* A loss: fills loss[rows], unweighted, and delta (rows, n_in), unscaled, unless it is NULL; the
 * host applies row_scale. Without FASTBP_ROWS_INDEPENDENT it gets all rows of the batch at once,
 * and still fills a loss for each.
 *
 * With FASTBP_WHOLE_BATCH it gets all rows at once, one at least and none of weight 0. It fills
 * loss[0] alone, with the weighted and reduced loss, and delta with the gradient of that: it
 * applies row_scale itself, and the host applies nothing. y_hat still goes row by row. */
typedef struct fastbp_loss {
    uint32_t struct_size; /* sizeof(fastbp_loss) */
    uint32_t minor;       /* FASTBP_MINOR */
    uint32_t flags;       /* FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE | FASTBP_WHOLE_BATCH */
    uint32_t least_minor; /* of a host that gives all of this its meaning; 0 for what is here */
    int (*loss_and_delta[2])(const fastbp_call *call, const void *a, const void *targets,
                             double *loss, void *delta);
    /* y_hat (rows, n_in) from a; NULL: the part's Python y_hat is called. */
    int (*y_hat[2])(const fastbp_call *call, const void *a, void *y_hat);
    /* Bytes of call->scratch wanted, as for a layer. */
    size_t (*scratch)(void *context, int64_t rows, int64_t n_in, int type);
} fastbp_loss;

#ifdef __cplusplus
}
#endif

#endif

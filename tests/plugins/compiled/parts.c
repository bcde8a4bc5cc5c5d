/* A plugin's C part of each form, which fails where and when its context orders it to. */
#include <fastbp/plugin.h>
#include <math.h>
#include <string.h>

enum { FORWARD = 1, LOSS = 2, BACKWARD = 3, NAN_CODE = 1000 };

typedef struct {
    int32_t stage;     /* where to fail; 0: nowhere */
    int32_t code;      /* what to return there; NAN_CODE: FASTBP_OK, and NaN for numbers */
    int32_t countdown; /* calls of that function that go well before */
    char message[600]; /* what to say */
} orders;

static int due(const fastbp_call *call, int stage) {
    const orders *o = call->context;
    return o != NULL && o->stage == stage && o->countdown == 0;
}

static int ordered_nan(const fastbp_call *call, int stage) {
    return due(call, stage) && ((const orders *)call->context)->code == NAN_CODE;
}

/* The last thing a function does: what it returns. */
static int obey(const fastbp_call *call, int stage) {
    orders *o = call->context;
    if (o == NULL || o->stage != stage)
        return FASTBP_OK;
    if (o->countdown-- != 0 || o->code == NAN_CODE)
        return FASTBP_OK;
    if (o->message[0]) {
        size_t size = strlen(o->message) + 1;
        memcpy(call->message, o->message, size < call->message_size ? size : call->message_size);
    }
    return o->code;
}

#define real float
#define TYPED(name) name##_f32
#include "parts.h"
#undef real
#undef TYPED
#define real double
#define TYPED(name) name##_f64
#include "parts.h"

const fastbp_elementwise half = {
    .struct_size = sizeof(fastbp_elementwise),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT,
    .f = {half_f32, half_f64},
    .df = {half_slope_f32, half_slope_f64},
};

const fastbp_layer scale = {
    .struct_size = sizeof(fastbp_layer),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT,
    .forward = {scale_f32, scale_f64},
    .backward = {scale_backward_f32, scale_backward_f64},
};

const fastbp_loss squares = {
    .struct_size = sizeof(fastbp_loss),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT,
    .loss_and_delta = {squares_f32, squares_f64},
};

/* parts.c, and an elementwise layer that puts out how large the host says its structs are. */
#include "parts.c"

static int sizes_f32(const fastbp_call *call, int64_t n, const void *x, void *y_) {
    float *y = y_;
    (void)x;
    for (int64_t i = 0; i < n; i++)
        y[i] = 0;
    y[0] = (float)call->struct_size;
    y[1] = (float)call->host->struct_size;
    y[2] = (float)call->host->minor;
#ifdef LATER /* built against the grown header: read a new field where the host has it, only there */
    y[3] = FASTBP_HAS(call, later) ? 1 + (float)call->later : -1;
    if (FASTBP_HAS(call->host, later))
        y[3] += call->host->later == NULL ? 0 : 1;
#else
    y[3] = FASTBP_HAS(call, message_size) && FASTBP_HAS(call->host, random) ? -1 : 0;
#endif
    return FASTBP_OK;
}

const fastbp_elementwise sizes = {
    .struct_size = sizeof(fastbp_elementwise),
    .minor = FASTBP_MINOR,
    .f = {sizes_f32, NULL},
    .df = {half_slope_f32, NULL},
#ifdef LATER
    .later = {half_slope_f32, half_slope_f64},
#endif
};

/* For each struct its size, and where its last member ends. */
#define END(type, last) sizeof(type), offsetof(type, last) + sizeof(((type *)0)->last)
const uint64_t ends[] = {
    END(fastbp_layer, scratch),
    END(fastbp_elementwise, backward),
    END(fastbp_loss, scratch),
    END(fastbp_call, message_size),
    END(fastbp_host, random),
};

/* Where each member of plugin.h's structs stands, to be compiled for 64 and for 32 bits: nowhere is
 * padding, so a member that a later version appends changes the size, and the same plugin source
 * means the same whether a compiler aligns 64 bits to 4 or to 8 bytes. */
#include <fastbp/plugin.h>

#define P sizeof(void *) /* bytes of a pointer */
#define ASSERT(name, what) typedef char name[(what) ? 1 : -1]
#define AT(type, member, offset) ASSERT(type##_##member, offsetof(type, member) == (offset))
#define ENDS(type, size) ASSERT(type##_ends, sizeof(type) == (size))

AT(fastbp_host, struct_size, 0);
AT(fastbp_host, minor, 4);
AT(fastbp_host, threads, 8);
AT(fastbp_host, reserved, 12);
AT(fastbp_host, gemm, 16);
AT(fastbp_host, random, 16 + 2 * P);
ENDS(fastbp_host, 16 + 3 * P);

AT(fastbp_call, struct_size, 0);
AT(fastbp_call, training, 4);
AT(fastbp_call, rows, 8);
AT(fastbp_call, first_row, 16);
AT(fastbp_call, n_in, 24);
AT(fastbp_call, n_out, 32);
AT(fastbp_call, ld_x, 40);
AT(fastbp_call, ld_y, 48);
AT(fastbp_call, seed, 56);
AT(fastbp_call, step, 64);
AT(fastbp_call, layer, 72);
AT(fastbp_call, target_kind, 76);
AT(fastbp_call, scratch_size, 80);
AT(fastbp_call, scratch, 88);
AT(fastbp_call, host, 88 + P);
AT(fastbp_call, context, 88 + 2 * P);
AT(fastbp_call, params, 88 + 3 * P);
AT(fastbp_call, grads, 88 + 4 * P);
AT(fastbp_call, buffers, 88 + 5 * P);
AT(fastbp_call, saved, 88 + 6 * P);
AT(fastbp_call, row_scale, 88 + 7 * P);
AT(fastbp_call, message, 88 + 8 * P);
AT(fastbp_call, message_size, 88 + 9 * P);
ENDS(fastbp_call, 88 + 10 * P);

#define HEAD(type)                                                                                 \
    AT(type, struct_size, 0);                                                                      \
    AT(type, minor, 4);                                                                            \
    AT(type, flags, 8);                                                                            \
    AT(type, least_minor, 12)

HEAD(fastbp_layer);
AT(fastbp_layer, forward, 16);
AT(fastbp_layer, backward, 16 + 2 * P);
AT(fastbp_layer, scratch, 16 + 4 * P);
ENDS(fastbp_layer, 16 + 5 * P);

HEAD(fastbp_elementwise);
AT(fastbp_elementwise, f, 16);
AT(fastbp_elementwise, df, 16 + 2 * P);
AT(fastbp_elementwise, backward, 16 + 4 * P);
ENDS(fastbp_elementwise, 16 + 6 * P);

HEAD(fastbp_loss);
AT(fastbp_loss, loss_and_delta, 16);
AT(fastbp_loss, y_hat, 16 + 2 * P);
AT(fastbp_loss, scratch, 16 + 4 * P);
ENDS(fastbp_loss, 16 + 5 * P);

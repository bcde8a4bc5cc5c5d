/* The tables of the built-in parts that are written in C, one file each. */
#include <fastbp/plugin.h>

extern const fastbp_elementwise fastbp_relu, fastbp_tanh, fastbp_sigmoid;
extern const fastbp_loss fastbp_softmax_cross_entropy, fastbp_sigmoid_cross_entropy,
    fastbp_squared_error;

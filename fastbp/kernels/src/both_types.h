/* Includes the file BODY twice: with `real` as float and names ending in _f32, then as double. */
#define real float
#define TYPE FASTBP_F32
#define TYPED(name) name##_f32
#include BODY
#undef real
#undef TYPE
#undef TYPED
#define real double
#define TYPE FASTBP_F64
#define TYPED(name) name##_f64
#include BODY
#undef real
#undef TYPE
#undef TYPED
#undef BODY

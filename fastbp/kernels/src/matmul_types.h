/* matmul_body.h for float and double, with the registers (BYTES) of one instruction set. */
#define real float
#define LANES (BYTES / (int)sizeof(real))
#define IN(name) IN_(name##_f32)
#define IN_(name) ISA(name)
#include "matmul_body.h"
#undef real
#undef IN
#define real double
#define IN(name) IN_(name##_f64)
#include "matmul_body.h"
#undef real
#undef IN
#undef IN_
#undef LANES
#undef BYTES
#undef ROWS
#undef EDGES
#undef ISA

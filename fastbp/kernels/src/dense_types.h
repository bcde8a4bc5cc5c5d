/* The bodies for float and double, with the registers (BYTES) of one instruction set. */
enum { ISA(sum_rows) = 16 % ROWS == 0 ? ROWS : 1 };

#define FIRST_2(F, s) F(0, s), F(1, s)
#define FIRST_4(F, s) FIRST_2(F, s), F(2, s), F(3, s)
#define FIRST_8(F, s) FIRST_4(F, s), F(4, s), F(5, s), F(6, s), F(7, s)
#define FIRST_16(F, s)                                                                             \
    FIRST_8(F, s), F(8, s), F(9, s), F(10, s), F(11, s), F(12, s), F(13, s), F(14, s), F(15, s)

#define real float
#define whole int32_t
#define natural uint32_t
#define WITHOUT_SIGN INT32_MAX
#define ROOT sqrtf
#define LANES (BYTES / 4)
#if LANES == 16
#define EACH_LANE FIRST_16
#elif LANES == 8
#define EACH_LANE FIRST_8
#else
#define EACH_LANE FIRST_4
#endif
#define IN(name) IN_(name##_f32)
#define IN_(name) ISA(name)
#include "vector_body.h"
#include "update_body.h"
#include "sums_body.h"
#include "one_example_body.h"
#include "pack_body.h"
#include "tile_body.h"
#include "block_body.h"
#include "zeros_body.h"
#include "matmul_body.h"
#undef LOAD
#undef STORE
#undef LOW
#undef HIGH
#undef FIRST_HALF
#undef LAST_HALF
#undef MIXED
#undef real
#undef whole
#undef natural
#undef WITHOUT_SIGN
#undef ROOT
#undef LANES
#undef EACH_LANE
#undef IN

#define real double
#define whole int64_t
#define natural uint64_t
#define WITHOUT_SIGN INT64_MAX
#define ROOT sqrt
#define LANES (BYTES / 8)
#if LANES == 8
#define EACH_LANE FIRST_8
#elif LANES == 4
#define EACH_LANE FIRST_4
#else
#define EACH_LANE FIRST_2
#endif
#define IN(name) IN_(name##_f64)
#include "vector_body.h"
#include "update_body.h"
#include "sums_body.h"
#include "one_example_body.h"
#include "pack_body.h"
#include "tile_body.h"
#include "block_body.h"
#include "zeros_body.h"
#include "matmul_body.h"
#undef LOAD
#undef STORE
#undef LOW
#undef HIGH
#undef FIRST_HALF
#undef LAST_HALF
#undef MIXED
#undef real
#undef whole
#undef natural
#undef WITHOUT_SIGN
#undef ROOT
#undef LANES
#undef EACH_LANE
#undef IN
#undef IN_
#undef BYTES
#undef ROWS
#undef WIDEST
#undef WIDEST_ROWS
#undef WIDEST_EDGES
#undef SKIP_UNIT
#undef SKIP_UNITS
#undef EDGES
#undef ISA
#undef FIRST_2
#undef FIRST_4
#undef FIRST_8
#undef FIRST_16

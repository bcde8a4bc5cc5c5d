/* The level in use, written before any thread reads it. */
#include "isa.h"

int isa_level;

void isa_use(int level) {
    isa_level = level;
}

"""The flags of a C table, with the numbers that plugin.h gives them."""

ROWS_INDEPENDENT = 1
INFALLIBLE = 2
NEEDS_X = 4
ENTRIES_INDEPENDENT = 8
WHOLE_BATCH = 16

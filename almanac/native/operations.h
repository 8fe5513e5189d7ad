/* The operations of a program: IEEE arithmetic in the order and with the rounding of the NumPy functions of
 * operations.py, so with their result in every bit. Sums are never contracted to fused multiply-adds, nor reordered.
 */
#ifndef ALMANAC_OPERATIONS_H
#define ALMANAC_OPERATIONS_H

#include <math.h>
#include <stdint.h>

#include "dispatch.h"

/* What each makes of x and y, in the order of operations.py. */
#define ARITHMETIC(DO)                                  \
    DO(ADD, x + y)                                      \
    DO(SUBTRACT, x - y)                                 \
    DO(MULTIPLY, x * y)                                 \
    DO(DIVIDE, x / y)                                   \
    DO(FMAX, (x >= y) | (y != y) ? x : y)               \
    DO(FMIN, (x <= y) | (y != y) ? x : y)               \
    DO(FLOORED, x <= y ? 0.0 : x)                       \
    DO(ENOUGH, x < y ? (double)NAN : x)                 \
    DO(POSITIVE, x)                                     \
    DO(SQRT, sqrt(x))                                   \
    DO(SQUARE, x * x)                                   \
    DO(ABSOLUTE, fabs(x))                               \
    DO(PRESENT, x == x ? 1.0 : 0.0)                     \
    DO(FILLED, x == x ? x : 0.0)

/* SINCE and LOOKED_UP take more than two numbers. */
#define NUMBERED(name, expression) name,
enum { ARITHMETIC(NUMBERED) SINCE, LOOKED_UP };

/* The names in the order of their numbers, which operations.py is checked against. */
#define NAMED(name, expression) #name " "
#define OPERATIONS ARITHMETIC(NAMED) "SINCE LOOKED_UP"

/* The entry of a table for a code; the first one is that of a missing code. */
static inline double entry(const double *table, double code) {
    return table[code == code ? (int64_t)code + 1 : 0];
}

#endif

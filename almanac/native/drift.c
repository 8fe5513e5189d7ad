/* Counts rows for drift. almanac/drift/counting/row_counters.py does the same with NumPy, and says what each table is;
   a test holds the two to the same counts. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "dispatch.h"

#ifndef SOURCE_DIGEST
#define SOURCE_DIGEST "unknown"
#endif

typedef struct {
    int64_t columns, width; /* watched columns, and all columns of a row */
    const int64_t *position, *by_bits, *bucket_offset, *cell_offset, *missing_cell;
    const double *origin, *scale, *top, *low, *high, *unit;
    const uint16_t *table;
    int64_t *counts, *below, *above, *off, *longest, *run;
    double *last;
} counters;

const char *almanac_source_digest(void) { return SOURCE_DIGEST; }

/* Adding 2**52 rounds to an integer, which the low bits then hold. */
static inline int64_t even_bucket(double work, double top) {
    int64_t bits, magic = 0x4330000000000000;
    work = work >= -1.0 ? work : -1.0; /* and so is what is no number, such as infinity times 0 */
    work = (work > top ? top : work) + (0x1p52 + 2.0);
    memcpy(&bits, &work, sizeof bits);
    return bits - magic;
}

/* Sign, exponent and seven bits of the mantissa, which order like the numbers themselves. */
static inline int64_t bits_bucket(double work) {
    float single = (float)work + 0.0f; /* minus zero equals zero, but has other bits */
    int32_t bits;
    memcpy(&bits, &single, sizeof bits);
    bits ^= (bits >> 31) & 0x7FFFFFFF;
    return (bits >> 16) + (1 << 15);
}

DISPATCH void almanac_count_rows(const counters *given, const double *rows, int64_t count) {
    const counters local = *given, *c = &local; /* a count could alias the caller's addresses, and not a copy of them */
    for (int64_t r = 0; r < count; r++, rows += c->width) {
        for (int64_t j = 0; j < c->columns; j++) {
            const double x = rows[c->position[j]];
            if (x != x) {
                c->counts[c->missing_cell[j]]++;
                c->run[j] = 0;
            } else {
                const double from = x - c->origin[j], scaled = x * c->unit[j];
                const int64_t bucket = c->by_bits[j] ? bits_bucket(from) : even_bucket(from * c->scale[j], c->top[j]);
                c->counts[c->table[bucket + c->bucket_offset[j]] + c->cell_offset[j]]++;
                c->below[j] += x < c->low[j];
                c->above[j] += x > c->high[j];
                c->off[j] += fabs(scaled - rint(scaled)) > 1e-3;
                c->run[j] = x == c->last[j] ? c->run[j] + 1 : 1;
            }
            c->last[j] = x;
            if (c->run[j] > c->longest[j]) c->longest[j] = c->run[j];
        }
    }
}

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

/* Column by column: the tables and counters of one stay in the cache, and its run in registers. */
DISPATCH void almanac_count_rows(const counters *c, const double *rows, int64_t count) {
    for (int64_t j = 0; j < c->columns; j++) {
        const double *value = rows + c->position[j];
        const double origin = c->origin[j], scale = c->scale[j], top = c->top[j], unit = c->unit[j];
        const double low = c->low[j], high = c->high[j];
        const uint16_t *table = c->table + c->bucket_offset[j];
        const int64_t by_bits = c->by_bits[j], width = c->width;
        int64_t *counts = c->counts + c->cell_offset[j], *missing = c->counts + c->missing_cell[j];
        int64_t below = 0, above = 0, off = 0, run = c->run[j], longest = c->longest[j];
        double last = c->last[j];
        for (int64_t r = 0; r < count; r++, value += width) {
            const double x = *value, scaled = x * unit;
            if (x != x) {
                ++*missing;
                run = 0;
            } else {
                counts[table[by_bits ? bits_bucket(x - origin) : even_bucket((x - origin) * scale, top)]]++;
                below += x < low;
                above += x > high;
                off += fabs(scaled - rint(scaled)) > 1e-3;
                run = x == last ? run + 1 : 1;
                longest = run > longest ? run : longest;
            }
            last = x;
        }
        c->below[j] += below, c->above[j] += above, c->off[j] += off;
        c->run[j] = run, c->longest[j] = longest, c->last[j] = last;
    }
}

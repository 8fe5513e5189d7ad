/* Computes the features of one prediction time: numbers that lie in one array, in groups of the same operation whose
 * operands were all made by groups before.
 */
#include "operations.h"

/* `operands` is where the places of the left operands begin, followed by those of the right ones. */
typedef struct {
    int64_t operation, count, out, operands, history;
} group;

/* Steps back from `newest` to the last value above, at most history + 1. */
static double steps_since(const double *newest, double above, int64_t history) {
    for (int64_t age = 0; age <= history; age++)
        if (newest[-age] > above) return (double)age;
    return (double)(history + 1);
}

#define ONE_BY_ONE(name, expression)                        \
    case name:                                              \
        for (int64_t i = 0; i < n; i++) {                   \
            const double x = numbers[left[i]];              \
            const double y = numbers[right[i]];             \
            (void)y;                                        \
            out[i] = (expression);                          \
        }                                                   \
        break;

void almanac_point(const group *groups, int64_t count, const int32_t *places, double *numbers) {
    for (const group *one = groups; one < groups + count; one++) {
        const int64_t n = one->count;
        const int32_t *restrict left = places + one->operands, *restrict right = left + n;
        double *restrict out = numbers + one->out;
        switch (one->operation) {
        ARITHMETIC(ONE_BY_ONE)
        case SINCE:
            for (int64_t i = 0; i < n; i++) out[i] = steps_since(numbers + left[i], numbers[right[i]], one->history);
            break;
        case LOOKED_UP:
            for (int64_t i = 0; i < n; i++) out[i] = entry(numbers + right[i], numbers[left[i]]);
            break;
        }
    }
}

/* Writes the newest `reach` values of each column, the first `limit` missing ones of a gap filled where wanted, and
 * returns whether none of them is missing. A column is read from its row of the block, which has `stride` values, the
 * oldest one first; -0 becomes 0, and infinity missing.
 */
int64_t almanac_newest(const double *block, int64_t stride, int64_t columns, int64_t reach, int64_t limit,
                       const int64_t *rows, const uint8_t *imputed, double *numbers) {
    int64_t missing = 0;
    for (int64_t column = 0; column < columns; column++) {
        const double *values = block + rows[column] * stride;
        double *out = numbers + column * reach - limit;
        const int64_t fill = imputed[column] ? limit : 0;
        double last = (double)NAN;
        int64_t gap = 0;
        for (int64_t i = 0; i < reach + limit; i++) {
            double value = values[i] + (values[i] - values[i]);
            if (value == value) {
                last = value;
                gap = 0;
            } else {
                value = gap < fill ? last : value;
                gap++;
            }
            if (i < limit) continue;
            out[i] = value;
            missing += value != value;
        }
    }
    return missing == 0;
}

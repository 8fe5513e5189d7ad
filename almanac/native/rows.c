/* Executes a program over a block of rows: each operation over all rows of a block before the next. */
#include "operations.h"

#ifndef SOURCE_DIGEST
#define SOURCE_DIGEST "unknown"
#endif

/* Slots are numbers, or -1 for the constant; lags count rows back. */
typedef struct {
    int64_t operation, out, left, left_lag, right, right_lag, before, history;
    double constant;
} instruction;

const char *almanac_source_digest(void) { return SOURCE_DIGEST; }

const char *almanac_operations(void) { return OPERATIONS; }

/* out[i] = expression of x and y, each of which is a row or the constant. */
#define ROWS(X, Y, expression)                          \
    for (int64_t i = 0; i < n; i++) {                   \
        const double x = (X), y = (Y);                  \
        (void)y;                                        \
        out[i] = (expression);                          \
    }
#define EACH(name, expression)                          \
    case name:                                          \
        if (left && right) {                            \
            ROWS(left[i], right[i], expression)         \
        } else if (left) {                              \
            ROWS(left[i], constant, expression)         \
        } else if (right) {                             \
            ROWS(constant, right[i], expression)        \
        } else {                                        \
            ROWS(constant, constant, expression)        \
        }                                               \
        break;

/* The age of the last value above the constant; rows before the first one decide where it starts. */
static void since(const double *values, double above, int64_t history, double *out, int64_t n) {
    const int64_t limit = history + 1;
    int64_t age = limit;
    for (int64_t i = -history; i < n; i++) {
        age = values[i] > above ? 0 : age < limit ? age + 1 : limit;
        if (i >= 0) out[i] = (double)age;
    }
}

static void looked_up(const double *codes, const double *table, double *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = entry(table, codes[i]);
}

/* Slots point at their row for the block's first row. */
DISPATCH void almanac_execute(const instruction *program, int64_t length, double *const *slots, int64_t rows) {
    for (const instruction *step = program; step < program + length; step++) {
        const int64_t n = rows + step->before;
        const double constant = step->constant;
        const double *restrict left = step->left < 0 ? 0 : slots[step->left] - step->left_lag - step->before;
        const double *restrict right = step->right < 0 ? 0 : slots[step->right] - step->right_lag - step->before;
        double *restrict out = slots[step->out] - step->before;
        switch (step->operation) {
        ARITHMETIC(EACH)
        case SINCE: since(left, constant, step->history, out, n); break;
        case LOOKED_UP: looked_up(left, slots[step->right], out, n); break;
        }
    }
}

/* Executes a program over a block of rows: operations of IEEE arithmetic, each over all rows of a block before the
 * next, in the order and with the rounding of the NumPy functions of operations.py, so with their result in every bit.
 * Sums are never contracted to fused multiply-adds, nor reordered.
 */
#include <math.h>
#include <stdint.h>

#ifndef SOURCE_DIGEST
#define SOURCE_DIGEST "unknown"
#endif

/* One source, the best instructions of the machine that runs it: the loader picks the clone. */
#ifndef DISPATCH
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define DISPATCH __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define DISPATCH
#endif
#endif

/* In the order of KERNEL in operations.py. */
enum {
    ADD, SUBTRACT, MULTIPLY, DIVIDE, FMAX, FMIN, FLOORED, ENOUGH, POSITIVE, SQRT, SQUARE, ABSOLUTE, PRESENT, FILLED,
    SINCE, LOOKED_UP
};

/* Slots are numbers, or -1 for the constant; lags count rows back. */
typedef struct {
    int64_t operation, out, left, left_lag, right, right_lag, before, history;
    double constant;
} instruction;

const char *almanac_source_digest(void) { return SOURCE_DIGEST; }

/* out[i] = expression of x and y, each of which is a row or the constant. */
#define ROWS(X, Y, expression)                          \
    for (int64_t i = 0; i < n; i++) {                   \
        const double x = (X), y = (Y);                  \
        (void)y;                                        \
        out[i] = (expression);                          \
    }
#define EACH(expression)                                \
    do {                                                \
        if (left && right) {                            \
            ROWS(left[i], right[i], expression)         \
        } else if (left) {                              \
            ROWS(left[i], constant, expression)         \
        } else if (right) {                             \
            ROWS(constant, right[i], expression)        \
        } else {                                        \
            ROWS(constant, constant, expression)        \
        }                                               \
    } while (0)

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
    for (int64_t i = 0; i < n; i++) out[i] = table[codes[i] == codes[i] ? (int64_t)codes[i] + 1 : 0];
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
        case ADD: EACH(x + y); break;
        case SUBTRACT: EACH(x - y); break;
        case MULTIPLY: EACH(x * y); break;
        case DIVIDE: EACH(x / y); break;
        case FMAX: EACH((x >= y) | (y != y) ? x : y); break;
        case FMIN: EACH((x <= y) | (y != y) ? x : y); break;
        case FLOORED: EACH(x <= y ? 0.0 : x); break;
        case ENOUGH: EACH(x < y ? (double)NAN : x); break;
        case POSITIVE: EACH(x); break;
        case SQRT: EACH(sqrt(x)); break;
        case SQUARE: EACH(x * x); break;
        case ABSOLUTE: EACH(fabs(x)); break;
        case PRESENT: EACH(x == x ? 1.0 : 0.0); break;
        case FILLED: EACH(x == x ? x : 0.0); break;
        case SINCE: since(left, constant, step->history, out, n); break;
        case LOOKED_UP: looked_up(left, slots[step->right], out, n); break;
        }
    }
}

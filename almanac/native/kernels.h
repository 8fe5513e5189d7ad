/* Tables that the kernels read, laid out by trees.py; every pointer but the last block is owned by Python. */
#ifndef ALMANAC_KERNELS_H
#define ALMANAC_KERNELS_H

#include <stdint.h>

#include "dispatch.h"

#define INLINE static inline __attribute__((always_inline))

/* LightGBM's kZeroThreshold is the float literal 1e-35f. */
#define ZERO_THRESHOLD ((double)1e-35f)

enum { MISSING_NONE = 0, MISSING_ZERO = 1, MISSING_NAN = 2 };
enum { LINK_IDENTITY = 0, LINK_LOGIT = 1, LINK_LOG = 2 };

typedef struct step step; /* one split of the batch kernel */
typedef struct walk walk; /* one node of the row kernel */
typedef struct jump jump; /* one tree of the row kernel that does not walk */
typedef struct paths paths; /* the leaves' paths of the explanation kernel */

typedef struct {
    int32_t features, slots, indicators, columns, trees, link, offset, terms;
    /* What follows the sum of trees: sum + intercept + coefficient · (value, or fill where it is not finite), where
       there is an offset; then the link; then the bounds. */
    double sigmoid, intercept, low, high;
    const int32_t *term_column;
    const double *term_coefficient, *term_fill;
    /* A slot is a feature under one missing-value rule, with the sorted thresholds that occur in the model. */
    const int32_t *slot_feature, *slot_missing, *cut_start;
    const double *cuts;
    /* A column is one byte a row: the rank of the value among at most 255 cuts of a slot. Missing values become rank 0
       or 255, after the default direction, so that every numerical split is the one comparison byte <= cut. */
    const int32_t *column_start, *column_first, *column_left;
    /* An indicator is a categorical split: the columns after the slots' hold 0 where the category is in its set.
       Indicators are sorted by feature. */
    const int32_t *indicator_feature, *indicator_start;
    const uint32_t *indicator_words;
    /* Splits and leaves of all trees, one after the other; a child >= 0 is a split, ~child is a leaf of its tree. */
    const int32_t *node_start, *leaf_start, *node_column, *node_cut, *node_left, *node_right;
    const double *leaf_value;
    /* What explanations need besides: slot or ~indicator of a split, rank of its threshold, and training counts. */
    const int32_t *node_slot, *node_rank, *node_default_left;
    const double *node_count, *leaf_count;
    /* Made and freed here. */
    step *steps;
    walk *walks;
    double *outputs; /* of the leaves, at their nodes among `walks` */
    jump *jumps; /* null where the row kernel walks */
    paths *paths;
    int32_t doublings; /* of the steps between a node and what its jump leads to, until all are leaves */
} model;

int almanac_prepare(model *m);
void almanac_release(model *m);
double almanac_predict_row(const model *m, const double *x, uint8_t *bytes);
double almanac_row(const model *m, const double *x, uint8_t *bytes, const double *low, const double *high,
                   int32_t *outside);
int almanac_predict(const model *m, const double *X, int64_t rows, double *out);
int almanac_prepare_jumps(model *m);
void almanac_release_jumps(model *m);
double almanac_sum_by_jumps(const model *m, const uint8_t *bytes);
int almanac_prepare_paths(model *m);
void almanac_release_paths(model *m);
int almanac_explain(const model *m, const double *X, int64_t rows, double *out);
const char *almanac_source_digest(void);

/* Shared by both kernels. */

static inline double clean(double v) {
    /* LightGBM drops values this small from a row before it predicts, and reads them as 0. */
    return (v >= -ZERO_THRESHOLD && v <= ZERO_THRESHOLD) ? 0.0 : v;
}

static inline int is_missing(double cleaned, int32_t rule) {
    if (rule == MISSING_NAN) return cleaned != cleaned;
    if (rule == MISSING_ZERO) return cleaned != cleaned || cleaned == 0.0;
    return 0;
}

/* Number of cuts below v: v <= cuts[k] exactly where this is <= k. */
static inline int32_t rank_of(const double *cuts, int32_t count, double v) {
    const double *base = cuts;
    if (count == 0) return 0;
    while (count > 1) {
        int32_t half = count / 2;
        base += (int64_t)half * (base[half - 1] < v);
        count -= half;
    }
    return (int32_t)(base - cuts) + (*base < v);
}

/* The sets of a feature have equally many words, the last one for the values that are in no set of LightGBM's: missing,
   negative, or above all categories. Their code is that word's first bit. */
static inline int32_t others_of(int32_t words) { return 32 * (words - 1); }

/* Category of a value as LightGBM truncates it, `others` for the values that go right whatever the set. */
static inline int32_t category_of(double v, int32_t others) { return v > -1.0 && v < others ? (int32_t)v : others; }

static inline int in_set(const uint32_t *words, int32_t category) {
    return (words[category >> 5] >> (category & 31)) & 1;
}

#endif

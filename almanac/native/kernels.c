/* Predictions equal to LightGBM's in every bit: the same comparisons, and leaf values added in the order of trees.
 *
 * Values are first replaced by their ranks among the model's thresholds, one byte each, so that a split compares bytes:
 * up to 128 rows at a time in the batch kernel, which evaluates every split of a tree from the leaves upwards without
 * a branch (QuickScorer's idea of testing all splits, Lucchese et al. 2015, with blends in the place of bit vectors).
 * The row kernel walks eight trees abreast instead, where jumps.c does not serve.
 */
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 128     /* most rows of a block */
#define ABREAST 8    /* trees that the row kernel walks at once */
#define TOGETHER 4   /* trees whose outputs are added at once */
#define FEW_ROWS 8   /* up to here the row kernel is faster than a block */
#define MAX_LEAVES 256 /* leaf numbers of the batch kernel are bytes */

#ifndef SOURCE_DIGEST
#define SOURCE_DIGEST "unknown"
#endif

/* byte of column <= cut ? left : right, as places in the block's scratch: leaf numbers 0 … 255, then splits' results. */
struct step {
    uint16_t column, left, right;
    uint8_t cut;
};

/* A leaf leads to itself. The children of a split lie side by side, the left one first. */
struct walk {
    uint32_t left; /* among the nodes of all trees */
    uint16_t column;
    uint8_t cut;
};

const char *almanac_source_digest(void) { return SOURCE_DIGEST; }

static int32_t splits_of(const model *m, int32_t t) { return m->node_start[t + 1] - m->node_start[t]; }

static int32_t leaves_of(const model *m, int32_t t) { return m->leaf_start[t + 1] - m->leaf_start[t]; }

/* ---- preparation ---- */

/* The last split comes first: children come after parents in a tree, so their results are there when asked for. */
static void make_steps(model *m, int32_t t) {
    step *next = m->steps + m->node_start[t];
    for (int32_t i = m->node_start[t + 1] - 1; i >= m->node_start[t]; i--, next++) {
        int32_t l = m->node_left[i], r = m->node_right[i];
        next->column = (uint16_t)m->node_column[i];
        next->left = (uint16_t)(l >= 0 ? MAX_LEAVES + l : ~l);
        next->right = (uint16_t)(r >= 0 ? MAX_LEAVES + r : ~r);
        next->cut = (uint8_t)m->node_cut[i];
    }
}

static double weight_of(const model *m, int32_t t, int32_t child) {
    return child >= 0 ? m->node_count[m->node_start[t] + child] : m->leaf_count[m->leaf_start[t] + ~child];
}

/* The way that more training rows took lies in consecutive memory. `stack` has room for each split and its node. */
static void make_walks(model *m, int32_t t, int32_t *stack) {
    int32_t first = m->node_start[t], node = first + m->leaf_start[t], next = node + 1, depth = 0;
    int32_t split = splits_of(m, t) ? 0 : ~0;
    for (;;) {
        walk *w = m->walks + node;
        if (split < 0) {
            *w = (walk){(uint32_t)node, 0, 255};
            m->outputs[node] = m->leaf_value[m->leaf_start[t] + ~split];
            if (!depth) return;
            node = stack[--depth], split = stack[--depth];
            continue;
        }
        int32_t l = m->node_left[first + split], r = m->node_right[first + split];
        int32_t left_first = weight_of(m, t, l) >= weight_of(m, t, r);
        *w = (walk){(uint32_t)next, (uint16_t)m->node_column[first + split], (uint8_t)m->node_cut[first + split]};
        stack[depth++] = left_first ? r : l;
        stack[depth++] = left_first ? next + 1 : next;
        split = left_first ? l : r;
        node = left_first ? next : next + 1;
        next += 2;
    }
}

/* Returns 0, or -1 where memory is short. */
int almanac_prepare(model *m) {
    int32_t splits = m->node_start[m->trees], leaves = m->leaf_start[m->trees], small = 1;
    for (int32_t t = 0; t < m->trees; t++) small &= leaves_of(m, t) <= MAX_LEAVES;
    m->walks = malloc(((size_t)splits + leaves + 1) * sizeof(walk));
    m->outputs = malloc(((size_t)splits + leaves + 1) * sizeof(double));
    m->steps = small ? malloc(((size_t)splits + 1) * sizeof(step)) : NULL;
    int32_t *stack = malloc(((size_t)splits + 1) * 2 * sizeof(int32_t));
    int failed = !m->walks || !m->outputs || (small && !m->steps) || !stack;
#ifdef BYTE_TABLES
    failed |= almanac_prepare_jumps(m);
#endif
    if (failed) {
        free(stack);
        almanac_release(m);
        return -1;
    }
    for (int32_t t = 0; t < m->trees; t++) {
        if (small) make_steps(m, t);
        if (!m->jumps) make_walks(m, t, stack);
    }
    free(stack);
    return 0;
}

void almanac_release(model *m) {
    free(m->steps);
    free(m->walks);
    free(m->outputs);
#ifdef BYTE_TABLES
    almanac_release_jumps(m);
#endif
    m->steps = NULL, m->walks = NULL, m->outputs = NULL;
}

/* ---- ranks ---- */

static inline uint8_t byte_of(int32_t rank, int32_t first) {
    int32_t within = rank - first;
    return (uint8_t)(within < 0 ? 0 : within > 255 ? 255 : within);
}

/* Number of cuts below each value; all rows take the same steps, so that the searches overlap. */
static inline void rank_rows(const double *cuts, int32_t count, const double *v, int32_t rows, int32_t *rank) {
    memset(rank, 0, (size_t)rows * sizeof(int32_t));
    if (!count) return;
    while (count > 1) {
        int32_t half = count / 2;
        for (int32_t r = 0; r < rows; r++) rank[r] += half & -(cuts[rank[r] + half - 1] < v[r]);
        count -= half;
    }
    for (int32_t r = 0; r < rows; r++) rank[r] += cuts[rank[r]] < v[r];
}

/* Fills bytes[column * stride + row] for `rows` rows of X; inlined, since the loops over one row then vanish. */
INLINE void fill(const model *m, const double *X, int32_t rows, uint8_t *bytes, int32_t stride) {
    int32_t rank[ROWS];
    uint8_t missing[ROWS];
    for (int32_t s = 0; s < m->slots; s++) {
        const double *cuts = m->cuts + m->cut_start[s];
        int32_t count = m->cut_start[s + 1] - m->cut_start[s];
        double v[ROWS];
        for (int32_t r = 0; r < rows; r++) {
            double x = clean(X[(int64_t)r * m->features + m->slot_feature[s]]);
            missing[r] = (uint8_t)is_missing(x, m->slot_missing[s]);
            v[r] = x == x ? x : 0.0;
        }
        rank_rows(cuts, count, v, rows, rank);
        for (int32_t c = m->column_start[s]; c < m->column_start[s + 1]; c++) {
            uint8_t *out = bytes + (int64_t)c * stride, other = m->column_left[c] ? 0 : 255;
            for (int32_t r = 0; r < rows; r++) out[r] = missing[r] ? other : byte_of(rank[r], m->column_first[c]);
        }
    }
    for (int32_t i = 0, feature = -1; i < m->indicators; i++) {
        const uint32_t *words = m->indicator_words + m->indicator_start[i];
        uint8_t *out = bytes + (int64_t)(m->column_start[m->slots] + i) * stride;
        if (m->indicator_feature[i] != feature) {
            feature = m->indicator_feature[i];
            int32_t others = others_of(m->indicator_start[i + 1] - m->indicator_start[i]);
            for (int32_t r = 0; r < rows; r++) rank[r] = category_of(X[(int64_t)r * m->features + feature], others);
        }
        for (int32_t r = 0; r < rows; r++) out[r] = !in_set(words, rank[r]);
    }
}

DISPATCH static void fill_bytes(const model *m, const double *X, int32_t rows, uint8_t *bytes, int32_t stride) {
    fill(m, X, rows, bytes, stride);
}

/* ---- one row ---- */

/* No fused multiply-add here: the result is to be the one of NumPy, which rounds the product. */
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((optimize("fp-contract=off")))
#endif
static double with_offset(const model *m, double sum, const double *x) {
    sum += m->intercept;
    for (int32_t i = 0; i < m->terms; i++) {
        double v = x[m->term_column[i]];
        double product = m->term_coefficient[i] * (isfinite(v) ? v : m->term_fill[i]);
        sum += product;
    }
    return sum;
}

static double through_link(const model *m, double score) {
    if (m->link == LINK_LOGIT) return 1.0f / (1.0f + exp(-m->sigmoid * score));
    if (m->link == LINK_LOG) return exp(score);
    return score;
}

static double finish(const model *m, double sum, const double *x) {
    double value = through_link(m, m->offset ? with_offset(m, sum, x) : sum);
    return value < m->low ? m->low : value > m->high ? m->high : value;
}

/* Leaf values of `count` trees from tree t on, in order, added to sum. A leaf leads to itself, so a walk is over when
   no tree moves any more. */
static inline double walk_some(const model *m, const uint8_t *bytes, int32_t t, int32_t count, double sum) {
    uint32_t node[ABREAST];
    for (int32_t i = 0; i < count; i++) node[i] = (uint32_t)(m->node_start[t + i] + m->leaf_start[t + i]);
    for (uint32_t moved = 1; moved;) {
        moved = 0;
        for (int32_t i = 0; i < count; i++) {
            const walk *w = m->walks + node[i];
            uint32_t next = w->left + (bytes[w->column] > w->cut);
            moved |= next ^ node[i];
            node[i] = next;
        }
    }
    for (int32_t i = 0; i < count; i++) sum += m->outputs[node[i]];
    return sum;
}

static double sum_of_trees(const model *m, const uint8_t *bytes) {
#ifdef BYTE_TABLES
    if (m->jumps) return almanac_sum_by_jumps(m, bytes);
#endif
    double sum = 0.0;
    int32_t t = 0;
    for (; t + ABREAST <= m->trees; t += ABREAST) sum = walk_some(m, bytes, t, ABREAST, sum);
    return walk_some(m, bytes, t, m->trees - t, sum);
}

/* Returns the prediction of the row x. The caller owns the scratch of columns + 1 bytes, so that nothing is allocated
   here and nothing can fail. */
double almanac_predict_row(const model *m, const double *x, uint8_t *bytes) {
    fill(m, x, 1, bytes, 1);
    return finish(m, sum_of_trees(m, bytes), x);
}

/* The same, and in *outside the number of values beyond low and high; NaN is within. */
double almanac_row(const model *m, const double *x, uint8_t *bytes, const double *low, const double *high,
                   int32_t *outside) {
    int32_t beyond = 0;
    for (int32_t i = 0; i < m->features; i++) beyond += (x[i] < low[i]) | (x[i] > high[i]);
    *outside = beyond;
    return almanac_predict_row(m, x, bytes);
}

/* ---- blocks of rows ---- */

/* Scratch of one call, each part `width` bytes a line: the leaf numbers as constants and the results of splits in
   places, the block's values in bytes. */
typedef struct {
    double sums[ROWS];
    uint8_t leaves[TOGETHER * ROWS]; /* of trees whose outputs are added together */
    uint8_t places[2 * MAX_LEAVES * ROWS];
    uint8_t bytes[];
} scratch;

INLINE void choose(const uint8_t *column, uint8_t cut, const uint8_t *left, const uint8_t *right, uint8_t *out,
                   int32_t width) {
#pragma GCC ivdep
    for (int32_t r = 0; r < width; r++) {
        uint8_t goes_left = column[r] <= cut ? 255 : 0;
        out[r] = (uint8_t)((left[r] & goes_left) | (right[r] & ~goes_left));
    }
}

/* Writes the leaf number of each row in tree t. */
INLINE void find_leaves(const model *m, scratch *s, int32_t t, uint8_t *leaf, int32_t width) {
    int32_t splits = splits_of(m, t);
    uint8_t *out = s->places + (MAX_LEAVES + splits) * width;
    for (const step *p = m->steps + m->node_start[t], *end = p + splits; p < end; p++) {
        out -= width;
        choose(s->bytes + p->column * width, p->cut, s->places + p->left * width, s->places + p->right * width, out,
               width);
    }
    memcpy(leaf, splits ? out : s->places, (size_t)width);
}

/* Adds the outputs of `count` trees from tree t on to sums, in order; a sum stays in its register meanwhile. */
INLINE void add_leaves(const model *m, scratch *s, int32_t t, int32_t count, int32_t rows, int32_t width) {
    const double *values[TOGETHER];
    for (int32_t i = 0; i < count; i++) values[i] = m->leaf_value + m->leaf_start[t + i];
    for (int32_t r = 0; r < rows; r++) {
        double sum = s->sums[r];
        for (int32_t i = 0; i < count; i++) sum += values[i][s->leaves[i * width + r]];
        s->sums[r] = sum;
    }
}

/* Adds the outputs of all trees to sums; `width` is a constant where this is inlined. */
INLINE void add_trees(const model *m, scratch *s, int32_t rows, int32_t width) {
    for (int32_t t = 0; t < m->trees; t++) {
        int32_t place = t % TOGETHER;
        find_leaves(m, s, t, s->leaves + place * width, width);
        if (place == TOGETHER - 1) add_leaves(m, s, t - place, TOGETHER, rows, width);
    }
    int32_t rest = m->trees % TOGETHER;
    add_leaves(m, s, m->trees - rest, rest, rows, width);
}

DISPATCH static void add_trees_of(const model *m, scratch *s, int32_t rows, int32_t width) {
    if (width == 32) add_trees(m, s, rows, 32);
    if (width == 64) add_trees(m, s, rows, 64);
    if (width == ROWS) add_trees(m, s, rows, ROWS);
}

#ifdef WIDEST
/* A choice between 64 bytes is one instruction there, and takes three for 32 elsewhere. */
WIDEST static void add_trees_of_widest(const model *m, scratch *s, int32_t rows, int32_t width) {
    if (width == 64) add_trees(m, s, rows, 64);
    if (width == ROWS) add_trees(m, s, rows, ROWS);
}
#endif

static void predict_block(const model *m, const double *X, int32_t rows, double *out, scratch *s) {
    int32_t width = rows <= 32 ? 32 : rows <= 64 ? 64 : ROWS;
    for (int32_t i = 0; i < MAX_LEAVES; i++) memset(s->places + i * width, i, (size_t)width);
    fill_bytes(m, X, rows, s->bytes, width);
    memset(s->sums, 0, sizeof s->sums);
#ifdef WIDEST
    if (width > 32 && has_widest())
        add_trees_of_widest(m, s, rows, width);
    else
#endif
        add_trees_of(m, s, rows, width);
    for (int32_t r = 0; r < rows; r++) out[r] = finish(m, s->sums[r], X + (int64_t)r * m->features);
}

/* Writes the predictions of X (rows, features) to out (rows); returns 0, or -1 where memory is short. */
int almanac_predict(const model *m, const double *X, int64_t rows, double *out) {
    scratch *s = NULL;
    size_t size = (sizeof(scratch) + ((size_t)m->columns + 1) * ROWS + 63) / 64 * 64;
    if (posix_memalign((void **)&s, 64, size)) return -1;
    memset(s, 0, size);
    int64_t done = 0;
    while (m->steps && rows - done > FEW_ROWS) {
        int32_t block = rows - done < ROWS ? (int32_t)(rows - done) : ROWS;
        predict_block(m, X + done * m->features, block, out + done, s);
        done += block;
    }
    for (; done < rows; done++) out[done] = almanac_predict_row(m, X + done * m->features, s->bytes);
    free(s);
    return 0;
}

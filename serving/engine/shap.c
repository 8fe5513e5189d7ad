/* Exact path-dependent TreeSHAP (Lundberg et al. 2018), one leaf at a time and without a loop over subsets.
 *
 * Let a leaf of value v lie behind d different features; o_i is 1 where the row meets all conditions on feature i along
 * the path, z_i is the share of training rows that passes them. With the weights of coalitions as a Beta integral,
 * |S|! (d-1-|S|)! / d! = ∫ t^|S| (1-t)^(d-1-|S|) dt over [0, 1], the leaf's contribution to feature i becomes
 *
 *     v (o_i - z_i) ∫ Π_{j≠i} (o_j t + z_j (1-t)) dt,
 *
 * a polynomial of degree d-1, which n Gauss-Legendre nodes integrate exactly for d <= 2n. All factors are positive, so
 * nothing cancels. Vectors run over the nodes; products without factor i are prefix times suffix, so nothing is divided
 * and a share of 0 is no special case. Linear TreeSHAP (Yu et al. 2022) evaluates the same polynomial by interpolation.
 */
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CLASSES 4       /* 4, 8, 16 or 32 nodes: up to 8, 16, 32 or 64 features on a path */
#define MOST_FEATURES 64
#define MOST_WORDS (1 << 24) /* 64 MB of category sets */
#define TILE 8          /* rows that share a pass over the leaves */
#define MISSING 0xffff  /* rank of a missing value */
#define NEVER 0xfffe    /* a rank that no value has */
#define INDICATOR 0x8000 /* marks the pair as one of categories: its set starts at word `low` + 65536 · `width` */
#define ACCEPTS_MISSING 0x8000

typedef double quad __attribute__((vector_size(32)));
typedef int64_t quad_mask __attribute__((vector_size(32)));

/* All conditions on one feature along one path: rank in low … low + width, or missing where that is accepted. */
typedef struct {
    double share;
    uint16_t slot, low, width, feature;
} pair;

typedef struct {
    double value;
    int32_t first, count;
} leaf;

struct paths {
    pair *pairs;
    leaf *leaves; /* sorted by class, by tree within it */
    uint32_t *words;
    int64_t pair_count, pair_room, word_count, word_room;
    int32_t leaf_start[CLASSES + 1];
    int32_t words_of_feature_count;
    int32_t *words_of_feature; /* words of a set of the feature, 0 where it has none */
    quad at[CLASSES][8], rest[CLASSES][8], weight[CLASSES][8];
};

/* ---- the paths, once for a model ---- */

typedef struct {
    int32_t feature, slot, low, high, missing;
    int64_t words; /* of a categorical feature, -1 otherwise */
    double share;
} condition;

typedef struct {
    const model *m;
    paths *p;
    const int32_t *left, *right;
    int32_t split0, leaf0;
} walker;

static int class_of(int32_t features) {
    int class = 0;
    while (8 << class < features) class++;
    return class;
}

static void *grown(void *block, int64_t needed, int64_t *room, size_t size) {
    if (needed <= *room) return block;
    int64_t more = needed > 2 * *room ? needed + 1024 : 2 * *room;
    void *larger = realloc(block, (size_t)more * size);
    if (larger) *room = more;
    return larger;
}

/* Reserves `count` words of the pool; returns where they start, -1 where there are too many. */
static int64_t new_words(paths *p, int32_t count) {
    if (p->word_count + count > MOST_WORDS) return -1;
    uint32_t *larger = grown(p->words, p->word_count + count, &p->word_room, sizeof(uint32_t));
    if (!larger) return -1;
    p->words = larger;
    p->word_count += count;
    return p->word_count - count;
}

/* Writes the set of categories that pass condition c and then go to the given side of split i. */
static int narrow_set(walker *w, condition *c, int32_t i, int goes_left) {
    int32_t indicator = ~w->m->node_slot[i], start = w->m->indicator_start[indicator];
    int32_t count = w->m->indicator_start[indicator + 1] - start;
    int64_t at = new_words(w->p, count);
    if (at < 0) return -1;
    for (int32_t k = 0; k < count; k++) {
        uint32_t before = c->words < 0 ? 0xffffffffu : w->p->words[c->words + k];
        uint32_t set = w->m->indicator_words[start + k];
        w->p->words[at + k] = before & (goes_left ? set : ~set);
    }
    c->words = at;
    return 0;
}

/* Adds to the path (count conditions) the one of going to a side of split i; returns the new count, -1 on failure.
   A feature met before moves nowhere: its condition is narrowed in a copy of the path. */
static int32_t extend(walker *w, condition *path, int32_t count, int32_t i, int goes_left, double share) {
    int32_t slot = w->m->node_slot[i], categorical = slot < 0, at = 0;
    int32_t feature = categorical ? w->m->indicator_feature[~slot] : w->m->slot_feature[slot];
    while (at < count && path[at].feature != feature) at++;
    if (at == count) {
        if (count == MOST_FEATURES) return -1;
        path[count++] = (condition){feature, categorical ? -1 : slot, 0, NEVER - 1, 1, -1, 1.0};
    }
    condition *c = &path[at];
    if (c->slot != (categorical ? -1 : slot)) return -1; /* one feature under two rules in one tree */
    c->share *= share;
    if (categorical) return narrow_set(w, c, i, goes_left) ? -1 : count;
    if (goes_left && w->m->node_rank[i] < c->high) c->high = w->m->node_rank[i];
    if (!goes_left && w->m->node_rank[i] >= c->low) c->low = w->m->node_rank[i] + 1;
    c->missing &= w->m->node_default_left[i] == goes_left;
    return count;
}

static int add_leaf(walker *w, const condition *path, int32_t count, int32_t number) {
    paths *p = w->p;
    pair *larger = grown(p->pairs, p->pair_count + count, &p->pair_room, sizeof(pair));
    if (!larger) return -1;
    p->pairs = larger;
    leaf *l = &p->leaves[w->leaf0 + number];
    *l = (leaf){w->m->leaf_value[w->leaf0 + number], (int32_t)p->pair_count, count};
    for (int32_t j = 0; j < count; j++) {
        const condition *c = &path[j];
        pair *q = &p->pairs[p->pair_count++];
        q->share = c->share;
        q->feature = (uint16_t)c->feature;
        if (c->slot < 0) {
            q->slot = INDICATOR;
            q->low = (uint16_t)(c->words & 0xffff), q->width = (uint16_t)(c->words >> 16);
        } else {
            q->slot = (uint16_t)c->slot;
            q->low = (uint16_t)(c->low <= c->high ? c->low : NEVER);
            q->width = (uint16_t)(c->low <= c->high ? c->high - c->low : 0);
            if (c->missing) q->feature |= ACCEPTS_MISSING;
        }
    }
    return 0;
}

static int descend(walker *w, const condition *path, int32_t count, int32_t child) {
    if (child < 0) return add_leaf(w, path, count, ~child);
    int32_t i = w->split0 + child;
    condition *longer = malloc(((size_t)count + 1) * sizeof(condition));
    int failed = !longer;
    for (int goes_left = 1; goes_left >= 0 && !failed; goes_left--) {
        int32_t next = goes_left ? w->left[child] : w->right[child];
        double rows = next >= 0 ? w->m->node_count[w->split0 + next] : w->m->leaf_count[w->leaf0 + ~next];
        memcpy(longer, path, (size_t)count * sizeof(condition));
        int32_t now = extend(w, longer, count, i, goes_left, rows / w->m->node_count[i]);
        failed = now < 0 || descend(w, longer, now, next);
    }
    free(longer);
    return failed ? -1 : 0;
}

/* Legendre's nodes and weights on [0, 1], by Newton's method on the three-term recurrence. */
static void make_nodes(int32_t n, double *at, double *rest, double *weight) {
    for (int32_t k = 0; k < n; k++) {
        double x = cos(M_PI * (k + 0.75) / (n + 0.5)), slope = 1.0;
        for (int32_t turn = 0; turn < 100; turn++) {
            double before = 1.0, value = x;
            for (int32_t j = 2; j <= n; j++) {
                double next = ((2 * j - 1) * x * value - (j - 1) * before) / j;
                before = value, value = next;
            }
            slope = n * (x * value - before) / (x * x - 1.0);
            double move = value / slope;
            x -= move;
            if (fabs(move) < 1e-16) break;
        }
        at[k] = 0.5 * (1.0 + x), rest[k] = 0.5 * (1.0 - x);
        weight[k] = 1.0 / ((1.0 - x * x) * slope * slope);
    }
}

/* Stable sort of the leaves by class, leaving out those behind no split, which contribute nothing. */
static int sort_leaves(paths *p, int32_t count) {
    leaf *sorted = malloc(((size_t)count + 1) * sizeof(leaf));
    if (!sorted) return -1;
    int32_t next = 0;
    for (int class = 0; class < CLASSES; class++) {
        p->leaf_start[class] = next;
        for (int32_t i = 0; i < count; i++)
            if (p->leaves[i].count && class_of(p->leaves[i].count) == class) sorted[next++] = p->leaves[i];
    }
    p->leaf_start[CLASSES] = next;
    free(p->leaves);
    p->leaves = sorted;
    return 0;
}

static int fill_paths(model *m, paths *p) {
    if (m->features > 0x7fff || m->slots > 0x7fff) return -1;
    p->leaves = calloc((size_t)m->leaf_start[m->trees] + 1, sizeof(leaf));
    p->words_of_feature = calloc((size_t)m->features + 1, sizeof(int32_t));
    if (!p->leaves || !p->words_of_feature) return -1;
    for (int32_t i = 0; i < m->indicators; i++)
        p->words_of_feature[m->indicator_feature[i]] = m->indicator_start[i + 1] - m->indicator_start[i];
    for (int32_t t = 0; t < m->trees; t++) {
        walker w = {m, p, m->node_left + m->node_start[t], m->node_right + m->node_start[t],
                    m->node_start[t], m->leaf_start[t]};
        if (m->node_start[t + 1] > m->node_start[t] && descend(&w, NULL, 0, 0)) return -1;
    }
    for (int class = 0; class < CLASSES; class++)
        make_nodes(4 << class, (double *)p->at[class], (double *)p->rest[class], (double *)p->weight[class]);
    return sort_leaves(p, m->leaf_start[m->trees]);
}

/* Returns 0, or -1 for a model that is not covered, or where memory is short. */
int almanac_prepare_paths(model *m) {
    paths *p = NULL;
    if (posix_memalign((void **)&p, 64, sizeof(paths))) return -1;
    memset(p, 0, sizeof(paths));
    m->paths = p;
    if (fill_paths(m, p) == 0) return 0;
    almanac_release_paths(m);
    return -1;
}

void almanac_release_paths(model *m) {
    if (!m->paths) return;
    free(m->paths->pairs);
    free(m->paths->leaves);
    free(m->paths->words);
    free(m->paths->words_of_feature);
    free(m->paths);
    m->paths = NULL;
}

/* ---- explanations ---- */

/* A row as the conditions ask for it. */
typedef struct {
    uint16_t *rank;    /* by slot */
    int32_t *category; /* by feature */
} row;

static void read_row(const model *m, const double *x, row to) {
    for (int32_t s = 0; s < m->slots; s++) {
        double v = clean(x[m->slot_feature[s]]);
        const double *cuts = m->cuts + m->cut_start[s];
        int32_t rank = rank_of(cuts, m->cut_start[s + 1] - m->cut_start[s], v == v ? v : 0.0);
        to.rank[s] = (uint16_t)(is_missing(v, m->slot_missing[s]) ? MISSING : rank);
    }
    for (int32_t f = 0; f < m->features; f++)
        if (m->paths->words_of_feature[f]) to.category[f] = category_of(x[f], others_of(m->paths->words_of_feature[f]));
}

static inline int meets(const paths *p, const pair *q, row r) {
    if (q->slot & INDICATOR) return in_set(p->words + (q->low + ((int64_t)q->width << 16)), r.category[q->feature]);
    uint16_t rank = r.rank[q->slot];
    return ((uint16_t)(rank - q->low) <= q->width) | ((rank == MISSING) & (q->feature >> 15));
}

/* Adds one leaf's contributions at `quads` · 4 nodes to sums[feature · quads]. */
static inline __attribute__((always_inline)) void explain_leaf(const paths *p, const leaf *l, row r, int class, int quads,
                                                               quad *sums) {
    quad factor[MOST_FEATURES][quads], prefix[MOST_FEATURES][quads], product[quads];
    double excess[MOST_FEATURES];
    const pair *pairs = p->pairs + l->first;
    for (int k = 0; k < quads; k++) product[k] = p->weight[class][k] * l->value;
    for (int32_t j = 0; j < l->count; j++) {
        int64_t met = meets(p, &pairs[j], r);
        quad_mask keep = {-met, -met, -met, -met};
        excess[j] = (double)met - pairs[j].share;
        for (int k = 0; k < quads; k++) {
            factor[j][k] = pairs[j].share * p->rest[class][k] + (quad)((quad_mask)p->at[class][k] & keep);
            prefix[j][k] = product[k];
            product[k] *= factor[j][k];
        }
    }
    for (int k = 0; k < quads; k++) product[k] = (quad){1.0, 1.0, 1.0, 1.0};
    for (int32_t j = l->count - 1; j >= 0; j--) {
        quad *sum = sums + (pairs[j].feature & 0x7fff) * quads;
        for (int k = 0; k < quads; k++) {
            sum[k] += excess[j] * prefix[j][k] * product[k];
            product[k] *= factor[j][k];
        }
    }
}

/* Every leaf of a class, for `rows` rows; `quads` is a constant where this is inlined. */
static inline __attribute__((always_inline)) void explain_leaves(const model *m, const row *r, int32_t rows, int class,
                                                                 int quads, quad *sums) {
    const paths *p = m->paths;
    for (int32_t i = p->leaf_start[class]; i < p->leaf_start[class + 1]; i++)
        for (int32_t k = 0; k < rows; k++)
            explain_leaf(p, &p->leaves[i], r[k], class, quads, sums + (int64_t)k * m->features * quads);
}

DISPATCH static void explain_class(const model *m, const row *r, int32_t rows, int class, quad *sums) {
    if (class == 0) explain_leaves(m, r, rows, 0, 1, sums);
    if (class == 1) explain_leaves(m, r, rows, 1, 2, sums);
    if (class == 2) explain_leaves(m, r, rows, 2, 4, sums);
    if (class == 3) explain_leaves(m, r, rows, 3, 8, sums);
}

static void explain_tile(const model *m, const double *X, int32_t rows, double *out, row *r, quad *sums) {
    for (int32_t k = 0; k < rows; k++) read_row(m, X + (int64_t)k * m->features, r[k]);
    memset(out, 0, (size_t)rows * m->features * sizeof(double));
    for (int class = 0; class < CLASSES; class++) {
        int quads = 1 << class;
        if (m->paths->leaf_start[class] == m->paths->leaf_start[class + 1]) continue;
        memset(sums, 0, (size_t)rows * m->features * quads * sizeof(quad));
        explain_class(m, r, rows, class, sums);
        for (int64_t i = 0; i < (int64_t)rows * m->features; i++)
            for (int k = 0; k < quads; k++)
                out[i] += (sums[i * quads + k][0] + sums[i * quads + k][1]) + (sums[i * quads + k][2] + sums[i * quads + k][3]);
    }
}

/* Writes the contributions of X (rows, features) to out, of the same shape; returns 0, or -1 where memory is short. */
int almanac_explain(const model *m, const double *X, int64_t rows, double *out) {
    quad *sums = NULL;
    row r[TILE];
    size_t row_size = (size_t)m->slots * sizeof(uint16_t), code_size = (size_t)m->features * sizeof(int32_t);
    char *block = malloc(TILE * (code_size + row_size) + 1);
    if (!block || posix_memalign((void **)&sums, 64, (size_t)TILE * m->features * 8 * sizeof(quad) + 64)) {
        free(block);
        return -1;
    }
    for (int32_t k = 0; k < TILE; k++) {
        r[k].category = (int32_t *)(block + k * code_size);
        r[k].rank = (uint16_t *)(block + TILE * code_size + k * row_size);
    }
    for (int64_t done = 0; done < rows; done += TILE) {
        int32_t tile = rows - done < TILE ? (int32_t)(rows - done) : TILE;
        explain_tile(m, X + done * m->features, tile, out + done * m->features, r, sums);
    }
    free(sums);
    free(block);
    return 0;
}

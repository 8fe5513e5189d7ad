/* Exact path-dependent TreeSHAP (Lundberg et al. 2018), one leaf at a time and without a loop over subsets.
 *
 * Let a leaf of value v lie behind d different features; o_i is 1 where the row meets all conditions on feature i along
 * the path, z_i is the share of training rows that passes them. With the weights of coalitions as a Beta integral,
 * |S|! (d-1-|S|)! / d! = ∫ t^|S| (1-t)^(d-1-|S|) dt over [0, 1], the leaf's contribution to feature i becomes
 *
 *     v (o_i - z_i) ∫ Π_{j≠i} (o_j t + z_j (1-t)) dt,
 *
 * a polynomial of degree d-1, which n Gauss-Legendre nodes integrate exactly for d <= 2n. All factors are positive, so
 * nothing cancels. Products without factor i are prefix times suffix, so nothing is divided and a share of 0 is no
 * special case. Vectors run over the nodes for a single row, and over four rows otherwise. Linear TreeSHAP (Yu et al. 2022) evaluates the same polynomial by interpolation.
 */
#include "paths.h"

#include <stdlib.h>
#include <string.h>

#define LANES 4
#define GROUPS 4 /* of four rows, that share a pass over the leaves */

typedef double quad __attribute__((vector_size(32)));
typedef int64_t quad_mask __attribute__((vector_size(32)));

INLINE quad all(double v) { return (quad){v, v, v, v}; }

static int32_t rank_in(const model *m, int32_t slot, double value) {
    const double *cuts = m->cuts + m->cut_start[slot];
    double v = clean(value);
    if (is_missing(v, m->slot_missing[slot])) return MISSING;
    return rank_of(cuts, m->cut_start[slot + 1] - m->cut_start[slot], v == v ? v : 0.0);
}

static const uint32_t *set_of(const paths *p, const pair *q) { return p->words + (q->low + ((int64_t)q->width << 16)); }

static int32_t feature_of(const pair *q) { return q->feature & ~ACCEPTS_MISSING; }

/* ---- one row: vectors over the nodes ---- */

typedef struct {
    uint16_t *rank;    /* by slot */
    int32_t *category; /* by feature */
    quad *sums;        /* by feature and node */
} row;

INLINE int meets(const paths *p, const pair *q, const row *r) {
    if (q->slot & INDICATOR) return in_set(set_of(p, q), r->category[feature_of(q)]);
    uint16_t rank = r->rank[q->slot];
    return ((uint16_t)(rank - q->low) <= q->width) | ((rank == MISSING) & (q->feature >> 15));
}

/* Adds one leaf's contributions at `quads` · 4 nodes to the row's sums. */
INLINE void explain_leaf(const paths *p, const pair *pairs, int32_t count, double value, const row *r, int32_t quads) {
    const quad *at = (const quad *)p->at[4 * quads], *rest = (const quad *)p->rest[4 * quads];
    quad factor[count][quads], prefix[count][quads], product[quads];
    double excess[count];
    for (int32_t k = 0; k < quads; k++) product[k] = ((const quad *)p->weight[4 * quads])[k] * value;
    for (int32_t j = 0; j < count; j++) {
        int64_t met = meets(p, &pairs[j], r);
        quad_mask keep = {-met, -met, -met, -met};
        excess[j] = (double)met - pairs[j].share;
        for (int32_t k = 0; k < quads; k++) {
            factor[j][k] = pairs[j].share * rest[k] + (quad)((quad_mask)at[k] & keep);
            prefix[j][k] = product[k];
            product[k] *= factor[j][k];
        }
    }
    for (int32_t k = 0; k < quads; k++) product[k] = all(1.0);
    for (int32_t j = count - 1; j >= 0; j--) {
        quad *sum = r->sums + feature_of(&pairs[j]) * quads;
        for (int32_t k = 0; k < quads; k++) {
            sum[k] += excess[j] * prefix[j][k] * product[k];
            product[k] *= factor[j][k];
        }
    }
}

/* Every leaf of `count` pairs; `count` and `quads` are constants where this is inlined. */
INLINE void explain_leaves(const paths *p, const row *r, int32_t count, int32_t quads) {
    const pair *pairs = p->pairs + p->pair_start[count];
    for (int32_t i = p->leaf_start[count]; i < p->leaf_start[count + 1]; i++, pairs += count)
        explain_leaf(p, pairs, count, p->values[i], r, quads);
}

/* The usual numbers of pairs have loops of known length. */
#define KNOWN(count, quads) case count: explain_leaves(p, r, count, quads); break;

DISPATCH static void explain_count(const paths *p, const row *r, int32_t count, int32_t quads) {
    switch (count) {
        KNOWN(1, 1) KNOWN(2, 1) KNOWN(3, 1) KNOWN(4, 1) KNOWN(5, 1) KNOWN(6, 1) KNOWN(7, 1) KNOWN(8, 1)
        KNOWN(9, 2) KNOWN(10, 2) KNOWN(11, 2) KNOWN(12, 2)
    default: explain_leaves(p, r, count, quads);
    }
}

static void explain_row(const model *m, const double *x, double *out, const row *r) {
    const paths *p = m->paths;
    for (int32_t s = 0; s < m->slots; s++) r->rank[s] = (uint16_t)rank_in(m, s, x[m->slot_feature[s]]);
    for (int32_t f = 0; f < m->features; f++)
        if (p->words_of_feature[f]) r->category[f] = category_of(x[f], others_of(p->words_of_feature[f]));
    memset(out, 0, (size_t)m->features * sizeof(double));
    for (int32_t quads = 1, least = 1; quads <= MOST_NODES / 4; least = 8 * quads + 1, quads *= 2) {
        if (p->leaf_start[least] == p->leaf_start[8 * quads + 1]) continue;
        memset(r->sums, 0, (size_t)m->features * quads * sizeof(quad));
        for (int32_t count = least; count <= 8 * quads; count++) explain_count(p, r, count, quads);
        for (int32_t i = 0; i < m->features * quads; i++)
            out[i / quads] += (r->sums[i][0] + r->sums[i][1]) + (r->sums[i][2] + r->sums[i][3]);
    }
}

/* ---- many rows: vectors over four of them ---- */

typedef struct {
    quad_mask *rank;     /* by slot, -1 where missing */
    quad_mask *category; /* by feature */
    quad *sums;          /* by feature */
} group;

/* All bits set in the lanes whose row meets the conditions of q. */
INLINE quad_mask meet(const paths *p, const pair *q, const group *g) {
    if (q->slot & INDICATOR) {
        const uint32_t *words = set_of(p, q);
        quad_mask category = g->category[feature_of(q)], met;
        for (int lane = 0; lane < LANES; lane++) met[lane] = -(int64_t)in_set(words, (int32_t)category[lane]);
        return met;
    }
    quad_mask rank = g->rank[q->slot];
    int64_t low = q->low, high = low + q->width;
    if (q->feature & ACCEPTS_MISSING) {
        if (low) return ((rank >= low) & (rank <= high)) | (rank < 0);
        low = -1;
    }
    return (rank >= low) & (rank <= high);
}

/* Adds one leaf's contributions for four rows; `count` and `nodes` are constants where this is inlined. */
INLINE void explain_leaf_of_group(const paths *p, const pair *pairs, int32_t count, int32_t nodes, double value,
                                  const group *g) {
    const double *at = p->at[nodes], *rest = p->rest[nodes], *weight = p->weight[nodes];
    quad factor[count][nodes], prefix[count][nodes], excess[count], product[nodes];
    for (int32_t k = 0; k < nodes; k++) product[k] = all(weight[k] * value);
    for (int32_t j = 0; j < count; j++) {
        quad_mask met = meet(p, &pairs[j], g);
        quad share = all(pairs[j].share);
        excess[j] = (quad)(met & (quad_mask)all(1.0)) - share;
        for (int32_t k = 0; k < nodes; k++) {
            factor[j][k] = share * rest[k] + (quad)(met & (quad_mask)all(at[k]));
            prefix[j][k] = product[k];
            product[k] *= factor[j][k];
        }
    }
    for (int32_t k = 0; k < nodes; k++) product[k] = all(1.0);
    for (int32_t j = count - 1; j >= 0; j--) {
        quad integral = all(0.0);
        for (int32_t k = 0; k < nodes; k++) {
            integral += prefix[j][k] * product[k];
            product[k] *= factor[j][k];
        }
        g->sums[feature_of(&pairs[j])] += excess[j] * integral;
    }
}

INLINE void explain_leaves_of_groups(const paths *p, const group *g, int32_t groups, int32_t count, int32_t nodes) {
    const pair *pairs = p->pairs + p->pair_start[count];
    for (int32_t i = p->leaf_start[count]; i < p->leaf_start[count + 1]; i++, pairs += count)
        for (int32_t k = 0; k < groups; k++) explain_leaf_of_group(p, pairs, count, nodes, p->values[i], &g[k]);
}

#define KNOWN_OF_GROUPS(count) \
    case count: explain_leaves_of_groups(p, g, groups, count, (count + 1) / 2); break;

DISPATCH static void explain_count_of_groups(const paths *p, const group *g, int32_t groups, int32_t count) {
    switch (count) {
        KNOWN_OF_GROUPS(1) KNOWN_OF_GROUPS(2) KNOWN_OF_GROUPS(3) KNOWN_OF_GROUPS(4)
        KNOWN_OF_GROUPS(5) KNOWN_OF_GROUPS(6) KNOWN_OF_GROUPS(7) KNOWN_OF_GROUPS(8)
        KNOWN_OF_GROUPS(9) KNOWN_OF_GROUPS(10) KNOWN_OF_GROUPS(11) KNOWN_OF_GROUPS(12)
    default: explain_leaves_of_groups(p, g, groups, count, (count + 1) / 2);
    }
}

/* Fills the group from `rows` rows, the last one standing in for those that are wanting. */
static void read_group(const model *m, const double *X, int64_t rows, const group *g) {
    for (int lane = 0; lane < LANES; lane++) {
        const double *x = X + (lane < rows ? lane : rows - 1) * m->features;
        for (int32_t s = 0; s < m->slots; s++) {
            int32_t rank = rank_in(m, s, x[m->slot_feature[s]]);
            g->rank[s][lane] = rank == MISSING ? -1 : rank;
        }
        for (int32_t f = 0; f < m->features; f++)
            if (m->paths->words_of_feature[f])
                g->category[f][lane] = category_of(x[f], others_of(m->paths->words_of_feature[f]));
    }
    memset(g->sums, 0, (size_t)m->features * sizeof(quad));
}

static void explain_rows(const model *m, const double *X, int64_t rows, double *out, const group *g) {
    int32_t groups = (int32_t)((rows + LANES - 1) / LANES);
    for (int32_t k = 0; k < groups; k++)
        read_group(m, X + (int64_t)k * LANES * m->features, rows - k * LANES, &g[k]);
    for (int32_t count = 1; count <= MOST_FEATURES; count++)
        if (m->paths->leaf_start[count] < m->paths->leaf_start[count + 1])
            explain_count_of_groups(m->paths, g, groups, count);
    for (int64_t r = 0; r < rows; r++)
        for (int32_t f = 0; f < m->features; f++) out[r * m->features + f] = g[r / LANES].sums[f][r % LANES];
}

/* ---- entry ---- */

/* Writes the contributions of X (rows, features) to out, of the same shape; returns 0, or -1 where memory is short. */
int almanac_explain(const model *m, const double *X, int64_t rows, double *out) {
    const int64_t tile = LANES * GROUPS;
    quad *block = NULL;
    size_t features = (size_t)m->features + 1, slots = (size_t)m->slots + 1, line = 2 * features + slots;
    size_t single = features * (MOST_NODES / 4) + features + slots;
    size_t quads = GROUPS * line > single ? GROUPS * line : single;
    if (posix_memalign((void **)&block, 64, quads * sizeof(quad))) return -1;
    row r = {(uint16_t *)(block + features * (MOST_NODES / 4)),
             (int32_t *)(block + features * (MOST_NODES / 4) + slots), block};
    group g[GROUPS];
    for (int32_t k = 0; k < GROUPS; k++) {
        quad *start = block + k * line;
        g[k] = (group){(quad_mask *)start, (quad_mask *)(start + slots), start + slots + features};
    }
    for (int64_t done = 0; done < rows; done += tile) {
        int64_t now = rows - done < tile ? rows - done : tile;
        const double *x = X + done * m->features;
        if (now == 1) explain_row(m, x, out + done * m->features, &r);
        else explain_rows(m, x, now, out + done * m->features, g);
    }
    free(block);
    return 0;
}

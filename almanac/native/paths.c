/* Gathers, once for a model, the conditions that a row must meet to reach each leaf: one pair a feature and leaf. */
#include "paths.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WORDS (1 << 24) /* 64 MB of category sets */

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
    *l = (leaf){w->m->leaf_value[w->leaf0 + number], p->pair_count, count};
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
        if (count) memcpy(longer, path, (size_t)count * sizeof(condition));
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

/* Lays pairs and values out by the number of pairs. Leaves behind no split, which contribute nothing, are left out. */
static int sort_leaves(paths *p, int32_t leaves) {
    pair *pairs = malloc(((size_t)p->pair_count + 1) * sizeof(pair));
    p->values = malloc(((size_t)leaves + 1) * sizeof(double));
    if (!pairs || !p->values) {
        free(pairs);
        return -1;
    }
    int64_t next_pair = 0;
    int32_t next_leaf = 0;
    for (int32_t count = 1; count <= MOST_FEATURES; count++) {
        p->pair_start[count] = next_pair, p->leaf_start[count] = next_leaf;
        for (int32_t i = 0; i < leaves; i++) {
            if (p->leaves[i].count != count) continue;
            memcpy(pairs + next_pair, p->pairs + p->leaves[i].first, (size_t)count * sizeof(pair));
            p->values[next_leaf++] = p->leaves[i].value;
            next_pair += count;
        }
    }
    p->leaf_start[MOST_FEATURES + 1] = next_leaf;
    free(p->pairs);
    p->pairs = pairs;
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
    for (int32_t n = 1; n <= MOST_NODES; n++) make_nodes(n, p->at[n], p->rest[n], p->weight[n]);
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
    free(m->paths->values);
    free(m->paths->words);
    free(m->paths->words_of_feature);
    free(m->paths);
    m->paths = NULL;
}

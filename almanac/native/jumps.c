/* The sum of all trees for one row without a walk, for machines that look bytes up in vectors of bytes.
 *
 * All splits of a tree are compared at once, which gives the node that follows each. Replacing it by the follower's
 * follower doubles the steps that lie between (pointer jumping, Wyllie 1979), until each node leads to its leaf.
 */
#include "kernels.h"

#ifdef BYTE_TABLES
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LEAVES 64   /* splits are numbered from 0, and leaves from here on */
#define MOST_COLUMNS 256 /* that a byte numbers */

/* The splits of one tree. */
struct jump {
    uint8_t column[MOST_LEAVES], cut[MOST_LEAVES], left[MOST_LEAVES], right[MOST_LEAVES];
};

static uint8_t number_of(int32_t child) { return (uint8_t)(child >= 0 ? child : MOST_LEAVES + ~child); }

/* Lays out one tree and returns the splits of its longest path. */
static int32_t lay_out(const model *m, int32_t t, jump *tree) {
    int32_t depth[MOST_LEAVES] = {1}, longest = 0, first = m->node_start[t], splits = m->node_start[t + 1] - first;
    memset(tree, 0, sizeof *tree);
    tree->left[0] = tree->right[0] = number_of(~0); /* of a tree without a split */
    for (int32_t i = 0; i < splits; i++) {
        int32_t l = m->node_left[first + i], r = m->node_right[first + i];
        tree->column[i] = (uint8_t)m->node_column[first + i];
        tree->cut[i] = (uint8_t)m->node_cut[first + i];
        tree->left[i] = number_of(l);
        tree->right[i] = number_of(r);
        if (l >= 0) depth[l] = depth[i] + 1;
        if (r >= 0) depth[r] = depth[i] + 1;
        if (depth[i] > longest) longest = depth[i];
    }
    return longest;
}

/* Returns 0, or -1 where memory is short; a model with larger trees or more columns gets no table. */
int almanac_prepare_jumps(model *m) {
    int fits = has_byte_tables() && m->columns <= MOST_COLUMNS;
    for (int32_t t = 0; t < m->trees; t++) fits &= m->leaf_start[t + 1] - m->leaf_start[t] <= MOST_LEAVES;
    m->jumps = NULL, m->doublings = 0;
    if (!fits) return 0;
    if (posix_memalign((void **)&m->jumps, 64, ((size_t)m->trees + 1) * sizeof(jump))) return -1;
    for (int32_t t = 0; t < m->trees; t++) {
        int32_t longest = lay_out(m, t, m->jumps + t);
        while (longest > 1 << m->doublings) m->doublings++;
    }
    return 0;
}

void almanac_release_jumps(model *m) {
    free(m->jumps);
    m->jumps = NULL;
}

/* Up to 64 columns from `first` on, and zeros where there are fewer. */
BYTE_TABLES static inline __m512i columns_at(const uint8_t *bytes, int32_t columns, int32_t first) {
    int32_t count = columns - first;
    return _mm512_maskz_loadu_epi8(count >= 64 ? ~0ull : count > 0 ? (1ull << count) - 1 : 0, bytes + first);
}

BYTE_TABLES double almanac_sum_by_jumps(const model *m, const uint8_t *bytes) {
    const __m512i a = columns_at(bytes, m->columns, 0), b = columns_at(bytes, m->columns, 64);
    const __m512i c = columns_at(bytes, m->columns, 128), d = columns_at(bytes, m->columns, 192);
    uint8_t numbers[MOST_LEAVES];
    for (int32_t i = 0; i < MOST_LEAVES; i++) numbers[i] = number_of(~i);
    const __m512i leaves = _mm512_loadu_si512(numbers);
    double sum = 0.0;
    for (int32_t t = 0; t < m->trees; t++) {
        const jump *tree = m->jumps + t;
        __m512i column = _mm512_load_si512(tree->column);
        __m512i low = _mm512_permutex2var_epi8(a, column, b), high = _mm512_permutex2var_epi8(c, column, d);
        __m512i value = _mm512_mask_blend_epi8(_mm512_movepi8_mask(column), low, high);
        __mmask64 goes_right = _mm512_cmpgt_epu8_mask(value, _mm512_load_si512(tree->cut));
        __m512i next = _mm512_mask_blend_epi8(goes_right, _mm512_load_si512(tree->left), _mm512_load_si512(tree->right));
        for (int32_t i = 0; i < m->doublings; i++) next = _mm512_permutex2var_epi8(next, next, leaves);
        int32_t leaf = (_mm_cvtsi128_si32(_mm512_castsi512_si128(next)) & 255) - MOST_LEAVES;
        sum += m->leaf_value[m->leaf_start[t] + leaf];
    }
    return sum;
}
#endif

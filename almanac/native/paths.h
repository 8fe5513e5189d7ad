/* The leaves' paths as the explanation kernels read them. */
#ifndef ALMANAC_PATHS_H
#define ALMANAC_PATHS_H

#include "kernels.h"

#define MOST_FEATURES 64 /* different features on one path */
#define MOST_NODES 32    /* of the quadrature; n nodes are exact up to 2n features */
#define MISSING 0xffff   /* rank of a missing value */
#define NEVER 0xfffe     /* a rank that no value has */
#define INDICATOR 0x8000 /* marks a pair of categories: its set starts at word `low` + 65536 · `width` */
#define ACCEPTS_MISSING 0x8000

/* All conditions on one feature along one path: rank in low … low + width, or missing where that is accepted. */
typedef struct {
    double share; /* of the training rows that pass, among those that reach the conditions */
    uint16_t slot, low, width, feature;
} pair;

typedef struct {
    double value;
    int64_t first;
    int32_t count;
} leaf;

typedef double nodes[MOST_NODES + 1][MOST_NODES] __attribute__((aligned(64)));

struct paths {
    pair *pairs;    /* by leaf; leaves sorted by their number of pairs, then by tree */
    double *values; /* of the leaves in that order */
    leaf *leaves;   /* while the paths are made */
    uint32_t *words;
    int64_t pair_count, pair_room, word_count, word_room;
    int64_t pair_start[MOST_FEATURES + 2]; /* by number of pairs */
    int32_t leaf_start[MOST_FEATURES + 2];
    int32_t *words_of_feature; /* words of a set of the feature, 0 where it has none */
    /* Gauss-Legendre on [0, 1] by number of nodes: t, 1 - t, weight. */
    nodes at, rest, weight;
};

#endif

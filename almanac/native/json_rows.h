/* The columns that rows by name have; laid out by json_rows.py, which owns every pointer. */
#ifndef ALMANAC_JSON_ROWS_H
#define ALMANAC_JSON_ROWS_H

#include <stdint.h>

typedef struct {
    int32_t columns;
    const char *names; /* with their quotes, one after the other */
    const int32_t *name_start; /* columns + 1 */
    const uint8_t *required; /* whether null is refused */
    const char *levels; /* the categories of all columns, with their quotes */
    const int32_t *level_start; /* columns + 1 numbers of categories; a column of numbers has none */
    const int32_t *level_text; /* where each category begins, and the last one ends */
    const int32_t *level_order; /* the categories of each column in the order of their bytes */
} json_columns;

int32_t almanac_json_rows(const json_columns *c, int32_t *order, int32_t *seen, double *out, int32_t most,
                          const char *text, int32_t length, int32_t whole);

#endif

/* Reads rows by name from JSON into a matrix: `{"instances": [{"temp": -4.0, "wind": "NW"}, …]}`, or the list alone.
 *
 * Only the usual form is read here, in which every row has each column once. For anything else, a fault included, the
 * caller asks a reader that knows all forms and names faults. The text ends with a zero, as that of a `bytes` object
 * does; no token contains one, so that only comparisons of several bytes need to know the end.
 */
#include "json_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_FORM (-1)
#define TOO_MANY (-2)
#define EXACT 0x1p53 /* up to here float64 holds every integer */
#define MOST_DIGITS 19 /* that fit in 64 bits */
#define MOST_DIVISOR 19
#define MOST_POWER 22 /* of ten that float64 holds exactly */
#define LONGEST 800 /* digits of a number, whatever its size */
#define MOST_ORDERS 4 /* first rows that may have their columns in another order than the row before */

static const double POWERS[MOST_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const uint64_t DIVISORS[MOST_DIVISOR + 1] = {
    1ull, 10ull, 100ull, 1000ull, 10000ull, 100000ull, 1000000ull, 10000000ull, 100000000ull, 1000000000ull,
    10000000000ull, 100000000000ull, 1000000000000ull, 10000000000000ull, 100000000000000ull, 1000000000000000ull,
    10000000000000000ull, 100000000000000000ull, 1000000000000000000ull, 10000000000000000000ull};

static inline const char *skip(const char *p) {
    while (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r') p++;
    return p;
}

/* After the token, or null where another text stands. */
static inline const char *after(const char *p, const char *end, const char *token, int64_t length) {
    return end - p >= length && !memcmp(p, token, (size_t)length) ? p + length : NULL;
}

/* ---- numbers ---- */

/* The power of two, of an exponent that is far from subnormal numbers. */
static inline double power_of_two(int exponent) {
    uint64_t bits = (uint64_t)(1023 + exponent) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* digits / 10^places, rounded to the nearest float64: the quotient of integers has at least 62 bits, and the remainder
   says whether anything follows them. */
static double divided(uint64_t digits, int places) {
    uint64_t divisor = DIVISORS[places];
    int up = __builtin_clzll(digits), divisor_up = __builtin_clzll(divisor);
    unsigned __int128 numerator = (unsigned __int128)(digits << up) << 63;
    uint64_t quotient = (uint64_t)(numerator / (divisor << divisor_up));
    int rest = (uint64_t)numerator != quotient * (divisor << divisor_up);
    int drop = 64 - __builtin_clzll(quotient) - 53;
    uint64_t half = 1ull << (drop - 1), low = quotient & (2 * half - 1), kept = quotient >> drop;
    kept += low > half || (low == half && (rest || (kept & 1)));
    return (double)kept * power_of_two(drop + divisor_up - up - 63);
}

static inline int is_digit(char c) { return (unsigned char)(c - '0') < 10; }

/* Adds digits to the number that p points into; eight at once where eight follow (Lemire 2021). */
static inline const char *digits_at(const char *p, const char *end, uint64_t *digits) {
    uint64_t sum = *digits, eight;
    while (end - p >= 8) {
        memcpy(&eight, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        eight = __builtin_bswap64(eight);
#endif
        if (((eight & 0xf0f0f0f0f0f0f0f0) | ((eight + 0x0606060606060606) & 0xf0f0f0f0f0f0f0f0) >> 4) !=
            0x3333333333333333)
            break;
        eight -= 0x3030303030303030;
        eight = eight * 10 + (eight >> 8);
        eight = ((eight & 0x000000ff000000ff) * 0x000f424000000064 +
                 ((eight >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >> 32;
        sum = sum * 100000000 + eight;
        p += 8;
    }
    for (; is_digit(*p); p++) sum = sum * 10 + (uint64_t)(*p - '0');
    *digits = sum;
    return p;
}

/* Reads a number below 2^53 in size; null for anything else. */
static inline const char *number_at(const char *p, const char *end, double *value) {
    const char *start = p, *first, *point = NULL;
    uint64_t digits = 0;
    int negative = *p == '-', places = 0, exponent = 0, whole = 1;
    first = p += negative;
    if (!is_digit(*p)) return NULL;
    p = digits_at(p, end, &digits);
    if (*first == '0' && p - first > 1) return NULL;
    int64_t length = p - first;
    if (*p == '.') {
        point = ++p;
        p = digits_at(p, end, &digits);
        places = (int)(p - point);
        if (p == point) return NULL;
        length += places, whole = 0;
    }
    if ((*p | 32) == 'e') {
        int down = p[1] == '-';
        p += 1 + (p[1] == '-' || p[1] == '+');
        if (!is_digit(*p)) return NULL;
        for (; is_digit(*p); p++)
            if ((exponent = exponent * 10 + (*p - '0')) > 1000) return NULL;
        if (down) exponent = -exponent;
        whole = 0;
    }
    if (length > LONGEST) return NULL;
    exponent -= places;
    /* Zeros in front are no digits of the number. */
    if (length > MOST_DIGITS)
        for (const char *q = first; (*q == '0' || *q == '.') && length > MOST_DIGITS; q++) length -= *q == '0';
    double v;
    if (length <= MOST_DIGITS && !digits) {
        v = 0.0;
    } else if (length <= MOST_DIGITS && digits <= (uint64_t)EXACT && exponent >= -MOST_POWER && exponent <= MOST_POWER) {
        v = exponent < 0 ? (double)digits / POWERS[-exponent] : (double)digits * POWERS[exponent];
    } else if (length <= MOST_DIGITS && exponent < 0 && exponent >= -MOST_DIVISOR) {
        v = divided(digits, -exponent);
    } else {
        char *stop;
        v = fabs(strtod(start, &stop));
        if (stop != p) return NULL; /* in a locale whose decimal point is another */
    }
    if (!(v < EXACT)) return NULL;
    /* An integer has no negative zero. */
    *value = negative && !(whole && v == 0.0) ? -v : v;
    return p;
}

/* ---- rows ---- */

/* The end of a text in quotes; null for one without an end. */
static inline const char *text_end(const char *p) {
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1]) p++;
    return *p ? p + 1 : NULL;
}

/* Reads a category by its name or its code; a column may have thousands. */
static const char *category_at(const json_columns *c, int32_t column, const char *p, const char *end, double *value) {
    int32_t first = c->level_start[column], count = c->level_start[column + 1] - first;
    if (*p == '"') {
        const char *q = text_end(p);
        int32_t low = first, high = first + count;
        while (q && low < high) {
            int32_t middle = low + (high - low) / 2, level = first + c->level_order[middle];
            int64_t length = q - p, known = c->level_text[level + 1] - c->level_text[level];
            int order = memcmp(p, c->levels + c->level_text[level], (size_t)(length < known ? length : known));
            if (!order && length == known) {
                *value = level - first;
                return q;
            }
            if (order < 0 || (!order && length < known)) high = middle;
            else low = middle + 1;
        }
        return NULL;
    }
    p = number_at(p, end, value);
    return p && *value >= 0.0 && *value < count && *value == floor(*value) ? p : NULL;
}

static inline const char *value_at(const json_columns *c, int32_t column, const char *p, const char *end,
                                   double *value) {
    if (*p == 'n') {
        *value = (double)NAN;
        return c->required[column] ? NULL : after(p, end, "null", 4);
    }
    if (c->level_start[column] != c->level_start[column + 1]) return category_at(c, column, p, end, value);
    return number_at(p, end, value);
}

static inline const char *name_at(const json_columns *c, int32_t column, const char *p, const char *end) {
    return after(p, end, c->names + c->name_start[column], c->name_start[column + 1] - c->name_start[column]);
}

/* Reads one object. `order` says which column is expected at each place: that of the row before. */
static const char *row_at(const json_columns *c, const char *p, const char *end, double *row, int32_t *order,
                          int32_t *seen, int32_t number) {
    if (*p != '{') return NULL;
    p++;
    for (int32_t place = 0; place < c->columns; place++) {
        int32_t column = order[place];
        p = skip(p);
        const char *q = name_at(c, column, p, end);
        /* Looking through all names for each name of each row would take long. */
        if (!q && number > MOST_ORDERS) return NULL;
        for (int32_t i = 1; !q && i < c->columns; i++) {
            column = order[place] + i < c->columns ? order[place] + i : order[place] + i - c->columns;
            q = name_at(c, column, p, end);
        }
        if (!q || seen[column] == number) return NULL;
        seen[column] = number, order[place] = column;
        p = skip(q);
        if (*p != ':') return NULL;
        p = value_at(c, column, skip(p + 1), end, row + column);
        if (!p) return NULL;
        p = skip(p);
        if (*p != (place + 1 < c->columns ? ',' : '}')) return NULL;
        p++;
    }
    return p;
}

static int32_t list_at(const json_columns *c, const char **text, const char *end, int32_t most, double *out,
                       int32_t *order, int32_t *seen) {
    const char *p = skip(*text);
    int32_t rows = 0;
    if (*p != '[') return OTHER_FORM;
    do {
        p = skip(p + 1);
        if (rows == most) return *p == '{' ? TOO_MANY : OTHER_FORM;
        p = row_at(c, p, end, out + (int64_t)rows * c->columns, order, seen, rows + 1);
        if (!p) return OTHER_FORM;
        rows++;
        p = skip(p);
    } while (*p == ',');
    *text = p + 1;
    return *p == ']' ? rows : OTHER_FORM;
}

/* Writes the rows of a text that ends with a zero to out (most, columns); returns their number, -1 for another form, or
   -2 for more rows. `order` and `seen` are scratch of a number a column each; `whole` says that an object is around the
   list. */
int32_t almanac_json_rows(const json_columns *c, int32_t *order, int32_t *seen, double *out, int32_t most,
                          const char *text, int32_t length, int32_t whole) {
    const char *p = skip(text), *end = text + length;
    for (int32_t i = 0; i < c->columns; i++) order[i] = i, seen[i] = 0;
    if (whole) {
        if (*p != '{' || !(p = after(skip(p + 1), end, "\"instances\"", 11))) return OTHER_FORM;
        p = skip(p);
        if (*p++ != ':') return OTHER_FORM;
    }
    int32_t rows = list_at(c, &p, end, most, out, order, seen);
    if (rows < 0) return rows;
    p = skip(p);
    if (whole) {
        if (*p != '}') return OTHER_FORM;
        p = skip(p + 1);
    }
    return p == end ? rows : OTHER_FORM;
}

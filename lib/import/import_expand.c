#include "import_cf.h"

#include <ctype.h>
#include <stdlib.h>

#define DEPTH_MAX 32
#define VALUE_MAX 65536
#define STEPS_MAX 4096

struct growing {
    char *p;
    size_t len;
    size_t *steps; /* of all the values that one has in it */
};

static void expand(const struct import_scope *s, struct growing *out, const char *text, size_t len,
                   unsigned depth);

static void put(struct growing *out, char c)
{
    if (out->len < VALUE_MAX)
        out->p[out->len++] = c;
}

static const char *value_of(const struct import_scope *s, const char *name)
{
    const struct import_item *i = s->options != NULL ? import_items_find(s->options, name) : NULL;

    if (i == NULL)
        i = import_items_find(s->items, name);
    return i != NULL ? i->value : s->default_of(s->user, name);
}

/* Length up to the brace or parenthesis that closes the one before text; all where there is none.
 */
static size_t to_close(const char *text, size_t len, char open, char close)
{
    size_t depth = 1;

    for (size_t i = 0; i < len; i++) {
        depth += text[i] == open;
        if (text[i] == close && --depth == 0)
            return i;
    }
    return len;
}

static size_t blanks(const char *text, size_t len)
{
    size_t i = 0;

    while (i < len && isspace((uint8_t)text[i]))
        i++;
    return i;
}

/* Takes "{text}" off. Returns false where there is none. */
static bool group(const char **text, size_t *len, const char **inner, size_t *inner_len)
{
    size_t skip = blanks(*text, *len);

    if (skip == *len || (*text)[skip] != '{')
        return false;
    *inner = *text + skip + 1;
    *inner_len = to_close(*inner, *len - skip - 1, '{', '}');
    size_t used = skip + 1 + *inner_len;
    used += used < *len;
    *text += used;
    *len -= used;
    return true;
}

/* "? yes", ": no", "?{yes}:{no}". */
static void choose(const struct import_scope *s, struct growing *out, bool truth, const char *text,
                   size_t len, unsigned depth)
{
    const char *inner = text + 1;
    size_t inner_len = len - 1;
    bool yes = text[0] == '?';

    text++;
    len--;
    if (group(&text, &len, &inner, &inner_len) && yes && !truth) {
        size_t skip = blanks(text, len);
        text += skip;
        len -= skip;
        if (len == 0 || text[0] != ':')
            return;
        text++;
        len--;
        inner = text;
        inner_len = len;
        group(&text, &len, &inner, &inner_len);
        yes = false;
    }
    if (yes == truth)
        expand(s, out, inner, inner_len, depth);
}

static const char *expanded(const struct import_scope *s, const char *text, size_t len,
                            unsigned depth, size_t *steps)
{
    struct growing g = {.p = malloc(VALUE_MAX), .steps = steps};

    base_assert(g.p != NULL);
    expand(s, &g, text, len, depth);
    const char *copy = import_copy(s->arena, g.p, g.len);
    free(g.p);
    return copy;
}

/* The order of two levels: 3.6 is before 3.10. */
static int level_order(const char *a, const char *b)
{
    for (unsigned i = 0; i < 3; i++) {
        char *a_end, *b_end;
        long x = strtol(a, &a_end, 10), y = strtol(b, &b_end, 10);
        if (x != y)
            return x < y ? -1 : 1;
        a = a_end + (*a_end == '.');
        b = b_end + (*b_end == '.');
    }
    return 0;
}

static bool compare(const char *a, const char *op, size_t op_len, bool level, const char *b)
{
    char *a_end, *b_end;
    long x = strtol(a, &a_end, 10), y = strtol(b, &b_end, 10);
    int order = level                                                  ? level_order(a, b)
                : *a_end == 0 && *b_end == 0 && a[0] != 0 && b[0] != 0 ? (x > y) - (x < y)
                                                                       : strcmp(a, b);
    bool equal = op_len > 1 && op[1] == '=';

    if (op[0] == '=')
        return order == 0;
    if (op[0] == '!')
        return order != 0;
    return op[0] == '<' ? order < 0 || (equal && order == 0) : order > 0 || (equal && order == 0);
}

/* What stands in ${...}. */
static void braces(const struct import_scope *s, struct growing *out, const char *text, size_t len,
                   unsigned depth)
{
    const char *left, *right;
    size_t left_len, right_len, n = blanks(text, len);

    text += n;
    len -= n;
    if (group(&text, &len, &left, &left_len)) {
        n = blanks(text, len);
        const char *op = text + n;
        size_t op_len = 0;
        while (n + op_len < len && strchr("=!<>", op[op_len]) != NULL && op[op_len] != 0)
            op_len++;
        text = op + op_len;
        len -= n + op_len;
        bool level = len > 5 && strncmp(text, "level", 5) == 0;
        text += level ? 5 : 0;
        len -= level ? 5 : 0;
        if (op_len == 0 || !group(&text, &len, &right, &right_len))
            return;
        n = blanks(text, len);
        bool truth = compare(expanded(s, left, left_len, depth, out->steps), op, op_len, level,
                             expanded(s, right, right_len, depth, out->steps));
        if (n < len)
            choose(s, out, truth, text + n, len - n, depth);
        return;
    }
    for (n = 0; n < len && text[n] != '?' && text[n] != ':';)
        n++;
    size_t name_len = n;
    while (name_len > 0 && isspace((uint8_t)text[name_len - 1]))
        name_len--;
    const char *value = value_of(s, import_copy(s->arena, text, name_len));
    if (n == len && value != NULL)
        expand(s, out, value, strlen(value), depth);
    else if (n < len)
        choose(s, out,
               value != NULL && expanded(s, value, strlen(value), depth, out->steps)[0] != 0,
               text + n, len - n, depth);
}

static void expand(const struct import_scope *s, struct growing *out, const char *text, size_t len,
                   unsigned depth)
{
    if (depth >= DEPTH_MAX || ++*out->steps > STEPS_MAX)
        return;
    for (size_t i = 0; i < len && out->len < VALUE_MAX; i++) {
        size_t n = 0;
        if (text[i] != '$' || i + 1 == len) {
            put(out, text[i]);
        } else if (text[i + 1] == '$') {
            put(out, '$');
            i++;
        } else if (text[i + 1] == '{' || text[i + 1] == '(') {
            char open = text[i + 1];
            n = to_close(text + i + 2, len - i - 2, open, open == '{' ? '}' : ')');
            braces(s, out, text + i + 2, n, depth + 1);
            i += n + 2;
        } else {
            while (i + 1 + n < len && (isalnum((uint8_t)text[i + 1 + n]) || text[i + 1 + n] == '_'))
                n++;
            const char *value = value_of(s, import_copy(s->arena, text + i + 1, n));
            if (n == 0)
                put(out, '$');
            else if (value != NULL)
                expand(s, out, value, strlen(value), depth + 1);
            i += n;
        }
    }
}

const char *import_expand(const struct import_scope *s, const char *text)
{
    size_t steps = 0;

    return expanded(s, text, strlen(text), 0, &steps);
}

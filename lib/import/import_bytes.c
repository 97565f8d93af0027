#include "import_bytes.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define BLANKS " \t\r\n"

struct import_chunk {
    struct import_chunk *next;
    size_t pad; /* what follows is aligned as malloc aligns */
};

void *import_take(struct import_arena *a, size_t bytes)
{
    struct import_chunk *c = calloc(1, sizeof(*c) + bytes);

    base_assert(c != NULL);
    c->next = a->first;
    a->first = c;
    return c + 1;
}

void import_arena_free(struct import_arena *a)
{
    while (a->first != NULL) {
        struct import_chunk *next = a->first->next;
        free(a->first);
        a->first = next;
    }
}

const char *import_copy(struct import_arena *a, const char *p, size_t len)
{
    char *text = import_take(a, len + 1);

    if (len > 0)
        memcpy(text, p, len);
    return text;
}

const char *import_formatv(struct import_arena *a, const char *format, va_list args)
{
    char *text = NULL;
    int len = vasprintf(&text, format, args);

    base_assert(len >= 0 && text != NULL);
    const char *copy = import_copy(a, text, (size_t)len);
    free(text);
    return copy;
}

const char *import_format(struct import_arena *a, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *text = import_formatv(a, format, args);
    va_end(args);
    return text;
}

const char *import_lower(struct import_arena *a, const char *text)
{
    size_t len = strlen(text);
    char *copy = import_take(a, len + 1);

    for (size_t i = 0; i < len; i++)
        copy[i] = (char)tolower((uint8_t)text[i]);
    return copy;
}

/* Length of what stands in braces at text, both included; 0: they are not closed. */
static size_t braced(const char *text)
{
    size_t depth = 0;

    for (size_t i = 0; text[i] != 0; i++) {
        depth += text[i] == '{';
        if (text[i] == '}' && --depth == 0)
            return i + 1;
    }
    return 0;
}

const char *import_next(struct import_arena *a, const char **list)
{
    const char *at = *list + strspn(*list, BLANKS ",");
    size_t len = at[0] == '{' ? braced(at) : 0;

    while (len == 0 && at[0] != 0 && strchr(BLANKS ",", at[len]) == NULL) {
        /* inline:{ a = b, c = d } is one item, too */
        size_t inner = 0;
        do {
            inner = at[len] == '{' ? braced(at + len) : 0;
            len += inner > 0 ? inner : 1;
        } while (at[len] != 0 && strchr(BLANKS ",", at[len]) == NULL);
    }
    *list = at + len;
    return len > 0 ? import_copy(a, at, len) : NULL;
}

bool import_begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

bool import_word_in(const char *words, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = words; *p != 0; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        if (n == len && strncmp(p, word, n) == 0)
            return true;
        p += n;
    }
    return false;
}

/* The physical line at l->at, without its end; moves on. */
static struct base_span physical(struct import_lines *l)
{
    const uint8_t *p = l->text.p + l->at;
    const uint8_t *end = memchr(p, '\n', l->text.len - l->at);
    size_t len = end != NULL ? (size_t)(end - p) : l->text.len - l->at;

    l->at += len + (end != NULL);
    l->next_line++;
    while (len > 0 && isspace(p[len - 1]))
        len--;
    return base_span_of(p, len);
}

static bool says_nothing(struct base_span line)
{
    size_t i = 0;

    while (i < line.len && isspace(line.p[i]))
        i++;
    return i == line.len || line.p[i] == '#';
}

/* Where the lines end that go on with the one that has just been read. */
static size_t logical_end(struct import_lines l)
{
    while (!l.whole && l.at < l.text.len) {
        size_t before = l.at;
        struct base_span s = physical(&l);
        if (!says_nothing(s) && !isspace(s.p[0]))
            return before;
    }
    return l.at;
}

const char *import_line(struct import_arena *a, struct import_lines *l, uint32_t *line)
{
    struct base_span s = {0};

    do {
        if (l->at >= l->text.len)
            return NULL;
        *line = l->next_line;
        s = physical(l);
    } while (says_nothing(s));
    size_t end = logical_end(*l), len = 0;
    char *joined = import_take(a, s.len + (end - l->at) + 1);
    for (;;) {
        for (size_t i = 0; i < s.len && !says_nothing(s); i++)
            joined[len++] = s.p[i] != 0 ? (char)s.p[i] : ' ';
        if (l->at >= end)
            return joined;
        s = physical(l);
    }
}

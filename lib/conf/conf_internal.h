/*
 * What the files of lib/conf share: memory, errors, tokens, values, the parse in progress. For this
 * folder only.
 */
#ifndef CONF_INTERNAL_H
#define CONF_INTERNAL_H

#include "conf.h"

#include <stdarg.h>

#define CONF_FILE_BYTES_MAX (1024 * 1024)
#define CONF_ATOM_BYTES_MAX 4096
#define CONF_FILE_CNT_MAX   256
#define CONF_SETTING_MAX    256 /* rows of the table */
#define CONF_KEY_CAP        320 /* "block name: key" with its NUL */
#define CONF_WHY_CAP        256

/* Memory that is freed at once. A failed allocation is remembered, so that it is looked at once. */
struct conf_arena {
    struct conf_chunk *chunks;
    bool failed;
};
void *conf_arena_take(struct conf_arena *a, size_t bytes); /* zeroed, aligned; NULL: failed */
const char *conf_arena_text(struct conf_arena *a, struct base_span s); /* a copy, or "" */
void conf_arena_free(struct conf_arena *a);

/* The nearest of some words, for "did you mean". */
struct conf_near {
    const char *text;
    const char *best;
    unsigned distance;
};
void conf_near_try(struct conf_near *n, const char *candidate);
/* "; did you mean ...?" or "". */
const char *conf_near_text(const struct conf_near *n, char out[CONF_WHY_CAP]);

/* Puts an error in its place: behind those of the same file with a smaller or equal line. */
void conf_error_add(struct conf_errors *e, const char *file, uint32_t line, const char *key,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));
void conf_error_addv(struct conf_errors *e, const char *file, uint32_t line, const char *key,
                     const char *format, va_list args) __attribute__((format(printf, 5, 0)));
static inline bool conf_errors_full(const struct conf_errors *e)
{
    return e->cnt == CONF_ERROR_MAX;
}

/* ---- tokens ---- */

enum conf_token_kind {
    CONF_TOKEN_END,
    CONF_TOKEN_WORD,
    CONF_TOKEN_STRING,
    CONF_TOKEN_PUNCT, /* one of { } = ; , */
    CONF_TOKEN_BAD,   /* why says it */
};

struct conf_token {
    enum conf_token_kind kind;
    char punct; /* 0 unless PUNCT */
    uint32_t line;
    const char *text; /* WORD, STRING: in the arena. BAD: why */
};

struct conf_lex {
    const uint8_t *p;
    const uint8_t *end;
    uint32_t line;
    struct conf_arena *arena;
};
struct conf_token conf_lex_next(struct conf_lex *l);

/* ---- the table's blocks ---- */

/* What structs of named blocks begin with. */
struct conf_named {
    const char *name;
    uint32_t line;
    const char *file;
};

struct conf_block {
    const char *name;
    const char *example; /* a name for the default file; NULL: the block has no name */
    const char *help;
    uint32_t offset;     /* in struct conf: of the struct, or of the pointer to the array */
    uint32_t cnt_offset; /* named only: of the number of instances */
    uint32_t item_bytes; /* of the struct */
    bool reloadable;     /* instances may come and go */
    bool optional;       /* named: without a name it is the example's; without a block, too */
    bool commented;      /* a file may be without: the default file shows it as a comment */
};
extern const struct conf_block conf_blocks[]; /* ended by a NULL name */

const struct conf_block *conf_block_find(const char *name);
/* Of a named block: how many there are. */
static inline uint32_t conf_block_cnt(const struct conf *c, const struct conf_block *b)
{
    return *(const uint32_t *)(const void *)((const char *)c + b->cnt_offset);
}
const struct conf_setting *conf_setting_find(const char *block, const char *key);
static inline bool conf_setting_in(const struct conf_setting *s, const struct conf_block *b)
{
    return strcmp(s->block, b->name) == 0;
}

/* "duration" */
const char *conf_type_name(enum conf_type type);

/* The instances of a block, one behind the other: an unnamed block has one. */
const char *conf_block_instances(const struct conf *c, const struct conf_block *b, uint32_t *cnt);

/* ---- values ---- */

/* As written: the items of a list, or the one item. */
struct conf_value {
    const char **item; /* borrowed; the texts live in the arena of the result */
    uint32_t cnt;
    bool list;
};

/* Writes v to its field in the block's struct at base. Returns NULL, or why it can't be: a constant
 * or a text in why. */
const char *conf_value_set(const struct conf_setting *s, void *base, const struct conf_value *v,
                           struct conf_arena *a, char why[CONF_WHY_CAP]);
/* Writes the default; a required setting becomes none. */
void conf_value_default(const struct conf_setting *s, void *base, struct conf_arena *a);
/* A number with the largest unit of its type that shows it whole. */
void conf_value_format(char out[32], enum conf_type type, uint64_t v);
bool conf_value_is_list(enum conf_type type);
/* Whether the structs of two instances have the same. */
bool conf_value_same(const struct conf_setting *s, const char *a, const char *b);
/* Why this can't name an instance of the block, or NULL. */
const char *conf_value_check_name(const struct conf_block *b, const char *name);

/* A copy of a domain in lower case. */
const char *conf_value_lower(struct conf_arena *a, const char *text);

struct conf_prefix {
    uint8_t b[16];
    unsigned len; /* bits */
    unsigned max; /* 32 or 128: tells the family */
};
/* Reads "address" or "address/length". False: it is none. */
bool conf_prefix_parse(struct conf_prefix *out, const char *text);

/* RFC 1123 section 2.1: labels of letters, digits and inner hyphens. */
bool conf_is_domain(const char *text);

/* ---- the parse ---- */

/* Where a setting was given, for duplicates and for errors found later. */
struct conf_seen {
    const char *file; /* NULL: not given */
    uint32_t line;
    bool bad; /* its value was refused */
};

struct conf_parser {
    struct conf *conf;
    struct conf_arena *arena; /* of the result */
    struct conf_errors *errors;
    struct conf_errors *warnings;
    conf_include include;
    void *user;
    struct conf_lex lex;
    struct conf_token token;
    uint32_t last_line; /* of the token before */
    const char *file;
    const char *open[CONF_INCLUDE_MAX + 1]; /* files being read, from the main one */
    uint32_t depth;
    uint32_t file_cnt;
    const struct conf_block *block;          /* NULL: outside, or unknown */
    char where[CONF_KEY_CAP];                /* "block name" of what is being read */
    void *base;                              /* its struct; NULL: unknown */
    struct conf_seen seen[CONF_SETTING_MAX]; /* by row; named blocks begin anew each time */
    const char *items[CONF_LIST_MAX];
};

/* An instance as by default, of an optional block of which none was given. */
void conf_open_default(struct conf_parser *p, const struct conf_block *b);
/* Reads a file and what it includes; the caller keeps lex, token and file. */
void conf_read_file(struct conf_parser *p, const char *file, struct base_span text);
/* Tells which required settings of a block, whose name is in p->where, were not given. */
void conf_read_required(struct conf_parser *p, const struct conf_block *b, uint32_t line);

/* What settings say about each other. The main file's name and last line serve for what is missing.
 */
void conf_check_delivery(struct conf_parser *p); /* parts of it */
void conf_check_sources(struct conf_parser *p);
void conf_check_provider(struct conf_parser *p);
/* Warnings: what has no effect, and what is hardly meant. */
void conf_check_effect(struct conf_parser *p);
void conf_check(struct conf_parser *p, const char *file, uint32_t last_line);

#endif

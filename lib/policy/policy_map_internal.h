/* What the files of maps share. For this folder only. */
#ifndef POLICY_MAP_INTERNAL_H
#define POLICY_MAP_INTERNAL_H

#include "policy_map.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/*
 * Entries lie one behind the other in the arena: line (le32), length of the key (le16), bytes of
 * the items (le32), key, items. An item is its length (le16) and its bytes; of patterns it is a
 * template. Slots of the hash table hold where an entry begins plus one; 0: free.
 */
#define POLICY_ENTRY_HEAD 10

enum policy_pattern_kind { POLICY_PATTERN_MATCH, POLICY_PATTERN_IF, POLICY_PATTERN_ENDIF };

struct policy_pattern {
    pcre2_code *code; /* NULL for endif */
    uint32_t line;
    uint32_t next; /* IF: behind its endif */
    uint32_t items_at, items_len;
    uint8_t kind;
    bool negate;
};

struct policy_map {
    char *name;
    enum policy_form form;
    enum policy_role role;
    uint8_t seed[16];
    uint8_t *arena;
    size_t arena_len, arena_cap;
    uint32_t *slots;
    uint32_t slot_mask;
    uint32_t cnt;
    struct policy_pattern *patterns;
    uint32_t pattern_cnt, pattern_cap;
};

struct policy_walk;

struct policy_work {
    pcre2_match_data *match;
    pcre2_match_context *context;
    struct policy_walk *walk; /* of this area; owned */
    size_t len;
    uint8_t bytes[POLICY_WORK_BYTES];
};

/* Lines of the file, as they are put together. */
struct policy_reader {
    struct policy_map *map;
    struct policy_notes *notes;
    struct base_span rest;        /* of the file */
    struct base_span name_domain; /* for accounts */
    uint32_t next_line;           /* number of the one that rest begins with */
    uint32_t line;                /* where the logical line began */
    uint8_t *joined;              /* room for logical lines of several */
    size_t joined_cap;
    uint32_t open[16]; /* IFs that are open */
    uint32_t open_cnt;
};

/* Sets notes->error; returns false. */
bool policy_reader_fail(struct policy_reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void policy_reader_warn(struct policy_reader *r, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends to the arena. Returns false without memory, with the error set. */
bool policy_reader_put(struct policy_reader *r, const void *p, size_t len);
/* Appends the items of a value. is_template: with $ in them. Returns false with the error set. */
bool policy_reader_items(struct policy_reader *r, struct base_span value, bool is_template,
                         size_t *bytes);

/* One logical line of a pattern file. Returns false with the error set. */
bool policy_reader_pattern(struct policy_reader *r, struct base_span line);
/* At the end of one. */
bool policy_reader_patterns_end(struct policy_reader *r);

enum policy_found policy_map_match(const struct policy_map *m, const struct policy_key *key,
                                   struct policy_work *w, struct policy_hit *hit);

static inline bool policy_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

#endif

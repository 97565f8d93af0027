/*
 * One map file: its text in, a compact immutable table out, and lookups in that.
 *
 * Forms:
 *  - text, as Postfix's texthash: "key value" a logical line; "#" comments, blank lines, lines that
 *    begin with a blank go on with the one before; a key in double quotes as a quoted local part
 *    has them; a value is a list by blanks and commas. docker-mailserver's postfix-virtual.cf is
 *    that. Of a key that comes again the first line counts, and a note tells.
 *  - patterns, as Postfix's pcre: "/pattern/flags value", "!/pattern/flags value", "if /pattern/",
 *    "endif", flags i m s x A E U X, and $1 ${1} $(1) $$ in the value. The first line that matches
 *    counts. docker-mailserver's postfix-regexp.cf is that. A captured text never becomes several
 *    items of a list: a value is split before anything is put into it.
 *  - accounts: the names of a Dovecot passwd-file ("name:...") or of docker-mailserver's
 *    postfix-accounts.cf ("name|..."); nothing else of them is read or kept.
 *
 * Left out: regexp's POSIX oddities, inline and static maps, databases.
 *
 * Threads: reading by one; a finished map by any number. Memory: the map owns all it has; a
 * lookup's result lives as long as the map, or as the work area until its next policy_work_reset.
 * Bounds: POLICY_MAP_BYTES_MAX of text, POLICY_PATTERN_MAX patterns, and limits for each match
 * (libpcre2's match, depth and heap limits): one that is over them is an error, not a miss.
 */
#ifndef POLICY_MAP_H
#define POLICY_MAP_H

#include "policy_key.h"

#define POLICY_MAP_BYTES_MAX (192u << 20)
#define POLICY_MAP_ITEM_MAX  512    /* bytes of one item of a value */
#define POLICY_PATTERN_MAX   10000  /* of a file */
#define POLICY_WORK_BYTES    131072 /* for what patterns make */
#define POLICY_NOTE_MAX      8      /* kept of a file; more are counted */

enum policy_form { POLICY_FORM_TEXT, POLICY_FORM_PATTERNS, POLICY_FORM_ACCOUNTS };

/* What a file is for: what its values may be. */
enum policy_role {
    POLICY_ROLE_ACCOUNTS,   /* who may log in; values do not matter */
    POLICY_ROLE_ALIASES,    /* where mail goes: addresses, or "@domain" for the same name there */
    POLICY_ROLE_OWNERS,     /* logins */
    POLICY_ROLE_RECIPIENTS, /* who there is; values do not matter */
    POLICY_ROLE_CNT
};

struct policy_note {
    uint32_t line; /* 0: of the whole file */
    char text[160];
};

struct policy_notes {
    struct policy_note error; /* when there is no map: the first, and the others */
    struct policy_note more[POLICY_NOTE_MAX - 1];
    uint32_t error_cnt; /* of both; what comes when there is no more room is not counted */
    struct policy_note warning[POLICY_NOTE_MAX];
    uint32_t warning_cnt; /* all of them */
    uint32_t unended;     /* the last line, when nothing ends it: the file may be half-written; 0 */
};

struct policy_map;

/* What one thread's lookups need. */
struct policy_work;
struct policy_work *policy_work_open(void) BASE_WARN_UNUSED; /* NULL: no memory */
void policy_work_close(struct policy_work *w);
/* What was found before is gone. NULL is let through. */
void policy_work_reset(struct policy_work *w);

/* Reads text. name is for messages and is copied; seed keys the hash; names without a domain get
 * the given one where the role is accounts (empty: they stay as they are). Returns the map, or NULL
 * with at least one error: reading goes on behind a line that is wrong, so that all are told. */
struct policy_map *policy_map_read(const char *name, enum policy_form form, enum policy_role role,
                                   struct base_span text, struct base_span name_domain,
                                   const uint8_t seed[16],
                                   struct policy_notes *notes) BASE_WARN_UNUSED;
void policy_map_free(struct policy_map *m);

enum policy_found {
    POLICY_FOUND_NOT,
    POLICY_FOUND,
    POLICY_FOUND_ERROR, /* a pattern took too long, or made too much */
};

/* Where it was found, and the value: items that policy_items_next takes off. */
struct policy_hit {
    const struct policy_map *map;
    uint32_t line;
    struct base_span items;
    bool unextended; /* an alias of the address without its extension, or of its whole domain */
};

/* The line of exactly that key; for maps of patterns the first that matches the text. Addresses
 * whose local part has an at sign match no pattern: which part of them a pattern means is anyone's
 * guess. */
enum policy_found policy_map_find(const struct policy_map *m, const struct policy_key *key,
                                  struct policy_work *w, struct policy_hit *hit) BASE_WARN_UNUSED;

/* Takes an item off. Returns false at the end. */
bool policy_items_next(struct base_span *items, struct base_span *item);

const char *policy_map_name(const struct policy_map *m);
bool policy_map_has_patterns(const struct policy_map *m);
uint32_t policy_map_count(const struct policy_map *m); /* keys, or patterns */
size_t policy_map_bytes(const struct policy_map *m);   /* of memory */

/* Goes over the keys of a map without patterns, in the order of the file. *at begins as 0. */
bool policy_map_next(const struct policy_map *m, size_t *at, struct base_span *key,
                     struct policy_hit *hit);

#endif

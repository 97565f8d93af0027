/*
 * Postfix's two files and its maps, read: parameters, services, entries. What they mean is said
 * elsewhere (import_internal.h).
 *
 * main.cf: "name = value" a logical line. The last of several counts.
 * master.cf: eight fields a logical line; of the arguments -o name=value and -o { name = value }.
 * Maps: the sources of texthash, hash, lmdb, btree, cdb, dbm and sdbm ("key value"), inline:{...},
 * static:value, cidr; pcre and regexp are passed on as they are.
 */
#ifndef IMPORT_CF_H
#define IMPORT_CF_H

#include "import_bytes.h"

/* A parameter as it was set. */
struct import_item {
    const char *name;
    const char *value; /* NULL: the line is no parameter, name is all of it */
    const char *where; /* "main.cf:12", "master.cf:20: submission: -o" */
    bool hidden;       /* its value has a secret in it: it is not shown */
    bool told;         /* it stands in the result */
    bool again;        /* another one with its name follows, which counts */
    struct import_item *next;
};

struct import_items {
    struct import_item *first, *last;
};

struct import_item *import_items_add(struct import_arena *a, struct import_items *items,
                                     const char *name, const char *value, const char *where);
/* The one that counts; NULL: it is not set. */
struct import_item *import_items_find(const struct import_items *items, const char *name);
/* Reads main.cf; file is for where. */
void import_cf_read(struct import_arena *a, struct import_items *items, const char *file,
                    struct base_span text);

struct import_block;

/* A service of master.cf. */
struct import_service {
    const char *name; /* smtp, 465, 127.0.0.1:10025 */
    const char *type; /* inet unix pass fifo ... */
    const char *command;
    const char *process_limit; /* "-": the default */
    const char *where;
    struct import_items options; /* -o */
    bool told;
    struct import_block *listener;    /* what it became; NULL: none */
    const struct import_items *smtpd; /* options of the smtpd that takes its mail */
    bool refuses;                     /* clients of relay: networks, who get through here */
    struct import_service *next;
};

struct import_services {
    struct import_service *first, *last;
};

struct import_service *import_services_add(struct import_arena *a, struct import_services *s,
                                           const char *name, const char *type, const char *command,
                                           const char *where);
struct import_service *import_services_find(const struct import_services *s, const char *name,
                                            const char *type);
void import_master_read(struct import_arena *a, struct import_services *s, const char *file,
                        struct base_span text);

/* Where values are looked up: options, then parameters, then what default_of says (NULL: nothing).
 */
struct import_scope {
    struct import_arena *arena;
    const struct import_items *options; /* may be NULL */
    const struct import_items *items;
    const char *(*default_of)(void *user, const char *name);
    void *user;
};

/* The value with $name, ${name}, $(name), ${name?yes}, ${name:no}, ${name?{yes}:{no}},
 * ${{a} == {b} ? {yes} : {no}} and $$ put in; cut at 64 KiB, and "" behind 32 levels. */
const char *import_expand(const struct import_scope *s, const char *text);

enum import_map_kind {
    IMPORT_MAP_ENTRIES,  /* text, inline: they can be gone through */
    IMPORT_MAP_PATTERNS, /* pcre, regexp: a file that we take as it is */
    IMPORT_MAP_STATIC,
    IMPORT_MAP_CIDR,
    IMPORT_MAP_OTHER, /* why says what it is */
};

/* A map, opened: by import_map_open of import_internal.h. */
struct import_map {
    enum import_map_kind kind;
    const char *name;      /* as written: hash:/etc/postfix/virtual */
    const char *path;      /* of its source; NULL: it has none */
    struct base_span text; /* of the file, or what stands in inline's braces */
    bool is_inline;
    const char *why;
};

struct import_entry {
    const char *key, *value; /* without quotes */
    uint32_t line;
};
/* Goes over the entries; *at begins as {0}. */
struct import_map_at {
    struct import_lines lines;
    const char *rest;
    bool begun;
};
bool import_map_next(struct import_arena *a, const struct import_map *m, struct import_map_at *at,
                     struct import_entry *e);
/* The first with the key, whatever its case; NULL: none. */
const char *import_map_find(struct import_arena *a, const struct import_map *m, const char *key);
/* Sets kind, name and why by the text, and path as it is written: nothing is read. */
void import_map_parse(struct import_arena *a, struct import_map *m, const char *text);

#endif

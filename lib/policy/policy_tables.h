/*
 * All map files of a configuration together, and what they say of an address: whose it is, where
 * mail to it goes, whether it exists.
 *
 * Orders of lookup, as Postfix's users know them:
 *  - owners and recipients, in each file: the address with its extension, without; the local part
 *    alone (with extension, without) where the domain is local; "@domain". The first that is there
 *    counts; files of patterns see the whole address. Owners of all files are taken together.
 *  - aliases: the address with its extension, without, the local part alone, in the files in their
 *    order; then the patterns; then, unless the address is an account, "@domain". So a catch-all
 *    takes nothing away from an account, as it would in Postfix.
 *
 * The rule of both ways: who gets the mail of an address may send as it.
 *
 * Threads: made by one, then immutable; any number, each with its own policy_work. Memory: owns its
 * maps.
 */
#ifndef POLICY_TABLES_H
#define POLICY_TABLES_H

#include "mail_srs.h"
#include "policy_map.h"

#define POLICY_MAP_MAX    16   /* files for a role */
#define POLICY_TARGET_MAX 4096 /* addresses that one may become, intermediate ones too */

struct policy_tables {
    struct policy_map *map[POLICY_ROLE_CNT][POLICY_MAP_MAX];
    uint32_t cnt[POLICY_ROLE_CNT];
    struct mail_srs *srs;  /* NULL: senders are not rewritten */
    char srs_domain[256];  /* which it points to, in lower case */
    uint64_t retire_token; /* its publisher's */
    struct policy_tables *next_retired;
};

struct policy_tables *policy_tables_make(void) BASE_WARN_UNUSED; /* NULL: no memory */
void policy_tables_free(struct policy_tables *t);
/* Rewritten addresses are of that domain from now on; the caller fills in keys and age. Returns
 * NULL without memory, or when the domain is too long. */
struct mail_srs *policy_tables_add_srs(struct policy_tables *t,
                                       const char *domain) BASE_WARN_UNUSED;

/* Takes the map. Returns 0, or -ENOSPC (the map stays the caller's). */
int policy_tables_add(struct policy_tables *t, enum policy_role role,
                      struct policy_map *map) BASE_WARN_UNUSED;

/* Whether the owners file m has its columns swapped: keys that are logins, values that are
 * addresses. By the accounts where there are any, else only from what can not be otherwise. *line
 * is one that shows it. */
bool policy_tables_swapped(const struct policy_tables *t, const struct policy_map *m,
                           uint32_t *line);

/* How addresses are read. Borrowed; any may be empty. */
struct policy_reading {
    char extension;                /* what begins one in a local part; 0: nothing does */
    bool propagate;                /* it goes on to the targets of an alias that has none */
    struct base_span login_domain; /* of logins without one */
    bool (*is_local)(const void *arg, struct base_span domain);
    const void *arg;
};

/* Key of a login: with the login domain where it has none. Returns 0, or -EINVAL. */
int policy_login_key(const struct policy_reading *r, struct policy_key *out,
                     struct base_span login) BASE_WARN_UNUSED;

bool policy_is_account(const struct policy_tables *t, const struct policy_reading *r,
                       const struct policy_key *address);

/* ---- ownership ---- */

enum policy_owner {
    POLICY_OWNER_NOT,
    POLICY_OWNER_ITSELF, /* the address is the account's own */
    POLICY_OWNER_ALIAS,  /* its mail goes to the account */
    POLICY_OWNER_MAP,    /* a map of owners says so */
    POLICY_OWNER_ERROR,  /* a pattern was over its limits, or an alias has too many targets */
};

/* Why, for those who ask. hit.map is NULL where no file was asked. */
struct policy_why {
    struct policy_hit hit;
    uint32_t step_cnt; /* aliases from the address to the account */
};

/* Whether login may send as address. why may be NULL. */
enum policy_owner policy_owns(const struct policy_tables *t, const struct policy_reading *r,
                              struct policy_work *w, const struct policy_key *login,
                              const struct policy_key *address, struct policy_why *why);

/* What the owners' maps say of the address, one after the other: *from begins as 0. False: no more
 * of them does. */
bool policy_find_owners(const struct policy_tables *t, const struct policy_reading *r,
                        struct policy_work *w, const struct policy_key *address, uint32_t *from,
                        struct policy_hit *hit);

/* Whether the address belongs to any account, so that nobody who is not logged in may use it. */
enum policy_found policy_has_owner(const struct policy_tables *t, const struct policy_reading *r,
                                   struct policy_work *w, const struct policy_key *address);

/* ---- recipients ---- */

/* Whether anyone has this address: a map of recipients, an account or an alias. */
enum policy_found policy_exists(const struct policy_tables *t, const struct policy_reading *r,
                                struct policy_work *w, const struct policy_key *address);

enum policy_expansion_result {
    POLICY_EXPANSION_SAME,  /* no alias: the address stays as it is */
    POLICY_EXPANSION_OTHER, /* the targets take its place */
    POLICY_EXPANSION_ERROR, /* a pattern failed, or made what is no address */
    POLICY_EXPANSION_LIMIT, /* more than max targets */
    POLICY_EXPANSION_LOOP,  /* aliases that lead to themselves alone */
};

struct policy_expansion {
    struct base_span target[POLICY_TARGET_MAX]; /* mailboxes; while map and work area last */
    uint32_t cnt;
    uint32_t line; /* of ERROR: where */
    const struct policy_map *map;
};

/* Where mail to the address goes in the end: each target once. max is at most POLICY_TARGET_MAX. */
enum policy_expansion_result policy_expand(const struct policy_tables *t,
                                           const struct policy_reading *r, struct policy_work *w,
                                           const struct policy_key *address, uint32_t max,
                                           struct policy_expansion *out);

#endif

/*
 * What is remembered of the sources that mail leaves from: how many recipients each has had on a
 * day, all together and at each site, and where one is set aside because its reputation failed
 * there.
 *
 * A site is whose next hops they are: reputation is judged by who receives, not by the domain that
 * mail is addressed to (source_site.h).
 *
 * Days are days of the wall clock (UTC, since 1970). Two are kept of each, so that a clock that
 * jumps to another day and back finds what it had counted; of what it finds no more it counts
 * afresh. Counts may be over what was delivered, never under it: they are taken before an attempt
 * and given back when it delivered less.
 *
 * Set aside: for min the first time, doubled by each further time up to max, until a delivery at
 * that site succeeds after the time was over. By now_ns, which no jump of the wall clock touches;
 * over a restart by the wall clock.
 *
 * Threads: one (the courier). Memory: taken at init, 800 KB. Bounds: SOURCE_LEDGER_MAX sources by
 * name, those gone from the settings make room; of SOURCE_SITE_MAX counts of sites those of former
 * days make room, then those of one source share one count, which only ever holds back; of
 * SOURCE_ASIDE_MAX that are set aside the one that ends first makes room. Pure.
 */
#ifndef SOURCE_LEDGER_H
#define SOURCE_LEDGER_H

#include "base_assert.h"
#include "base_bytes.h"

#include <stdbool.h>
#include <stdio.h>

#define SOURCE_LEDGER_MAX 256
#define SOURCE_SITE_MAX   8192 /* a power of two */
#define SOURCE_ASIDE_MAX  2048
#define SOURCE_NAME_CAP   32
#define SOURCE_SITE_CAP   72
#define SOURCE_WHY_CAP    128

struct source_count {
    uint64_t key;
    uint32_t day[2], cnt[2];
};

struct source_state {
    char name[SOURCE_NAME_CAP];
    bool used;                      /* by the settings */
    struct source_count all, other; /* other: of the sites that found no place */
};

struct source_aside {
    uint32_t source;
    uint32_t step;     /* how many times in a row */
    uint64_t until_ns; /* 0: the place is free */
    char site[SOURCE_SITE_CAP];
    char why[SOURCE_WHY_CAP]; /* printable ASCII */
};

struct source_ledger {
    struct source_state *sources; /* SOURCE_LEDGER_MAX; owned */
    uint32_t source_cnt;
    struct source_count *sites; /* owned */
    struct source_aside *asides;
    uint32_t aside_cnt; /* in use, though the time of some may be over */
    bool changed;       /* since source_ledger_write */
};

int source_ledger_init(struct source_ledger *l) BASE_WARN_UNUSED;
void source_ledger_fini(struct source_ledger *l);

/* The number of the source with this name, from now on one of the settings'; used is false for all
 * before each look through the settings. UINT32_MAX: all places are the settings'. */
void source_ledger_unuse(struct source_ledger *l);
uint32_t source_ledger_use(struct source_ledger *l, const char *name);

/* Recipients of a day so far, of all sites or of one. */
uint32_t source_ledger_count(const struct source_ledger *l, uint32_t source, const char *site,
                             uint32_t day);
/* As many more; or as many less, of those that were taken. */
void source_ledger_take(struct source_ledger *l, uint32_t source, const char *site, uint32_t day,
                        uint32_t cnt);
void source_ledger_give(struct source_ledger *l, uint32_t source, const char *site, uint32_t day,
                        uint32_t cnt);

/* NULL: it is not set aside there now. */
const struct source_aside *source_ledger_aside(const struct source_ledger *l, uint32_t source,
                                               const char *site, uint64_t now_ns);
/* Returns for how long. Once more while it is: nothing changes, the rest of its time. */
uint64_t source_ledger_set_aside(struct source_ledger *l, uint32_t source, const char *site,
                                 struct base_span why, uint64_t min_ns, uint64_t max_ns,
                                 uint64_t now_ns);
/* The site took mail from it: the next time begins afresh, when the last is over. */
void source_ledger_took(struct source_ledger *l, uint32_t source, const char *site,
                        uint64_t now_ns);
/* At that site, or (NULL) everywhere. Returns how many were set aside. */
uint32_t source_ledger_release(struct source_ledger *l, uint32_t source, const char *site,
                               uint64_t now_ns);

/* As text, to be read at the next start: of the last days. Appends to out; returns false when there
 * was no room, of which source_ledger_bytes is enough. */
size_t source_ledger_bytes(const struct source_ledger *l);
bool source_ledger_write(struct source_ledger *l, struct base_buf *out, uint64_t now_ns,
                         uint64_t wall_ns) BASE_WARN_UNUSED;
/* Into an empty one. Returns how many lines were none that it knows: 0, but for a file that is
 * damaged or not ours. What is set aside ends after max_ns at the latest. */
uint32_t source_ledger_read(struct source_ledger *l, struct base_span text, uint64_t max_ns,
                            uint64_t now_ns, uint64_t wall_ns);

/* ---- between source_ledger*.c ---- */

struct source_count *source_ledger_site(struct source_ledger *l, uint32_t source, uint64_t key,
                                        uint32_t day);
uint32_t *source_count_at(struct source_count *c, uint32_t day);
struct source_aside *source_ledger_place(struct source_ledger *l);

#endif

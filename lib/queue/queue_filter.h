/*
 * Which messages an operator means: words of a command ("--domain example.org --older 3600", or one
 * message's id) become a filter; a filter is asked about each entry of queue_each.
 *
 * Words stand between spaces. One with spaces in it stands in quotes, "so" or 'so', and has none of
 * its own kind inside; whoever has both kinds in a word cannot say it.
 *
 * Threads: none of its own. Memory: views of the words, which the caller keeps.
 */
#ifndef QUEUE_FILTER_H
#define QUEUE_FILTER_H

#include "queue.h"

enum queue_filter_state {
    QUEUE_FILTER_ANY,
    QUEUE_FILTER_DEFERRED,
    QUEUE_FILTER_FAILED,
    QUEUE_FILTER_HELD
};

struct queue_filter {
    struct spool_id id; /* of the only message, with by_id */
    bool by_id;
    bool all;                      /* --all: said so, for commands that ask for it */
    bool json;                     /* --json */
    struct base_span sender;       /* p NULL: any; empty: the null sender */
    struct base_span recipient;    /* p NULL: any; one that is not delivered */
    struct base_span domain;       /* p NULL: any; of a recipient that is not delivered */
    uint64_t older_ns;             /* 0: any; since arrival */
    enum queue_filter_state state; /* of a recipient that is not delivered, or held */
    /* Why a recipient is not delivered: */
    struct base_span reason; /* p NULL: any; in the last words, the code or the enhanced code,
                                in any case of letters */
    uint32_t code_min;       /* 0: any; the SMTP code is between these */
    uint32_t code_max;
    uint32_t enhanced_min; /* 0: any; the enhanced code (spool_status.h) likewise */
    uint32_t enhanced_max;
    /* A piece of a list; no conditions, and for lists alone: */
    struct spool_id after; /* --after: what is behind it, in the list's order; zero: all */
    uint64_t limit;        /* --limit: how many at most; 0: all */
    /* Whether two domains are one, of which one at least is not ASCII; set by the caller after the
     * parse. NULL: no two such are. */
    bool (*same_domain)(struct base_span a, struct base_span b);
};

/* Reads words. Returns 0; or -EINVAL and in *bad the word that is wrong, or lacks its value.
 * Conditions given together must all hold. */
int queue_filter_parse(struct queue_filter *out, struct base_span words,
                       struct base_span *bad) BASE_WARN_UNUSED;

/* True when it names a message or sets a condition. */
bool queue_filter_narrows(const struct queue_filter *f);

/* True when it means a piece of a list. */
bool queue_filter_pages(const struct queue_filter *f);

/* One recipient has to meet the conditions about recipients all together. */
bool queue_filter_match(const struct queue_filter *f, const struct queue_entry *e,
                        uint64_t wall_ns);

/* The place just before the filter's id, or that of --after, to start queue_each from there. */
struct spool_id queue_filter_start(const struct queue_filter *f);

/* Takes the next word of a command, without its quotes. *quoted: it had some, so that it is a value
 * and no option whatever it begins with. Returns 1; 0 when there is none; or -EINVAL, with the rest
 * as the word, when quotes are not closed or something follows them. */
int queue_filter_word(struct base_span *rest, struct base_span *word,
                      bool *quoted) BASE_WARN_UNUSED;

#endif

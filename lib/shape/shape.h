/*
 * Shaping by provider: which hosts are a provider's, what its replies mean for the pace of mail to
 * it, and how that pace falls and grows again. It decides nothing about messages.
 *
 * A rule is written in one line, its conditions, then what is done:
 *
 *     421                             connections=1 wait=30s
 *     4xx 4.7.28                      rate=half wait=5m
 *     45x 4.2.x /too (many|fast)/     connections=half retry
 *     451 4.7.650                     suspend=2h
 *
 *   code       three digits, x for any; the reply's, of those for now (4xx) alone
 *   enhanced   three numbers, x for any of them, * at the end of one for any rest (4.7.65*)
 *   /text/     a PCRE2 pattern found in the reply's words, without case; i m s x are not needed
 *
 *   connections=N|half   no more at a time than N, or half of what there were
 *   rate=half            half of the messages a second that there were, or that are set
 *   wait=TIME            no delivery begins for so long, twice as long with each further one, up to
 *                        SHAPE_WAIT_MAX_NS
 *   suspend=TIME         no delivery for so long, each time
 *   retry                the message goes again at once, over another connection, once
 *
 * The first rule that fits counts. Rules of the configuration come before those that are built in.
 *
 * Growth (AIMD): each SHAPE_STEP_NS in which mail was taken and no rule fitted gives one connection
 * and a tenth of the rate that was; where the configuration's limits, or what there was without
 * any, are reached again all is as before. Replies to what had begun before the last fall do not
 * count again: they are of the same cause.
 *
 * Threads: none of its own; compiled rules may be used by one thread at a time. Memory: a rule's
 * pattern is malloc'ed. Errors: text. No clock.
 */
#ifndef SHAPE_H
#define SHAPE_H

#include "base_assert.h"
#include "base_bytes.h"
#include "base_time.h"

#define SHAPE_WHY_CAP       160
#define SHAPE_ENHANCED_CAP  16
#define SHAPE_RULE_TEXT_CAP 200
#define SHAPE_STEP_NS       (60 * BASE_NS_S)
#define SHAPE_WAIT_MAX_NS   (4 * 3600 * BASE_NS_S)
#define SHAPE_TIME_MAX_NS   (7 * 86400 * BASE_NS_S)
#define SHAPE_FALLS_MAX     16 /* that are counted */

/* ---- shape_pattern.c ---- */

/* A pattern of host names: letters, digits, '-', '_', '.', and '*' for any run of these. */
bool shape_host_check(const char *pattern);
/* Without case, whole; a dot at the end of the host does not count. */
bool shape_host_match(const char *pattern, const char *host);

/* "N/s", "N/m" or "N/h" (also /min, /sec, /hour): the time for each, >= 1 us. Returns false when
 * text is none. "0": no limit, 0. */
bool shape_rate_parse(uint64_t *gap_ns, const char *text) BASE_WARN_UNUSED;
/* "20/s", "90/m", "5/h": the largest unit in which it is a whole number, about. */
#define SHAPE_RATE_TEXT_CAP 24
void shape_rate_format(char out[SHAPE_RATE_TEXT_CAP], uint64_t gap_ns);
/* "30s", "5m", "2h", "1d"; false: it is none, or over SHAPE_TIME_MAX_NS. */
bool shape_time_parse(uint64_t *ns, struct base_span text) BASE_WARN_UNUSED;

/* ---- shape_rule.c ---- */

enum shape_action { SHAPE_RATE = 1, SHAPE_CONNECTIONS = 2, SHAPE_RETRY = 4 }; /* bits */

struct shape_rule {
    uint16_t code_min, code_max;
    char enhanced[SHAPE_ENHANCED_CAP]; /* "": any */
    void *pattern;                     /* owned; NULL: any words */
    uint8_t actions;
    bool everyone;        /* built in: holds without a provider, too */
    uint32_t connections; /* with SHAPE_CONNECTIONS; 0: half */
    uint64_t wait_ns, suspend_ns;
    const char *text; /* as written; borrowed */
};

/* Reads a rule; borrows text. Returns 0 (shape_rule_fini is owed); or -EINVAL with a sentence in
 * why. */
int shape_rule_parse(struct shape_rule *out, const char *text,
                     char why[SHAPE_WHY_CAP]) BASE_WARN_UNUSED;
void shape_rule_fini(struct shape_rule *r);

struct shape_reply {
    uint16_t code;         /* 0: there was none */
    const char *enhanced;  /* "": none */
    struct base_span text; /* raw bytes */
};
bool shape_rule_fits(const struct shape_rule *r, const struct shape_reply *reply);

/* Those that are built in, by number from 0; NULL: there are no more. */
const char *shape_rule_builtin(uint32_t number, bool *everyone);

/* ---- shape_state.c ---- */

struct shape_limits {
    uint32_t connections; /* 0: any number */
    uint64_t gap_ns;      /* for a message; 0: as they come */
};

struct shape_state {
    struct shape_limits set; /* by the configuration */
    struct shape_limits now; /* in force */
    struct shape_limits was; /* when it first fell */
    bool low;                /* now is less than was */
    uint64_t fell_ns;        /* the last time; what began before does not count again */
    uint64_t step_ns;        /* of the next growth */
    uint64_t until_ns;       /* no delivery before; 0: none is barred */
    uint32_t fall_cnt;       /* without growth between them */
    uint64_t hit_cnt;        /* replies that a rule fitted, in all */
    bool taken;              /* mail was, since the last step */
    /* Messages begun in this and the last window, for a rate where none is set. */
    uint64_t window_ns;
    uint32_t begun_cnt, begun_before_cnt;
};

/* The configuration's limits, at first or changed: what has fallen stays low under them. */
void shape_state_set(struct shape_state *s, const struct shape_limits *limits);
void shape_state_begun(struct shape_state *s, uint64_t now_ns);
/* A rule fitted the reply to what began then; job_cnt are out. Returns whether anything changed. */
bool shape_state_hit(struct shape_state *s, const struct shape_rule *r, uint32_t job_cnt,
                     uint64_t begun_ns, uint64_t now_ns);
/* Mail was taken. */
void shape_state_taken(struct shape_state *s);
/* Grows if it is time. Returns whether anything changed; s->low tells whether all is as before. */
bool shape_state_step(struct shape_state *s, uint64_t now_ns);
/* As if nothing had been (an operator's resume). */
void shape_state_forget(struct shape_state *s);
/* When shape_state_step is to be called; BASE_NS_NONE: never. */
uint64_t shape_state_deadline(const struct shape_state *s);

#endif

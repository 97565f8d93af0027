/*
 * The reports' way out: the counts of all days, what has become of each report, and the work on
 * those that are due (RFC 8460 sections 3 to 5).
 *
 *   a day is closed   once what was counted before midnight UTC has been handed over: nothing is
 *                     added to it any more, so that a report that is tried again is the same one
 *   a domain's report is due at a time after midnight that is its own, up to spread_s later;
 *                     then its TXT record is asked for; who has none gets none
 *   it is tried       at its https URIs, one after the other, until one takes it; again with
 *                     growing pauses, for RETRY_S from the first attempt on
 *   mailto            is left out: reports by mail without a DKIM signature are to be ignored
 *                     (RFC 8460 section 3), and we have none; told in the journal
 *
 * One report a domain and a day: its first attempt is journalled before it is made, its end after
 * it. A crash between the two, or an answer that is lost, has the same report sent again, by the
 * same report-id, by which its receiver knows it.
 *
 * What is kept is lines (tlsrpt_state.h), appended as they come, and written anew when most of
 * them say what no longer matters. Where that fails nothing is sent until it succeeds.
 *
 * Threads: its owner's. Memory: counts by config.bytes_max; TLSRPT_JOURNAL_MAX entries.
 * Times: seconds since 1970 UTC, by a clock that may jump.
 */
#ifndef TLSRPT_SENDER_H
#define TLSRPT_SENDER_H

#include "tlsrpt_state.h"

#define TLSRPT_SLOTS       4     /* reports under way at a time */
#define TLSRPT_JOURNAL_MAX 20000 /* the oldest that are over are forgotten */
#define TLSRPT_KEEP_DAYS   30    /* of entries */
#define TLSRPT_OLD_DAYS    7     /* no report of a day that is longer ago is begun */
#define TLSRPT_RETRY_S     86400 /* RFC 8460 section 5.5 */

struct tlsrpt_config {
    const char *organization, *contact, *hostname; /* borrowed until the next configure */
    uint64_t spread_s;
    uint64_t backoff_min_s; /* doubles with each round of URIs, up to BACKOFF_MAX_S */
};
#define TLSRPT_BACKOFF_MAX_S 7200

struct tlsrpt_ops {
    /* Asks for the TXT records of the name; the answer comes by tlsrpt_sender_answer. False: not
     * now. */
    bool (*ask)(void *user, uint32_t slot, const char *name);
    /* POSTs the body, application/tlsrpt+gzip, which stays until tlsrpt_sender_posted. */
    bool (*post)(void *user, uint32_t slot, struct base_span uri, struct base_span body);
    /* Appends to the file; sync: it is on the disk when this returns. 0 or a negative error. */
    int (*append)(void *user, struct base_span bytes, bool sync);
    /* The file is this from now on. */
    int (*replace)(void *user, struct base_span bytes);
    void (*log)(void *user, bool warning, const char *text);
};

enum tlsrpt_slot_state { TLSRPT_FREE, TLSRPT_ASKING, TLSRPT_POSTING };
struct tlsrpt_slot {
    uint8_t state;
    uint32_t day, len;
    uint8_t name[TLSRPT_DOMAIN_MAX + 1];
    char uri[TLSRPT_URI_TEXT_CAP];
    uint32_t uri_cnt; /* https ones of the record */
    struct tlsrpt_text body;
};

struct tlsrpt_tally {
    uint64_t sent_cnt, failed_cnt, given_up_cnt, none_cnt, mailto_cnt, lost_cnt, write_failed_cnt;
};

struct tlsrpt_sender {
    struct tlsrpt_config config;
    const struct tlsrpt_ops *ops;
    void *user;
    struct tlsrpt_counts counts;
    struct tlsrpt_journal journal;
    struct tlsrpt_slot slot[TLSRPT_SLOTS];
    uint32_t closed;   /* the last day that is */
    bool stale;        /* the file lacks something: it is to be written anew */
    uint64_t next_s;   /* nothing is done before */
    size_t file_bytes; /* appended since it was written anew */
    size_t whole_bytes;
    struct tlsrpt_tally tally;
};

/* file: what was kept (p NULL: nothing). Returns 0, or -ENOMEM; a file that cannot be read, or not
 * all of it, is told of. */
int tlsrpt_sender_init(struct tlsrpt_sender *s, const struct tlsrpt_config *config,
                       const struct tlsrpt_ops *ops, void *user, size_t bytes_max,
                       const uint8_t key[16], struct base_span file,
                       uint64_t now_s) BASE_WARN_UNUSED;
void tlsrpt_sender_fini(struct tlsrpt_sender *s);
void tlsrpt_sender_configure(struct tlsrpt_sender *s, const struct tlsrpt_config *config);

/* Takes counts that were handed over at taken_s, all that was counted before it: days before that
 * one are closed. */
void tlsrpt_sender_take(struct tlsrpt_sender *s, const struct tlsrpt_counts *from,
                        uint64_t taken_s);

/* Begins what is due. */
void tlsrpt_sender_run(struct tlsrpt_sender *s, uint64_t now_s);

enum tlsrpt_answer { TLSRPT_ANSWER_RECORDS, TLSRPT_ANSWER_NONE, TLSRPT_ANSWER_UNKNOWN };
/* text: of RECORDS, one for each; why: of UNKNOWN. */
void tlsrpt_sender_answer(struct tlsrpt_sender *s, uint32_t slot, enum tlsrpt_answer answer,
                          const struct base_span *text, uint32_t cnt, const char *why,
                          uint64_t now_s);
/* status: of HTTP; 0: none came, why tells. */
void tlsrpt_sender_posted(struct tlsrpt_sender *s, uint32_t slot, uint32_t status, const char *why,
                          uint64_t now_s);

/* When the domain's report of a closed day is due. */
uint64_t tlsrpt_sender_due(const struct tlsrpt_sender *s, const struct tlsrpt_domain *d);
/* Writes the file anew if something of it is missing. */
void tlsrpt_sender_save(struct tlsrpt_sender *s);

#endif

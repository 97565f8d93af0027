/*
 * What outlives a restart: counts, and what became of reports, as lines of one file that is only
 * appended to and now and then written anew:
 *
 *   sluice-tlsrpt 1                                            the first line
 *   c day domain n policy...                                   n successful sessions more
 *   f day domain n result sending-ip mx ip reason policy...    n failed ones more
 *   j day domain state first last attempts id uri why          a report: the last such line counts
 *   d day domain                                               the day's counts are done with
 *   . crc32c                                                   of the lines since the last such one
 *
 * Fields stand between tabs (tlsrpt_text.h), days and times are decimal, since 1970. Lines count
 * once the line "." behind them is there: after a crash the last of them may be cut off, or may
 * lack bytes, and are passed over.
 *
 * Threads: pure. Memory: malloc, of the journal's entries.
 */
#ifndef TLSRPT_STATE_H
#define TLSRPT_STATE_H

#include "tlsrpt_record.h"
#include "tlsrpt_report.h"

#define TLSRPT_URI_TEXT_CAP (TLSRPT_URI_BYTES_MAX + 1)

enum tlsrpt_state {
    TLSRPT_BEGUN,   /* it was tried, and may be tried again */
    TLSRPT_SENT,    /* taken by the one who wants it */
    TLSRPT_SKIPPED, /* wanted in a way that we do not have */
    TLSRPT_GIVEN_UP,
    TLSRPT_NONE, /* nobody wants one: such an entry is gone */
    TLSRPT_STATE_CNT
};
const char *tlsrpt_state_name(enum tlsrpt_state state);

#define TLSRPT_WHY_CAP 160

struct tlsrpt_entry {
    struct base_list node; /* by the time when they were begun */
    uint32_t day, attempt_cnt;
    uint8_t state;            /* enum tlsrpt_state */
    uint64_t first_s, last_s; /* attempts */
    uint64_t next_s;          /* not before; not kept over restarts */
    char id[TLSRPT_ID_CAP];
    char uri[TLSRPT_URI_TEXT_CAP]; /* the last one that was tried */
    char why[TLSRPT_WHY_CAP];      /* it was not taken */
    uint32_t len;
    uint8_t name[]; /* followed by NUL */
};

struct tlsrpt_journal {
    struct base_list entries;
    uint32_t cnt;
};

void tlsrpt_journal_init(struct tlsrpt_journal *j);
void tlsrpt_journal_fini(struct tlsrpt_journal *j);
struct tlsrpt_entry *tlsrpt_journal_find(const struct tlsrpt_journal *j, uint32_t day,
                                         struct base_span domain);
struct tlsrpt_entry *tlsrpt_journal_add(struct tlsrpt_journal *j, uint32_t day,
                                        struct base_span domain);
void tlsrpt_journal_remove(struct tlsrpt_journal *j, struct tlsrpt_entry *e);

/* Lines; none of them counts before tlsrpt_state_end has put the "." for all of t from start. */
void tlsrpt_state_begin(struct tlsrpt_text *t); /* the first line of a file */
void tlsrpt_state_counts(struct tlsrpt_text *t, const struct tlsrpt_counts *c, uint32_t closed);
void tlsrpt_state_entry(struct tlsrpt_text *t, const struct tlsrpt_entry *e);
void tlsrpt_state_done(struct tlsrpt_text *t, uint32_t day, struct base_span domain);
void tlsrpt_state_end(struct tlsrpt_text *t, size_t start);

/* Reads a file. Returns how many pieces of it were passed over (0: whole; the tail that a crash has
 * left counts as one), or -EINVAL: it is no such file. */
int tlsrpt_state_read(struct tlsrpt_counts *c, struct tlsrpt_journal *j,
                      struct base_span file) BASE_WARN_UNUSED;

#endif

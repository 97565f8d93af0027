/* What spool_recover.c (files, headers, the chain) and spool_scan.c (batches, messages) share. */
#ifndef SPOOL_RECOVERY_H
#define SPOOL_RECOVERY_H

#include "spool_internal.h"

enum { SPOOL_AHEAD_CNT = 16 };

/* Summaries that were asked for; that of the log's i-th segment at i % SPOOL_AHEAD_CNT. */
struct spool_ahead {
    struct spool_ahead_read {
        uint8_t *data; /* NULL: not asked for */
        uint32_t len;
        bool under_way;
        bool good;
    } read[SPOOL_AHEAD_CNT];
    uint64_t bytes;
    uint32_t next; /* to be asked for */
};

struct spool_recovery {
    struct spool *s;
    char *err;
    size_t err_cap;
    uint8_t *data; /* bytes of a segment */
    uint32_t cap;
    uint32_t len;
    uint64_t offset; /* of data */
    uint32_t slot;   /* whose bytes these are */
    uint32_t batch_bytes_max;
    uint32_t corrupt_cnt;
    bool exact; /* fetch reads no more than is wanted */
    struct spool_ahead ahead;
    struct spool_message *first; /* of those found: nearly the order of their ids */
    struct spool_message *last;
    uint32_t last_crc; /* of the newest segment's last good batch */
    /* Inspection: gets what is damaged; segment is the file's number, 0: none in particular. */
    void (*tell)(void *arg, uint32_t segment, uint64_t offset, const char *text);
    void *tell_arg;
    uint32_t unreadable_slot; /* told last */
    uint64_t unreadable_offset;
};

/* spool_recover.c */
/* Tells what is damaged, at offset of the slot or (SPOOL_SLOT_NONE) in no place. Returns 0 when the
 * operator wants to go on, or -EBADMSG. */
__attribute__((format(printf, 4, 5))) int spool_recovery_corrupt(struct spool_recovery *r,
                                                                 uint32_t slot, uint64_t offset,
                                                                 const char *format, ...);
/* Makes room for the segments, reads their headers, puts the log together. *cnt: files. */
int spool_recovery_chain(struct spool_recovery *r, uint32_t *cnt) BASE_WARN_UNUSED;
/* Fills r->data from offset on with at least want bytes, or as many as there are; again: from the
 * disk in any case. Returns 0 or an error, which is in err. */
int spool_recovery_fetch(struct spool_recovery *r, uint32_t slot, uint64_t offset, uint32_t want,
                         bool again) BASE_WARN_UNUSED;

/* spool_ahead.c */
/* Asks for the summaries of the i-th segment of the log and some behind it. */
void spool_ahead_run(struct spool_recovery *r, uint32_t i);
/* A read that another one's waiting has polled. */
void spool_ahead_done(struct spool_recovery *r, uint32_t index, int64_t result);
/* The summary, waiting for it; valid until spool_ahead_end. NULL: not there. */
const uint8_t *spool_ahead_find(struct spool_recovery *r, uint32_t i, uint64_t *len);
void spool_ahead_end(struct spool_recovery *r, uint32_t i);
/* Waits for what is under way. */
void spool_ahead_fini(struct spool_recovery *r);

/* spool_scan.c */
/* Reads one segment of the log. limit_lsn: first of the next segment, UINT64_MAX for the newest. */
int spool_recovery_scan(struct spool_recovery *r, uint32_t slot,
                        uint64_t limit_lsn) BASE_WARN_UNUSED;
/* Whether the batch at offset is valid, reading again what seems not to be: 1, 0 or an error. */
int spool_recovery_batch(struct spool_recovery *r, uint32_t slot, uint64_t offset,
                         struct spool_batch_header *h, const uint8_t **data) BASE_WARN_UNUSED;
/* Looks behind a bad batch for those that tell what was committed: the highest lsn told, or 0. */
int spool_recovery_committed(struct spool_recovery *r, uint32_t slot, uint64_t offset,
                             uint64_t *lsn) BASE_WARN_UNUSED;
/* Takes a record, which lies at offset of the segment, into the index. */
int spool_recovery_apply(struct spool_recovery *r, const struct spool_record *rec, uint32_t slot,
                         uint64_t offset) BASE_WARN_UNUSED;
/* Keeps the messages that are whole, to be told; drops what was never committed. */
int spool_recovery_finish(struct spool_recovery *r) BASE_WARN_UNUSED;

/* spool_summary.c */
/* Reads the summary of the i-th segment of the log, of which the next segment's header tells.
 * Returns 1, 0 when there is no good one, or an error. */
int spool_summary_recover(struct spool_recovery *r, uint32_t i,
                          const struct spool_segment_header *next) BASE_WARN_UNUSED;

#endif

/* What spool_recover.c (files, headers, the chain) and spool_scan.c (batches, messages) share. */
#ifndef SPOOL_RECOVERY_H
#define SPOOL_RECOVERY_H

#include "spool_internal.h"

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
/* Reads the segment's summary, of which the next segment's header tells. Returns 1, 0 when there is
 * no good one, or an error. */
int spool_summary_recover(struct spool_recovery *r, uint32_t slot,
                          const struct spool_segment_header *next) BASE_WARN_UNUSED;

#endif

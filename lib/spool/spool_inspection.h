/* What spool_inspect.c (messages) and spool_inspect_scan.c (segments) share. */
#ifndef SPOOL_INSPECTION_H
#define SPOOL_INSPECTION_H

#include "spool_inspect.h"
#include "spool_recovery.h"

/* A record other than a piece of which nothing but its header can be read. */
struct spool_inspect_lost {
    struct spool_id id;
    uint64_t place;
    uint8_t type;
};

/* In place of the version: a header made up from the segment's first batch. */
#define SPOOL_INSPECT_GUESSED UINT32_MAX

struct spool_inspect {
    struct spool_inspect_config config;
    struct spool_inspect_totals totals;
    struct stats_block stats; /* recovery counts; nobody looks */
    struct spool spool;       /* only what recovery fills is in use */
    struct spool_recovery recovery;

    uint64_t *bad; /* places of damaged pieces, ascending from spool_inspect_scan's end on */
    uint32_t bad_cnt;
    uint32_t bad_cap;
    struct spool_inspect_lost *lost;
    uint32_t lost_cnt;
    uint32_t lost_cap;

    struct spool_message **messages; /* by id */
    uint64_t message_cnt;
    uint8_t *envelope; /* of the message looked at */
    uint8_t *summary;  /* of the segment being read */
};

/* spool_inspect.c */
/* Tells a finding of no message; slot SPOOL_SLOT_NONE: in no place. */
__attribute__((format(printf, 5, 6))) void spool_inspect_tell(struct spool_inspect *in, bool damage,
                                                              uint32_t slot, uint64_t offset,
                                                              const char *format, ...);

/* spool_inspect_scan.c */
/* Reads the log's segment number i, counted from the oldest. */
int spool_inspect_scan(struct spool_inspect *in, uint32_t i) BASE_WARN_UNUSED;

#endif

/*
 * A look at a spool that no gateway has open: everything in it is read and checked, nothing is
 * ever written. For the operator's tool, not for the gateway.
 *
 * Other than a start of the gateway it reads all batches, not the summaries in their place (those
 * it compares), and it goes on behind damage: records that are whole are taken out of damaged
 * batches, and what a summary knows of damaged ones. So it tells which messages are touched, and
 * reads more of a damaged spool than a gateway that was told to go on past the damage. Blocks that
 * the disk cannot read (-EIO) are damage, too, and passed.
 *
 * Left out: repair.
 *
 * Threads: one. Memory: the index of all messages (malloc), one segment's summary, 1 MiB of a
 * segment. It blocks on the disk, of whose operations it uses submit and poll for reads, wait,
 * segment_list and segment_open.
 */
#ifndef SPOOL_INSPECT_H
#define SPOOL_INSPECT_H

#include "spool.h"

struct spool_inspect;

struct spool_finding {
    bool damage;      /* false: normal, as a torn tail after a power failure is */
    bool of_message;  /* then id tells which */
    uint32_t segment; /* number of the file; 0: none in particular */
    uint64_t offset;  /* in it */
    struct spool_id id;
    const char *text; /* what it is and means; borrowed for the call */
};

struct spool_inspect_config {
    struct spool_disk disk;                                        /* borrowed for life */
    void (*found)(void *arg, const struct spool_finding *finding); /* may be NULL */
    void *arg;
};

struct spool_inspect_totals {
    uint32_t segment_cnt; /* files */
    uint32_t log_cnt;     /* of them in use */
    uint32_t summary_cnt; /* good ones */
    uint32_t damage_cnt;  /* findings that are damage */
    uint64_t batch_cnt;   /* whole */
    uint64_t record_cnt;  /* whole */
    uint64_t queued_cnt;  /* messages; damaged ones are not among them */
    uint64_t damaged_cnt;
    uint64_t unfinished_cnt; /* never acknowledged: a start drops them */
    uint64_t content_bytes;  /* of queued and damaged ones */
};

enum spool_inspect_state {
    SPOOL_INSPECT_QUEUED,
    SPOOL_INSPECT_DAMAGED,    /* acknowledged, and parts are lost */
    SPOOL_INSPECT_UNFINISHED, /* its COMMIT is not there */
};

struct spool_inspect_message {
    struct spool_id id;
    enum spool_inspect_state state;
    uint64_t content_bytes; /* as its COMMIT tells; unfinished: what is there */
    uint32_t piece_cnt;
    struct base_span envelope; /* len 0: it is lost. Valid until the next message is asked for */
    const struct spool_outcome *outcomes; /* by recipient, outcome_cnt; later ones have none */
    uint32_t outcome_cnt;
    bool held; /* by the operator */
};

struct spool_inspect_piece {
    uint32_t segment; /* 0: it is nowhere */
    uint64_t offset;  /* of its record */
    uint32_t len;
    uint8_t part; /* enum spool_part */
    bool damaged;
};

/*
 * Reads all. Returns 0, whatever was found; -EPROTO for another format version; or the error of a
 * disk that cannot be read, or -ENOMEM. err gets a sentence then.
 */
int spool_inspect_open(struct spool_inspect **out, const struct spool_inspect_config *config,
                       char *err, size_t err_cap) BASE_WARN_UNUSED;
void spool_inspect_close(struct spool_inspect *in);

void spool_inspect_totals(const struct spool_inspect *in, struct spool_inspect_totals *out);

/* Messages in the order of their ids, from index 0. Returns 1, 0 behind the last one, or -ENOMEM.
 */
int spool_inspect_message(struct spool_inspect *in, uint64_t index,
                          struct spool_inspect_message *out) BASE_WARN_UNUSED;
/* Piece n of message index, both in range. The content is the pieces of the header section, then
 * those of the body, each in order of n. */
void spool_inspect_piece(const struct spool_inspect *in, uint64_t index, uint32_t n,
                         struct spool_inspect_piece *out);
/* Its bytes, checked, at *p until the next call. Returns 0, -EBADMSG when it is damaged or
 * nowhere, or the disk's error. */
int spool_inspect_read(struct spool_inspect *in, uint64_t index, uint32_t n,
                       struct base_span *out) BASE_WARN_UNUSED;

#endif

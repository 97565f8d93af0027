/*
 * The spool: message bytes made durable in a log of segments, group commit, recovery. What lies on
 * disk: FORMAT.md (version 1).
 *
 * Left out: several spools (one instance each), and any knowledge of delivery.
 *
 * A message is a transaction: BEGIN (envelope), CHUNKs, COMMIT. Only COMMIT makes it exist. After
 * that it takes OUTCOMEs (what became of recipients) until FREE. Entries of one transaction come in
 * order; transactions interleave freely. The spool gathers what has come while the last commits
 * were on their way, and writes it as one batch (group commit; no timer, no waiting when idle).
 *
 * Completions come in the order of the log; none before all that it depends on is on stable storage
 * (G1). After a failed write nothing covered by it is reported durable; its bytes are written again
 * from memory into a new segment once, then reported as failed (G5).
 *
 * Driving it: spool_push(entries) spool_run(now) spool_poll(completions), over and over.
 *
 * Threads: one (the spooler). Memory: the index grows with the number of messages (malloc; this is
 * no lane). Bytes at entry.p are borrowed, and entry.buf moves to the spool, until the completion.
 */
#ifndef SPOOL_H
#define SPOOL_H

#include "spool_buf.h"
#include "spool_disk.h"
#include "spool_envelope.h"
#include "spool_id.h"
#include "stats.h"
#include "stats_log.h"

struct spool;

enum spool_op {
    SPOOL_BEGIN = 1, /* p: envelope (or its first piece) */
    SPOOL_CHUNK,     /* p: bytes of part */
    SPOOL_COMMIT,    /* the transaction is whole */
    SPOOL_ABORT,     /* drop it; no completion but for buf */
    SPOOL_OUTCOME,   /* p: spool_outcome records */
    SPOOL_FREE,      /* the message is over */
    SPOOL_READ,      /* fill buf with message bytes (header section, then body) from offset */
    SPOOL_ARRIVED,   /* completion only, for the courier: a message exists (new or recovered) */
    SPOOL_RELEASE,   /* completion only: buf goes home */
    SPOOL_DAMAGED,   /* completion only, for the courier: bytes of a message are lost, READ of them
                        gives -EBADMSG; it is to be given up and freed */
};

enum spool_part { SPOOL_PART_ENVELOPE = 1, SPOOL_PART_HEADER = 2, SPOOL_PART_BODY = 3 };

/* An entry of a hand-over ring: one cache line, copied whole. */
struct spool_entry {
    struct spool_id id;
    uint8_t op;    /* enum spool_op */
    uint8_t part;  /* CHUNK: enum spool_part */
    uint16_t from; /* the ring that gets the completion: a lane's number, or the courier's */
    uint32_t len;  /* bytes at p; READ: wanted, <= SPOOL_BUF_BYTES */
    const uint8_t *p;
    struct spool_buf *buf; /* released with this entry: the last one that refers to it */
    void *cookie;          /* handed back */
    uint64_t offset;       /* READ: in the message's content */
    uint64_t reserved;
} BASE_CACHE_ALIGNED;
base_static_assert(sizeof(struct spool_entry) == 64, "one cache line");

/*
 * A completion: one for each BEGIN, CHUNK, COMMIT, OUTCOME, FREE and READ entry that has a buf or
 * is a COMMIT, OUTCOME, FREE or READ; and ARRIVED. BEGIN and CHUNK come as RELEASE when durable or
 * failed; a transaction with a failed piece fails at COMMIT with the first error.
 */
struct spool_done {
    struct spool_id id;
    uint8_t op;
    uint8_t pad;
    uint16_t to;    /* the entry's from; ARRIVED: SPOOL_TO_COURIER */
    int32_t status; /* 0, or -EIO, -ENOSPC, -ENOENT (READ, OUTCOME, FREE, COMMIT of an unknown id),
                       -EBADMSG (READ: checksum), -EINVAL (COMMIT: no valid envelope; OUTCOME: not
                       of its recipients), -EEXIST (COMMIT: of a message that is there), -ENOMEM */
    struct spool_buf *buf; /* moves to the receiver */
    void *cookie;
    uint32_t len; /* READ: bytes in buf; 0 at the end of the message */
    uint32_t reserved;
    struct spool_arrival *arrival; /* ARRIVED: moves to the receiver */
    uint64_t reserved2;
} BASE_CACHE_ALIGNED;
base_static_assert(sizeof(struct spool_done) == 64, "one cache line");

#define SPOOL_TO_COURIER UINT16_C(0xffff)
#define SPOOL_TO_NOBODY  UINT16_C(0xfffe) /* of an entry: it gets no completion */

/* What the courier needs to know of a message. From malloc; the receiver frees it by
 * spool_arrival_free. */
struct spool_arrival {
    uint64_t content_bytes; /* header section and body */
    uint32_t recipient_cnt;
    uint32_t envelope_len;
    uint8_t *envelope;              /* inside this allocation */
    struct spool_outcome *outcomes; /* the last one of each recipient, by index; inside too */
    bool held;                      /* as journalled last for SPOOL_OUTCOME_MESSAGE */
};
void spool_arrival_free(struct spool_arrival *a);

enum spool_outcome_state {
    SPOOL_OUTCOME_QUEUED = 0, /* nothing happened yet */
    SPOOL_OUTCOME_DEFERRED = 1,
    SPOOL_OUTCOME_DELIVERED = 2,
    SPOOL_OUTCOME_FAILED = 3,
};

/* The recipient that stands for the message itself: its state tells whether it is held (1) or not
 * (0), all else of it is zero. */
#define SPOOL_OUTCOME_MESSAGE UINT32_MAX

#define SPOOL_OUTCOME_WARNED 1 /* the sender was told of the delay */

/* Payload of OUTCOME entries: an array of these. On disk in this form, little-endian. */
struct spool_outcome {
    uint32_t recipient;    /* index in the envelope, or SPOOL_OUTCOME_MESSAGE */
    uint8_t state;         /* enum spool_outcome_state */
    uint8_t flags;         /* SPOOL_OUTCOME_WARNED */
    uint16_t code;         /* SMTP code, 0: none */
    uint16_t attempt_cnt;  /* stays at its largest value */
    uint16_t age_min;      /* of the message then, in minutes of running time (lib/queue) */
    uint32_t enhanced;     /* spool_status.h; 0: none */
    uint64_t next_wall_ns; /* DEFERRED: not before; QUEUED: when it was put back, 0: never */
};
base_static_assert(sizeof(struct spool_outcome) == 24, "as FORMAT.md");

struct spool_config {
    struct spool_disk disk;    /* borrowed for life */
    const char *name;          /* for log lines; borrowed; NULL: none */
    uint64_t segment_bytes;    /* multiple of 1 MiB, >= 1 MiB (tests) */
    uint32_t segment_max;      /* >= 4; the spool's size is their product */
    uint32_t reserve_segments; /* kept for OUTCOME, FREE and moving, >= 2 */
    uint32_t commit_max;       /* batches in flight, 1..8 */
    uint32_t batch_bytes_max;  /* of one batch; multiple of 4 KiB, >= 64 KiB */
    uint64_t memory_bytes;     /* for what was written last, so that READ of it needs no disk;
                                  0: all is read from the disk; <= 1 GiB */
    uint64_t
        write_timeout_ns;   /* a write that takes longer: no new mail until it ends; 0: for ever */
    bool accept_corruption; /* start past a bad record in the middle: report and go on */
    struct stats_block *stats; /* borrowed */
    struct stats_log *log;     /* borrowed; may be NULL */
    uint64_t seed;             /* salts; from getrandom in production */
};

/*
 * Opens the spool: recovers what is there (blocking; ARRIVED completions follow for each message)
 * or starts an empty one. Returns 0; -EBADMSG with a sentence in err when acknowledged records are
 * damaged; -EPROTO when a whole segment header
 * has another version (nothing was touched, also with accept_corruption); -ENOSPC when not even the
 * first segments fit; -EIO, -ENOMEM.
 */
int spool_open(struct spool **out, const struct spool_config *config, uint64_t now_ns, char *err,
               size_t err_cap) BASE_WARN_UNUSED;

/* Waits for the I/O under way and frees everything; unreported completions are lost with it (what
 * they tell is on disk). Buffers still inside go nowhere: close after the lanes stopped. */
void spool_close(struct spool *s);

/*
 * The spool's number, which stands in the ids of its messages. It lies on disk with the first
 * segment: until then it is 0, and spool_is_numbered is false.
 */
uint8_t spool_number(const struct spool *s);
bool spool_is_numbered(const struct spool *s);
/* Gives a number to a spool that has none; before the first spool_run. */
void spool_set_number(struct spool *s, uint8_t number);
/* Which spool it is, wherever its directory lies. */
const uint8_t *spool_uuid(const struct spool *s);

/* Takes an entry. Returns 0, or -EAGAIN when too much is pending: run and poll first (that is the
 * backpressure to the ring). */
int spool_push(struct spool *s, const struct spool_entry *entry) BASE_WARN_UNUSED;

/* Composes and submits what may go, handles I/O completions, makes and recycles segments. */
void spool_run(struct spool *s, uint64_t now_ns);

uint32_t spool_poll(struct spool *s, struct spool_done *done, uint32_t cap);

/* When spool_run should be called next even if no I/O completes (retry of segment creation, of
 * writing; a write that takes too long; steps that are ready now: a time not in the future);
 * BASE_NS_NONE when there is no need.
 */
uint64_t spool_deadline(const struct spool *s);

/* True while new messages can be taken: segments beyond the reserve are free and writes succeed.
 * Otherwise *why is static text ("spool is full", "spool cannot write", "spool's disk does not
 * answer": a write takes longer than write_timeout_ns). As of the last run; each change is a line
 * in the log. */
bool spool_accepting(const struct spool *s, const char **why);

/* True when every entry is written, or has failed; completions may wait, and segments be moved. */
bool spool_settled(const struct spool *s);

/* True when nothing is pending or in flight. */
bool spool_idle(const struct spool *s);

struct spool_usage {
    uint64_t message_cnt; /* committed and not free */
    uint64_t open_cnt;    /* transactions under way */
    uint64_t live_bytes;
    uint32_t segment_cnt;  /* that exist */
    uint32_t segment_free; /* that hold nothing live */
};
void spool_usage(const struct spool *s, struct spool_usage *out);

#endif

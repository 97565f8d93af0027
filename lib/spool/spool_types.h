/*
 * What the engine's inside is made of: segments, messages and their pieces, batches, readers, the
 * spool itself. What is done with it: spool_internal.h. For the files of lib/spool alone.
 */
#ifndef SPOOL_TYPES_H
#define SPOOL_TYPES_H

#include "base_rand.h"
#include "base_time.h"
#include "spool_format.h"

enum {
    SPOOL_PENDING_MAX = 4096, /* entries inside at a time */
    SPOOL_DONE_CAP = 4 * SPOOL_PENDING_MAX,
    SPOOL_SEGMENT_EXTRA = 4, /* files above segment_max that may be made when nothing else helps */
    SPOOL_READER_CNT = 16,
    SPOOL_TELL_EXTRA = 2 * SPOOL_READER_CNT + 1, /* completions that no entry asked for */
    SPOOL_TELL_MAX = 256, /* completions waiting, above which recovered messages are not told */
    SPOOL_READ_SCRATCH_BYTES = SPOOL_PIECE_BYTES_MAX + 3 * SPOOL_BLOCK_BYTES,
    SPOOL_COMMIT_CNT_MAX = 8,
    SPOOL_BATCH_START_BYTES = 256 << 10, /* not larger when it can be written at once */
    SPOOL_ENVELOPE_BYTES_MAX = 16 << 20,
    SPOOL_AHEAD_MAX = 16,              /* segments that are made ahead of the need */
    SPOOL_AHEAD_FREE = 16,             /* and as much room has to be left to others by that */
    SPOOL_ZERO_BYTES = 1 << 20,        /* a write to a new segment, when mail is about to need it */
    SPOOL_ZERO_CALM_BYTES = 256 << 10, /* and otherwise: what a commit may have to wait for */
    SPOOL_SUMMARY_SHARE = 8,           /* a summary is at most this part of a segment */
};

#define SPOOL_RETRY_MIN_NS (100 * BASE_NS_MS)
#define SPOOL_RETRY_MAX_NS (10 * BASE_NS_S)
#define SPOOL_SLOT_NONE    UINT32_MAX

/* An I/O's cookie: what it is for, and the number of that. */
enum spool_io_kind {
    SPOOL_IO_BATCH = 1,
    SPOOL_IO_HEADER,
    SPOOL_IO_ZERO,
    SPOOL_IO_MOVE,
    SPOOL_IO_READER,
    SPOOL_IO_SUMMARY,
    SPOOL_IO_BLOCKING, /* recovery */
    SPOOL_IO_AHEAD,    /* likewise */
};

static inline uint64_t spool_cookie(enum spool_io_kind kind, uint32_t index)
{
    return (uint64_t)kind << 32 | index;
}

/* A record's place: slot of the segment and offset in it; 0 is none (the header lies there). */
static inline uint64_t spool_place(uint32_t slot, uint64_t offset)
{
    return (uint64_t)slot << 40 | offset;
}

static inline uint32_t spool_place_slot(uint64_t place)
{
    return (uint32_t)(place >> 40);
}

static inline uint64_t spool_place_offset(uint64_t place)
{
    return place & ((UINT64_C(1) << 40) - 1);
}

enum spool_segment_state {
    SPOOL_SEGMENT_ABSENT,  /* no file */
    SPOOL_SEGMENT_ZEROING, /* being written over for the first time */
    SPOOL_SEGMENT_READY,   /* in the free list */
    SPOOL_SEGMENT_OPENING, /* its header is on the way */
    SPOOL_SEGMENT_ACTIVE,
    SPOOL_SEGMENT_SEALED,
    SPOOL_SEGMENT_LEAVING, /* damaged, nothing in it is needed; the next header says so */
    SPOOL_SEGMENT_ASIDE,   /* damaged, kept for the operator: never written */
    SPOOL_SEGMENT_STATES,
};

struct spool_segment {
    struct spool_segment_header header; /* while in the log */
    uint32_t number;
    uint8_t state;
    uint64_t bytes;
    uint64_t offset;         /* end of what was composed; while ZEROING of what was zeroed */
    uint64_t live_bytes;     /* of records that are needed */
    uint32_t state_refs;     /* messages whose outcomes begin here */
    uint32_t read_refs;      /* reads under way */
    uint64_t durable_end;    /* end of its durable batches */
    uint64_t summary_offset; /* 0: none was written */
    uint32_t summary_len;
    bool damaged; /* goes aside when nothing in it is needed */
};

/* A piece of a message and where it lies. There may be very many: 12 bytes. */
struct spool_extent {
    uint32_t offset_8; /* in the segment, in units of 8 bytes; 0: nowhere */
    uint32_t slot;
    uint16_t len;
    uint8_t part;
    uint8_t reserved;
};
base_static_assert(SPOOL_PIECE_BYTES_MAX <= UINT16_MAX, "spool_extent.len");

/* What spool_extent.offset_8 reaches. */
#define SPOOL_SEGMENT_BYTES_MAX (UINT64_C(8) << 32)

enum spool_message_state {
    SPOOL_MESSAGE_OPEN,
    SPOOL_MESSAGE_COMMITTING, /* COMMIT composed */
    SPOOL_MESSAGE_QUEUED,
    SPOOL_MESSAGE_FREEING, /* FREE composed: nothing more may be written of it */
    SPOOL_MESSAGE_GONE,    /* out of the table, waits for its references */
};

/* What is known of a message only until it is durable, or (recovery) told. */
struct spool_coming {
    uint8_t *envelope;
    uint32_t envelope_cap;
    bool envelope_seen;             /* recovery: its first piece is there, and nothing else */
    uint32_t piece_cnt;             /* recovery: as COMMIT tells */
    struct spool_arrival *arrival;  /* while committing */
    struct spool_message *next;     /* recovery: as they were found, then as they are to be told */
    struct spool_message *previous; /* as they were found */
    uint8_t near[];                 /* where the envelope begins, as long as it fits */
};

enum { SPOOL_EXTENT_INLINE = 2 };

/* There is one for each queued message, so every byte counts: a small message is an envelope and a
 * body, one piece each. */
struct spool_message {
    struct spool_id id;
    struct spool_message *hash_next;
    union {
        struct spool_extent near[SPOOL_EXTENT_INLINE];
        struct spool_extent *far; /* when extent_cnt is larger than that */
    } extents;
    uint32_t extent_cnt;
    uint32_t envelope_len;
    uint64_t content_bytes;
    uint64_t commit_place;
    struct spool_outcome *outcomes; /* spool_message_rows: by recipient, outcome_cnt, then with
                                       has_own the message's; NULL: nothing happened yet */
    struct spool_coming *coming;    /* NULL: durable, and told */
    uint32_t outcome_cnt;
    uint32_t recipient_cnt;
    uint32_t state_slot; /* the segment where its outcomes begin */
    uint32_t ref_cnt;    /* effects and reads under way */
    int32_t status;
    uint8_t state;
    bool commit_seen : 1;  /* recovery */
    bool state_moving : 1; /* STATE is composed, not yet durable */
    bool has_own : 1;     /* an outcome of the message itself lies behind those of its recipients */
    bool lacks_parts : 1; /* recovery, past corruption: its content cannot be put together */
};
/* With its bucket in the table a queued message of two pieces takes 128 bytes at most. */
base_static_assert(sizeof(struct spool_message) <= 112, "memory of a queued message");

static inline struct spool_extent *spool_extent_at(struct spool_message *m, uint32_t i)
{
    return m->extent_cnt <= SPOOL_EXTENT_INLINE ? &m->extents.near[i] : &m->extents.far[i];
}

static inline const struct spool_extent *spool_extent_of(const struct spool_message *m, uint32_t i)
{
    return m->extent_cnt <= SPOOL_EXTENT_INLINE ? &m->extents.near[i] : &m->extents.far[i];
}

static inline uint64_t spool_extent_place(const struct spool_extent *e)
{
    return e->offset_8 == 0 ? 0 : spool_place(e->slot, (uint64_t)e->offset_8 * 8);
}

struct spool_pending {
    struct spool_entry entry;
    struct spool_pending *next;
    uint32_t done_bytes; /* of entry.p that became records */
    bool started;
};

struct spool_fifo {
    struct spool_pending *head;
    struct spool_pending *tail;
};

/* What a record in a batch does when it becomes durable. */
struct spool_effect {
    struct spool_message *message; /* a reference is held */
    struct spool_pending *pending; /* ends with this record; or NULL */
    uint32_t offset;               /* of the record in the batch */
    uint32_t len;                  /* of the payload */
    uint32_t sequence;
    uint8_t type;
    uint8_t part;
    bool moved;
};

enum spool_batch_state {
    SPOOL_BATCH_OPEN,
    SPOOL_BATCH_FILLED,
    SPOOL_BATCH_WRITING,
    SPOOL_BATCH_OK,
    SPOOL_BATCH_BAD
};

struct spool_batch {
    uint8_t *data;
    struct spool_effect *effects;
    uint32_t effect_cnt;
    uint32_t used;
    uint32_t room; /* it may grow to */
    uint32_t commit_cnt;
    uint32_t commit_max; /* it takes no more of them */
    uint32_t len;
    uint32_t slot;
    uint64_t offset;
    uint64_t lsn;
    uint64_t submit_ns;
    uint8_t state;
    uint8_t failure_cnt;
};

/* A durable batch whose bytes are still in memory. */
struct spool_recent_batch {
    uint64_t sequence; /* of its segment */
    uint64_t offset;   /* in it */
    uint64_t at;       /* in memory */
    uint64_t len;
};

/* The memory that batches are composed in, around and around: what is durable stays readable there
 * until a later batch takes its place. */
struct spool_recent {
    uint8_t *data;
    uint64_t cap;
    uint64_t head;                    /* the next batch is composed here */
    struct spool_recent_batch *batch; /* a ring, oldest first; ascending by sequence and offset */
    uint32_t batch_cap;
    uint32_t batch_head;
    uint32_t batch_cnt;
};

struct spool_reader {
    struct spool_message *message; /* NULL: idle */
    struct spool_pending *pending; /* READ; NULL: the envelope of a recovered message */
    struct spool_arrival *arrival;
    uint8_t *dest;
    uint8_t *scratch;
    uint64_t offset; /* next byte wanted, in the content or the envelope */
    uint32_t wanted;
    uint32_t filled;
    uint32_t slot;
    uint32_t extent;
    uint64_t place;
    uint8_t try_cnt;
    bool waits; /* for room in the disk's queue */
    bool under_way;
};

enum spool_summary_state { SPOOL_SUMMARY_NONE, SPOOL_SUMMARY_GATHERING, SPOOL_SUMMARY_WRITING };

/* Of the active segment. */
struct spool_summary {
    uint8_t state;
    uint8_t *data; /* grows up to its share of a segment, and stays */
    uint32_t cap;
    uint32_t len;
    uint32_t row_cnt;
    uint32_t batch_bytes_max;
    uint32_t write_len;
    uint64_t submit_ns;
};

enum spool_move_state {
    SPOOL_MOVE_IDLE,
    SPOOL_MOVE_READING,
    SPOOL_MOVE_SCAN,
    SPOOL_MOVE_SALVAGE,
    SPOOL_MOVE_DRAIN,
};

enum spool_salvage_job {
    SPOOL_SALVAGE_NONE,
    SPOOL_SALVAGE_STATE,
    SPOOL_SALVAGE_COMMIT,
    SPOOL_SALVAGE_PIECE, /* to be read */
    SPOOL_SALVAGE_READ,  /* and was */
};

struct spool_mover {
    uint8_t state;
    bool submitted;
    uint32_t slot;
    uint8_t *data;
    uint32_t cap;
    uint32_t len;        /* bytes at data */
    uint64_t offset;     /* of data in the segment */
    uint32_t at;         /* in data: the next record */
    uint32_t batch_end;  /* in data: end of the records of this batch */
    uint32_t batch_next; /* in data: the batch after it */
    uint32_t outcome_at; /* of the message whose STATE is being written */
    uint32_t under_way;  /* effects not yet durable */
    uint32_t error_cnt;
    uint64_t retry_ns; /* after a bad read */
    uint8_t job;       /* salvage: enum spool_salvage_job, from here on */
    uint8_t try_cnt;
    uint32_t bucket; /* of the index: where the walk is */
    uint32_t job_extent;
    struct spool_message *job_message; /* a reference is held */
};

struct spool {
    struct spool_config config;
    struct base_rand rand;
    uint64_t now_ns;
    uint8_t uuid[16];
    bool uuid_known;
    uint8_t number; /* of the spool */

    struct spool_segment *segments; /* by slot */
    uint32_t segment_cap;
    uint32_t state_cnt[SPOOL_SEGMENT_STATES]; /* of segments, by state */
    uint32_t *log;                            /* slots, oldest first; a ring */
    uint32_t log_head;
    uint32_t log_cnt;
    uint32_t *ready; /* slots, longest free first; a ring */
    uint32_t ready_head;
    uint32_t ready_cnt;
    uint32_t
        ready_want; /* so many are made ahead; grows when mail has used up all but the reserve */
    uint32_t zeroing_slot;
    bool zero_under_way;
    bool zeroing_ahead;       /* of the need */
    uint32_t zero_len;        /* of what is under way */
    uint64_t create_retry_ns; /* 0: no failure */
    uint64_t create_backoff_ns;
    uint8_t *zeros;
    uint8_t *header_block;
    uint32_t opening_slot; /* its header is to be written or under way */
    bool header_under_way;
    uint64_t header_submit_ns;
    uint64_t next_sequence;
    uint32_t damaged_cnt; /* segments of the log that are to go aside */
    bool need_segment;    /* no more composing in the active one: switch when drained */

    /* A ring: those under way, behind them one that is being composed meanwhile; one more, because
     * that one is submitted before what it follows, and is durable, was taken out. */
    struct spool_batch batches[SPOOL_COMMIT_CNT_MAX + 2];
    uint32_t batch_cap; /* of the ring: commit_max + 2 */
    struct spool_recent recent;
    uint32_t batch_head;
    uint32_t batch_cnt; /* without the open one */
    bool batch_open;
    uint32_t batch_under_way;
    uint64_t durable_lsn;
    uint64_t next_lsn;
    uint32_t previous_crc;
    bool failed;          /* a write failed: drain, then write again */
    bool rewriting;       /* a new segment is being opened for batches that are kept */
    bool broken;          /* repeated failure: new writes fail until a header can be written */
    uint32_t failure_cnt; /* in a row */
    uint64_t probe_ns;
    uint64_t probe_backoff_ns;
    const char *refusal; /* of new messages: why; NULL: they are taken */

    struct spool_message **table;
    struct spool_message *found; /* the last one; NULL: none. A message's entries come together */
    uint32_t table_mask;
    uint32_t message_cnt; /* in the table */
    uint64_t queued_cnt;
    uint64_t open_cnt;
    uint64_t live_bytes;
    struct spool_message *recovered; /* to be told, in the order of the log */
    struct spool_message *recovered_tail;

    struct spool_pending *pendings;
    struct spool_pending *pending_free;
    uint32_t pending_cnt;
    struct spool_fifo data;  /* BEGIN CHUNK COMMIT ABORT */
    uint32_t commit_waits;   /* of these COMMIT */
    struct spool_fifo state; /* OUTCOME FREE */
    struct spool_fifo reads;

    struct spool_mover mover;
    struct spool_summary summary;
    struct spool_reader readers[SPOOL_READER_CNT];
    uint32_t reader_cnt; /* busy */

    struct spool_done *done;
    uint32_t done_head;
    uint32_t done_cnt;
};

#endif

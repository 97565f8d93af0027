/*
 * The engine's inside, shared by the files of lib/spool alone. Its structs: spool_types.h.
 *
 *   spool.c          open, close, push, poll, what is told to the outside
 *   spool_index.c    messages by id, extents, live bytes
 *   spool_segment.c  making, zeroing, opening and freeing segments
 *   spool_commit.c   batches: submitted, durable, failed
 *   spool_compose.c  entries become records
 *   spool_recent.c   the memory of batches, and what was written last, read from there
 *   spool_summary.c  what spares a start the bodies
 *   spool_move.c     the oldest segment's live records go to the head
 *   spool_salvage.c  the same when it is damaged
 *   spool_status.c   enhanced status codes as numbers
 *   spool_read.c     READ, and the envelopes of recovered messages
 *   spool_recover.c  files, headers, the chain of segments
 *   spool_ahead.c    summaries read before they are wanted
 *   spool_scan.c     the log read from the start
 *   spool_inspect.c, spool_inspect_scan.c  the same for whoever only looks
 */
#ifndef SPOOL_INTERNAL_H
#define SPOOL_INTERNAL_H

#include "spool_types.h"

/* spool.c */
void spool_finish(struct spool *s, struct spool_pending *p, int status, uint32_t len);
struct spool_done *spool_done_add(struct spool *s);
void spool_log_event(struct spool *s, enum stats_log_event event, uint64_t n, uint32_t m,
                     const char *text);
static inline void spool_fifo_push(struct spool_fifo *f, struct spool_pending *p)
{
    p->next = NULL;
    if (f->head == NULL)
        f->head = p;
    else
        f->tail->next = p;
    f->tail = p;
}
static inline struct spool_pending *spool_fifo_pop(struct spool_fifo *f)
{
    struct spool_pending *p = f->head;
    if (p != NULL)
        f->head = p->next;
    return p;
}

/* spool_index.c */
int spool_index_init(struct spool *s) BASE_WARN_UNUSED;
void spool_index_fini(struct spool *s);
/* Makes ready for so many messages, as far as memory allows. */
void spool_index_reserve(struct spool *s, uint64_t cnt);
struct spool_message *spool_message_find(struct spool *s, const struct spool_id *id);
/* It will be looked for soon, and after _more very soon: so that memory need not be waited for. */
void spool_message_expect(const struct spool *s, const struct spool_id *id);
void spool_message_expect_more(const struct spool *s, const struct spool_id *id);
/* A new one, in the table, or NULL. Room for that much of its envelope, which spool_coming_keep
 * adds to, comes with it. */
struct spool_message *spool_message_add(struct spool *s, const struct spool_id *id,
                                        uint32_t envelope_bytes);
/* Adds to the envelope in memory, of which len bytes are there. Returns 0 or -ENOMEM. */
int spool_coming_keep(struct spool_coming *c, uint32_t len, const uint8_t *p,
                      uint32_t more) BASE_WARN_UNUSED;
void spool_coming_forget(struct spool_coming *c);
/* Takes it out of the table and gives back its space; its memory goes with its last reference. */
void spool_message_drop(struct spool *s, struct spool_message *m);
void spool_message_unref(struct spool *s, struct spool_message *m);
/* Makes room for extents up to index sequence; pointers to earlier ones end. Returns 0, -ENOMEM, or
 * -E2BIG. */
int spool_message_extents(struct spool_message *m, uint32_t sequence) BASE_WARN_UNUSED;
/* The piece lies at place from now on; an earlier place is given back. */
void spool_message_place(struct spool *s, struct spool_message *m, uint32_t sequence,
                         uint64_t place);
/* The piece lies nowhere from now on. */
void spool_message_unplace(struct spool *s, struct spool_message *m, uint32_t sequence);
void spool_message_place_commit(struct spool *s, struct spool_message *m, uint64_t place);
/* Outcomes begin at slot; with replace also when they began elsewhere. */
void spool_message_state_at(struct spool *s, struct spool_message *m, uint32_t slot, bool replace);
/* Takes over outcomes into memory. Returns 0 or -ENOMEM. */
int spool_message_outcomes(struct spool_message *m, const uint8_t *payload,
                           uint32_t len) BASE_WARN_UNUSED;
/* Outcomes in memory: those of recipients and, as the last one, that of the message. */
static inline uint32_t spool_message_rows(const struct spool_message *m)
{
    return m->outcome_cnt + m->has_own;
}
static inline bool spool_message_held(const struct spool_message *m)
{
    return m->has_own && m->outcomes[m->outcome_cnt].state == 1;
}
/* It is durable and told. */
void spool_message_settled(struct spool_message *m);
struct spool_arrival *spool_arrival_make(const struct spool_message *m, const uint8_t *envelope);

/* spool_segment.c */
static inline struct spool_segment *spool_log_at(struct spool *s, uint32_t i)
{
    return &s->segments[s->log[(s->log_head + i) % s->segment_cap]];
}
static inline uint32_t spool_log_slot(const struct spool *s, uint32_t i)
{
    return s->log[(s->log_head + i) % s->segment_cap];
}
/* All changes of a segment's state while running; spool_segments_count once after recovery. */
void spool_segment_set_state(struct spool *s, struct spool_segment *g,
                             enum spool_segment_state state);
void spool_segments_count(struct spool *s);
/* The segment that is written to, or NULL. */
struct spool_segment *spool_active(struct spool *s);
void spool_segment_ready(struct spool *s, uint32_t slot);
void spool_log_append(struct spool *s, uint32_t slot);
uint64_t spool_live_limit(const struct spool *s);
bool spool_full(const struct spool *s);
/* One more file should be made, be it now or at create_retry_ns. */
bool spool_spare_wanted(const struct spool *s);
/* The oldest segment holds nothing live any more. */
bool spool_reclaimable(const struct spool *s);
/* Creates, zeroes, frees; opens the next one when it is needed and all is drained. */
void spool_segments_run(struct spool *s);
void spool_zero_done(struct spool *s, int64_t result);
void spool_header_done(struct spool *s, int64_t result);
/* It goes aside as soon as what is needed of it was moved. */
void spool_segment_damaged(struct spool *s, uint32_t slot);
/* Seals the active segment; it leaves the log when nothing in it is durable. */
void spool_segment_seal(struct spool *s);

/* spool_commit.c */
void spool_batch_done(struct spool *s, uint32_t index, int64_t result);
void spool_commit_run(struct spool *s);
/* Gives the batch its place in the active segment, with all checksums, and tries to submit it. */
void spool_batch_place(struct spool *s, struct spool_batch *b);
/* Puts batches that were kept through a failure into the new segment. */
void spool_rewrite(struct spool *s);
/* The header of a new segment could not be written. */
void spool_header_failed(struct spool *s);
/* Something waits to become a batch. */
bool spool_waiting(const struct spool *s);

static inline uint32_t spool_blocks(uint32_t bytes)
{
    return (bytes + SPOOL_BLOCK_BYTES - 1) & ~(uint32_t)(SPOOL_BLOCK_BYTES - 1);
}

/* The i-th oldest; batch_cnt is the open one, if there is any. */
static inline struct spool_batch *spool_batch_at(struct spool *s, uint32_t i)
{
    return &s->batches[(s->batch_head + i) % s->batch_cap];
}
static inline uint32_t spool_batch_cnt(const struct spool *s)
{
    return s->batch_cnt + s->batch_open;
}

/* spool_recent.c */
int spool_recent_init(struct spool *s) BASE_WARN_UNUSED;
void spool_recent_fini(struct spool *s);
/* Memory for a batch of up to batch_bytes_max; the oldest batches are forgotten for it. */
uint8_t *spool_recent_take(struct spool *s);
/* The batch ends at len; the next one may begin behind it. */
void spool_recent_end(struct spool *s, const struct spool_batch *b);
/* The batch is durable where it is: readable from now on. */
void spool_recent_add(struct spool *s, const struct spool_batch *b);
/* The len bytes at place, or NULL when they are on disk alone. They stay until the next batch is
 * begun. */
const uint8_t *spool_recent_find(const struct spool *s, uint64_t place, uint32_t len);

/* spool_compose.c */
/* Room for len bytes of payload in the batch. */
static inline bool spool_batch_fits(const struct spool_batch *b, uint32_t len)
{
    return b->used + spool_record_bytes(len) <= b->room;
}
void spool_batch_add(struct spool *s, struct spool_batch *b, const struct spool_record *r,
                     struct spool_message *m, struct spool_pending *p, bool moved);
/* Fills an empty batch with what waits; sets s->need_segment when the segment is too full. */
void spool_compose(struct spool *s, struct spool_batch *b);
/* Ends all that waits to be written with -EIO. */
void spool_fail_waiting(struct spool *s);

/* spool_move.c */
bool spool_move_wanted(const struct spool *s);
void spool_move_run(struct spool *s);
void spool_move_read_done(struct spool *s, int64_t result);
void spool_move_compose(struct spool *s, struct spool_batch *b);
void spool_move_restart(struct spool *s);
/* All outcomes of the message, into the batch. False: no room for the rest of them. */
bool spool_move_state(struct spool *s, struct spool_batch *b, struct spool_message *m);
/* Checks the batch at data (len bytes of it are there), which lies at offset in the segment, with
 * all its records, but for its place in the chain. Returns 1 and its header, 0 when more bytes are
 * needed, -EBADMSG when it is not valid. */
int spool_batch_check(const uint8_t *data, uint32_t len, uint64_t offset,
                      const struct spool_segment_header *segment,
                      struct spool_batch_header *out) BASE_WARN_UNUSED;

/* spool_summary.c */
void spool_summary_begin(struct spool *s);
/* This segment gets none. */
void spool_summary_give_up(struct spool *s);
/* Takes over the records of a batch that is durable. */
void spool_summary_add(struct spool *s, const struct spool_batch *b);
/* What it will take at the segment's end, about. */
uint32_t spool_summary_room(const struct spool *s);
/* True when the next segment may be opened: it is written, or there is none. Else it is being
 * written. */
bool spool_summary_settled(struct spool *s);
void spool_summary_done(struct spool *s, int64_t result);

/* spool_salvage.c */
void spool_salvage_begin(struct spool *s);
void spool_salvage_run(struct spool *s);
void spool_salvage_read_done(struct spool *s, int64_t result);
/* Something was found and waits to be composed. */
bool spool_salvage_waits(const struct spool *s);
void spool_salvage_compose(struct spool *s, struct spool_batch *b);

/* spool_read.c */
void spool_readers_run(struct spool *s);
/* Tells the courier that bytes of the message are lost. */
void spool_damage_tell(struct spool *s, const struct spool_message *m);
void spool_reader_done(struct spool *s, uint32_t index, int64_t result);

/* spool_recover.c */
int spool_recover(struct spool *s, char *err, size_t err_cap) BASE_WARN_UNUSED;

#endif

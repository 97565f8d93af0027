/*
 * Recovery's reading: batch by batch into the index, the end of the log, what is damaged, and what
 * the messages are in the end.
 */
#include "spool_recovery.h"

#include <errno.h>
#include <stdlib.h>

/* Spares reading it again when the courier is told, as far as it is in one piece. */
static void envelope_keep(struct spool_message *m, const struct spool_record *r)
{
    struct spool_coming *c = m->coming;
    if (c->envelope_seen || r->payload == NULL)
        return;
    c->envelope_seen = spool_coming_keep(c, 0, r->payload, r->len) == 0;
}

static void found_append(struct spool_recovery *r, struct spool_message *m)
{
    m->coming->previous = r->last;
    if (r->last == NULL)
        r->first = m;
    else
        r->last->coming->next = m;
    r->last = m;
}

static void found_remove(struct spool_recovery *r, const struct spool_message *m)
{
    const struct spool_coming *c = m->coming;
    if (c->previous == NULL)
        r->first = c->next;
    else
        c->previous->coming->next = c->next;
    if (c->next == NULL)
        r->last = c->previous;
    else
        c->next->coming->previous = c->previous;
}

/* The message that a record is of; NULL and 0: it ended with it. */
static struct spool_message *message_of(struct spool_recovery *r, const struct spool_record *rec,
                                        bool first_piece, int *rc)
{
    struct spool_message *m = spool_message_find(r->s, &rec->id);
    *rc = 0;
    if (rec->type == SPOOL_RECORD_FREE) {
        if (m != NULL) {
            found_remove(r, m);
            spool_message_drop(r->s, m);
        }
        return NULL;
    }
    if (m != NULL)
        return m;
    m = spool_message_add(r->s, &rec->id, first_piece && rec->payload != NULL ? rec->len : 0);
    if (m == NULL)
        *rc = -ENOMEM;
    else
        found_append(r, m);
    return m;
}

static int apply(struct spool_recovery *recovery, const struct spool_record *r, uint64_t place)
{
    struct spool *s = recovery->s;
    bool first =
        r->type == SPOOL_RECORD_PIECE && r->part == SPOOL_PART_ENVELOPE && r->sequence == 0;
    struct spool_commit c;
    int rc;
    struct spool_message *m = message_of(recovery, r, first, &rc);

    if (m == NULL)
        return rc;
    switch ((enum spool_record_type)r->type) {
    case SPOOL_RECORD_PIECE:
        if (first)
            envelope_keep(m, r);
        rc = spool_message_extents(m, r->sequence);
        if (rc < 0)
            return rc;
        struct spool_extent *e = spool_extent_at(m, r->sequence);
        if (e->offset_8 != 0 && e->len != r->len)
            return -EBADMSG;
        e->len = (uint16_t)r->len;
        e->part = r->part;
        spool_message_place(s, m, r->sequence, place);
        break;
    case SPOOL_RECORD_COMMIT:
        spool_commit_read(r->payload, &c);
        m->commit_seen = true;
        m->content_bytes = c.content_bytes;
        m->coming->piece_cnt = c.piece_cnt;
        m->recipient_cnt = c.recipient_cnt;
        m->envelope_len = c.envelope_len;
        spool_message_place_commit(s, m, place);
        break;
    case SPOOL_RECORD_OUTCOME:
    case SPOOL_RECORD_STATE:
        rc = spool_message_outcomes(m, r->payload, r->len);
        spool_message_state_at(s, m, spool_place_slot(place), r->type == SPOOL_RECORD_STATE);
        break;
    case SPOOL_RECORD_FREE:
        break;
    }
    return rc;
}

int spool_recovery_apply(struct spool_recovery *r, const struct spool_record *rec, uint32_t slot,
                         uint64_t offset)
{
    int rc = apply(r, rec, spool_place(slot, offset));
    if (rc == -EBADMSG || rc == -E2BIG)
        rc = spool_recovery_corrupt(r, slot, offset,
                                    "segment %u: a record contradicts an earlier one",
                                    r->s->segments[slot].number);
    return rc;
}

static int batch_apply(struct spool_recovery *r, const uint8_t *data,
                       const struct spool_batch_header *h, uint32_t slot, uint64_t offset)
{
    uint64_t salt = r->s->segments[slot].header.salt;
    uint32_t at = SPOOL_BATCH_HEADER_LEN;
    for (uint32_t i = 0; i < h->record_cnt; i++) {
        struct spool_record rec;
        int rc = spool_record_read(data + at, h->used - at, salt, offset + at, &rec);
        base_assert(rc == 0);
        rc = spool_recovery_apply(r, &rec, slot, offset + at);
        if (rc < 0)
            return rc;
        at += spool_record_bytes(rec.len);
    }
    if (h->len > r->batch_bytes_max)
        r->batch_bytes_max = h->len;
    return 0;
}

int spool_recovery_batch(struct spool_recovery *r, uint32_t slot, uint64_t offset,
                         struct spool_batch_header *h, const uint8_t **data)
{
    const struct spool_segment *g = &r->s->segments[slot];
    for (int try = 0; try < 3; try++) {
        int rc = spool_recovery_fetch(r, slot, offset, SPOOL_BLOCK_BYTES, try > 0);
        if (rc < 0)
            return rc;
        *data = r->data + (offset - r->offset);
        rc = spool_batch_check(*data, r->len - (uint32_t)(offset - r->offset), offset, &g->header,
                               h);
        if (rc == 0) {
            rc = spool_recovery_fetch(r, slot, offset, h->len, false);
            if (rc < 0)
                return rc;
            *data = r->data + (offset - r->offset);
            rc = spool_batch_check(*data, r->len - (uint32_t)(offset - r->offset), offset,
                                   &g->header, h);
        }
        if (rc == 1)
            return 1;
    }
    return 0;
}

int spool_recovery_committed(struct spool_recovery *r, uint32_t slot, uint64_t offset,
                             uint64_t *lsn)
{
    const struct spool_segment *g = &r->s->segments[slot];
    *lsn = 0;
    for (uint64_t at = offset; at < g->bytes; at += SPOOL_BLOCK_BYTES) {
        struct spool_batch_header h;
        int rc = spool_recovery_fetch(r, slot, at, SPOOL_BLOCK_BYTES, false);
        if (rc < 0)
            return rc;
        if (spool_batch_header_read(r->data + (at - r->offset), &h) == 0 &&
            h.sequence == g->header.sequence && h.salt == g->header.salt && h.committed_lsn > *lsn)
            *lsn = h.committed_lsn;
    }
    return 0;
}

/* The operator wants what is left: the next whole batch behind a bad one. 1, 0 or an error. */
static int salvage_next(struct spool_recovery *r, uint32_t slot, uint64_t *offset, uint64_t *lsn,
                        uint64_t limit_lsn, uint32_t *crc)
{
    const struct spool_segment *g = &r->s->segments[slot];
    for (uint64_t at = *offset + SPOOL_BLOCK_BYTES; at < g->bytes; at += SPOOL_BLOCK_BYTES) {
        struct spool_batch_header h;
        const uint8_t *data;
        int rc = spool_recovery_fetch(r, slot, at, SPOOL_BLOCK_BYTES, false);
        if (rc < 0)
            return rc;
        if (spool_batch_header_read(r->data + (at - r->offset), &h) < 0)
            continue;
        rc = spool_recovery_batch(r, slot, at, &h, &data);
        if (rc < 0)
            return rc;
        if (rc == 1 && h.lsn > *lsn && h.lsn < limit_lsn) {
            *offset = at;
            *lsn = h.lsn;
            *crc = h.previous_crc;
            return 1;
        }
    }
    return 0;
}

int spool_recovery_scan(struct spool_recovery *r, uint32_t slot, uint64_t limit_lsn)
{
    struct spool_segment *g = &r->s->segments[slot];
    uint64_t offset = SPOOL_SEGMENT_HEADER_LEN;
    uint64_t lsn = g->header.first_lsn;
    uint32_t crc = g->header.crc;
    struct spool_batch_header h;
    const uint8_t *data;
    int rc;

    for (;;) {
        while (lsn < limit_lsn && offset < g->bytes) {
            rc = spool_recovery_batch(r, slot, offset, &h, &data);
            if (rc < 0)
                return rc;
            if (rc == 0 || h.lsn != lsn || h.previous_crc != crc)
                break;
            rc = batch_apply(r, data, &h, slot, offset);
            if (rc < 0)
                return rc;
            offset += h.len;
            lsn++;
            crc = h.crc;
        }
        g->offset = offset;
        g->durable_end = offset;
        r->s->durable_lsn = lsn - 1;
        r->last_crc = crc;
        if (lsn >= limit_lsn)
            return lsn == limit_lsn
                       ? 0
                       : spool_recovery_corrupt(r, slot, offset, "segment %u: follows out of order",
                                                g->number);
        uint64_t committed = limit_lsn - 1;
        if (limit_lsn == UINT64_MAX) {
            rc = spool_recovery_committed(r, slot, offset, &committed);
            if (rc < 0)
                return rc;
            if (committed < lsn) {
                if (offset < g->bytes)
                    stats_inc(r->s->config.stats, STATS_SPOOL_TAILS_CUT);
                return 0;
            }
        }
        spool_segment_damaged(r->s, slot);
        rc = spool_recovery_corrupt(
            r, slot, offset, "segment %u: the batch at %llu is damaged, and was acknowledged",
            g->number, (unsigned long long)offset);
        if (rc == 0)
            rc = salvage_next(r, slot, &offset, &lsn, limit_lsn, &crc);
        if (rc <= 0)
            return rc;
    }
}

/* Sender and recipients are known, whatever became of the rest. */
static bool envelope_whole(const struct spool_message *m)
{
    uint64_t len = 0;
    bool whole = m->envelope_len > 0 && m->recipient_cnt > 0 && m->recipient_cnt <= m->envelope_len;
    for (uint32_t i = 0; i < m->extent_cnt; i++)
        if (spool_extent_of(m, i)->offset_8 != 0 &&
            spool_extent_of(m, i)->part == SPOOL_PART_ENVELOPE)
            len += spool_extent_of(m, i)->len;
    return whole && len == m->envelope_len;
}

/* Checks a message that has its COMMIT. True when it is whole. */
static bool message_whole(const struct spool_message *m)
{
    uint64_t content = 0;
    uint64_t envelope = 0;
    if (m->coming->piece_cnt > m->extent_cnt)
        return false;
    for (uint32_t i = 0; i < m->coming->piece_cnt; i++) {
        const struct spool_extent *e = spool_extent_of(m, i);
        if (e->offset_8 == 0)
            return false;
        if (e->part == SPOOL_PART_ENVELOPE)
            envelope += e->len;
        else
            content += e->len;
    }
    return content == m->content_bytes && envelope == m->envelope_len && m->recipient_cnt > 0 &&
           m->recipient_cnt <= m->envelope_len;
}

struct in_order {
    uint64_t id[2];
    struct spool_message *message;
};

static int by_id(const void *a, const void *b)
{
    const struct in_order *x = a;
    const struct in_order *y = b;
    if (x->id[0] != y->id[0])
        return x->id[0] < y->id[0] ? -1 : 1;
    return x->id[1] < y->id[1] ? -1 : x->id[1] > y->id[1];
}

enum { AHEAD = 16 }; /* messages that are asked of memory before they are looked at */

static int messages_settle(struct spool_recovery *r, const struct in_order *all, uint32_t cnt)
{
    struct spool *s = r->s;
    struct spool_message **link = &s->recovered;
    for (uint32_t i = 0; i < cnt; i++) {
        struct spool_message *m = all[i].message;
        if (i + AHEAD < cnt)
            __builtin_prefetch(all[i + AHEAD].message);
        if (!m->commit_seen) {
            stats_inc(s->config.stats, STATS_SPOOL_UNFINISHED);
            spool_message_drop(s, m);
            continue;
        }
        if (!message_whole(m)) {
            char text[SPOOL_ID_TEXT_LEN + 1];
            spool_id_format(text, &m->id);
            m->status = -EBADMSG;
            m->lacks_parts = true;
            if (spool_recovery_corrupt(r, SPOOL_SLOT_NONE, 0,
                                       "message %s was acknowledged and lacks parts", text) < 0)
                return -EBADMSG;
            if (!envelope_whole(m)) { /* nobody is left to be told */
                spool_message_drop(s, m);
                continue;
            }
        }
        m->state = SPOOL_MESSAGE_QUEUED;
        s->open_cnt--;
        s->queued_cnt++;
        if (!m->coming->envelope_seen || m->coming->envelope_cap != m->envelope_len)
            spool_coming_forget(m->coming); /* more than a piece: read when it is told */
        m->ref_cnt++;                       /* the list's */
        *link = m;
        link = &m->coming->next;
        stats_inc(s->config.stats, STATS_SPOOL_RECOVERED);
    }
    *link = NULL;
    return 0;
}

/* As their ids are, which is as they came. They were found nearly so. */
int spool_recovery_finish(struct spool_recovery *r)
{
    struct spool *s = r->s;
    uint32_t cnt = 0;
    bool sorted = true;
    struct in_order *all = calloc((size_t)s->message_cnt + 1, sizeof(*all));
    if (all == NULL)
        return -ENOMEM;
    for (struct spool_message *m = r->first; m != NULL; m = m->coming->next, cnt++) {
        base_assert(cnt < s->message_cnt);
        all[cnt] = (struct in_order){.message = m};
        for (int i = 0; i < 2; i++)
            all[cnt].id[i] = __builtin_bswap64(base_le64(m->id.b + 8 * i));
        sorted &= cnt == 0 || by_id(&all[cnt - 1], &all[cnt]) < 0;
    }
    r->first = NULL;
    r->last = NULL;
    if (!sorted)
        qsort(all, cnt, sizeof(*all), by_id);
    int rc = messages_settle(r, all, cnt);
    free(all);
    return rc;
}

/*
 * The summary of a segment (FORMAT.md): gathered while batches become durable, written when the
 * segment is full, read by recovery in place of its batches. Nothing depends on it but the time a
 * start takes, so whatever goes wrong with it ends in having none.
 */
#include "spool_recovery.h"

#include <errno.h>
#include <stdlib.h>

enum { CAP_MIN = 1 << 20 };

void spool_summary_begin(struct spool *s)
{
    s->summary.state = SPOOL_SUMMARY_GATHERING;
    s->summary.len = SPOOL_SUMMARY_HEADER_LEN;
    s->summary.row_cnt = 0;
    s->summary.batch_bytes_max = 0;
}

void spool_summary_give_up(struct spool *s)
{
    if (s->summary.state == SPOOL_SUMMARY_GATHERING)
        s->summary.state = SPOOL_SUMMARY_NONE;
}

/* Room for bytes more, and for the zeros at the end. */
static bool grow(struct spool *s, uint32_t bytes)
{
    struct spool_summary *y = &s->summary;
    uint64_t need = (uint64_t)y->len + bytes + SPOOL_BLOCK_BYTES;
    if (need > s->config.segment_bytes / SPOOL_SUMMARY_SHARE)
        return false;
    if (need <= y->cap)
        return true;
    uint32_t cap = y->cap == 0 ? CAP_MIN : y->cap * 2;
    while (cap < need)
        cap *= 2;
    uint8_t *data = aligned_alloc(SPOOL_BLOCK_BYTES, cap);
    if (data == NULL)
        return false;
    if (y->data != NULL)
        memcpy(data, y->data, y->len);
    free(y->data);
    y->data = data;
    y->cap = cap;
    return true;
}

void spool_summary_add(struct spool *s, const struct spool_batch *b)
{
    struct spool_summary *y = &s->summary;
    if (y->state != SPOOL_SUMMARY_GATHERING)
        return;
    for (uint32_t i = 0; i < b->effect_cnt; i++) {
        const struct spool_effect *e = &b->effects[i];
        struct spool_record r = {
            .type = e->type,
            .part = e->part,
            .len = e->len,
            .sequence = e->sequence,
            .id = e->message->id,
            .payload = b->data + e->offset + SPOOL_RECORD_HEADER_LEN,
        };
        uint32_t bytes = spool_summary_row_bytes(&r);
        if (!grow(s, bytes)) {
            y->state = SPOOL_SUMMARY_NONE;
            return;
        }
        spool_summary_row_write(y->data + y->len, &r, b->offset + e->offset);
        y->len += bytes;
        y->row_cnt++;
    }
    if (b->len > y->batch_bytes_max)
        y->batch_bytes_max = b->len;
}

uint32_t spool_summary_room(const struct spool *s)
{
    const struct spool_summary *y = &s->summary;
    if (y->state != SPOOL_SUMMARY_GATHERING)
        return 0;
    /* What is under way adds rows, too: seldom more than these. */
    uint32_t rows = 0;
    for (uint32_t i = 0; i < spool_batch_cnt(s); i++)
        rows += s->batches[(s->batch_head + i) % s->batch_cap].effect_cnt;
    uint32_t more = rows * SPOOL_SUMMARY_ROW_LEN * 2 + s->config.batch_bytes_max / 8;
    return (y->len + more + 2 * SPOOL_BLOCK_BYTES) & ~(uint32_t)(SPOOL_BLOCK_BYTES - 1);
}

bool spool_summary_settled(struct spool *s)
{
    struct spool_summary *y = &s->summary;
    const struct spool_segment *g = spool_active(s);
    if (y->state == SPOOL_SUMMARY_WRITING)
        return false;
    if (y->state != SPOOL_SUMMARY_GATHERING || g == NULL || y->row_cnt == 0)
        return true;
    uint32_t len = (y->len + SPOOL_BLOCK_BYTES - 1) & ~(uint32_t)(SPOOL_BLOCK_BYTES - 1);
    if (len > g->bytes - g->offset) {
        y->state = SPOOL_SUMMARY_NONE;
        return true;
    }
    struct spool_summary_header h = {
        .len = y->len,
        .sequence = g->header.sequence,
        .salt = g->header.salt,
        .last_lsn = s->durable_lsn,
        .row_cnt = y->row_cnt,
        .batch_bytes_max = y->batch_bytes_max,
    };
    memset(y->data + y->len, 0, len - y->len);
    spool_summary_header_write(y->data, &h);
    struct spool_io io = {
        .op = SPOOL_IO_WRITE,
        .segment = g->number,
        .offset = g->offset,
        .data = y->data,
        .len = len,
        .cookie = spool_cookie(SPOOL_IO_SUMMARY, 0),
    };
    if (s->config.disk.ops->submit(s->config.disk.state, &io) == 0) {
        y->state = SPOOL_SUMMARY_WRITING;
        y->submit_ns = s->now_ns;
        y->write_len = len;
    }
    return false;
}

void spool_summary_done(struct spool *s, int64_t result)
{
    struct spool_summary *y = &s->summary;
    struct spool_segment *g = spool_active(s);
    y->state = SPOOL_SUMMARY_NONE;
    if (result == (int64_t)y->write_len && g != NULL) {
        g->summary_offset = g->offset;
        g->summary_len = y->len;
        stats_add(s->config.stats, STATS_SPOOL_SUMMARY_BYTES, y->write_len);
        stats_add(s->config.stats, STATS_SPOOL_WRITTEN_BYTES, y->write_len);
        return;
    }
    stats_inc(s->config.stats, STATS_SPOOL_WRITE_ERRORS);
}

/* ---- recovery ---- */

/* Rows are applied some at a time, so that what the index has of them comes from memory together.
 */
enum { ROWS = 64 };
struct row {
    struct spool_record record;
    uint64_t offset;
};

static int rows_apply(struct spool_recovery *r, const uint8_t *data,
                      const struct spool_summary_header *h, uint32_t slot)
{
    uint64_t at = SPOOL_SUMMARY_HEADER_LEN;
    struct row row[ROWS];
    for (uint32_t done = 0, cnt; done < h->row_cnt; done += cnt) {
        cnt = h->row_cnt - done < ROWS ? h->row_cnt - done : ROWS;
        for (uint32_t i = 0; i < cnt; i++) {
            int64_t bytes =
                spool_summary_row_read(data + at, h->len - at, &row[i].record, &row[i].offset);
            if (bytes < 0)
                return (int)bytes;
            spool_message_expect(r->s, &row[i].record.id);
            at += (uint64_t)bytes;
        }
        for (uint32_t i = 0; i < cnt; i++)
            spool_message_expect_more(r->s, &row[i].record.id);
        for (uint32_t i = 0; i < cnt; i++) {
            int rc = spool_recovery_apply(r, &row[i].record, slot, row[i].offset);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

int spool_summary_recover(struct spool_recovery *r, uint32_t i,
                          const struct spool_segment_header *next)
{
    struct spool *s = r->s;
    uint32_t slot = spool_log_slot(s, i);
    struct spool_segment *g = &s->segments[slot];
    uint64_t at = next->previous_summary_offset;
    uint64_t have;
    uint32_t len = next->previous_summary_len;
    struct spool_summary_header h;

    if (at == 0)
        return 0;
    if (at % SPOOL_BLOCK_BYTES != 0 || at >= g->bytes || len > g->bytes - at)
        return 0; /* not of this file: its batches tell what is wrong */
    int rc = 0;
    const uint8_t *data = spool_ahead_find(r, i, &have);
    if (data == NULL) {
        rc = spool_recovery_fetch(r, slot, at, len, false);
        if (rc < 0)
            return rc;
        data = r->data + (at - r->offset);
        have = r->len - (at - r->offset);
    }
    if (spool_summary_header_read(data, have, &h) < 0 || h.len != len ||
        h.sequence != g->header.sequence || h.salt != g->header.salt ||
        h.last_lsn + 1 != next->first_lsn || (rc = rows_apply(r, data, &h, slot)) == -EBADMSG) {
        stats_inc(s->config.stats, STATS_SPOOL_SUMMARY_BAD);
        return 0;
    }
    if (rc < 0)
        return rc;
    g->offset = at;
    g->durable_end = at;
    s->durable_lsn = h.last_lsn;
    if (h.batch_bytes_max > r->batch_bytes_max)
        r->batch_bytes_max = h.batch_bytes_max;
    stats_inc(s->config.stats, STATS_SPOOL_SUMMARY_READ);
    return 1;
}

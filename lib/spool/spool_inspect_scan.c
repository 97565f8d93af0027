/*
 * Inspection's reading of one segment: all its batches beside its summary, and behind a damaged
 * batch whatever single records are whole.
 */
#include "spool_inspection.h"

#include <errno.h>
#include <stdlib.h>

enum { RECORD_ROOM = SPOOL_BLOCK_BYTES + SPOOL_PIECE_BYTES_MAX + SPOOL_BLOCK_BYTES };

/* One segment's reading. */
struct scan {
    struct spool_inspect *in;
    struct spool_segment *segment;
    uint32_t slot;
    uint64_t end;       /* of what batches can reach to */
    uint64_t limit_lsn; /* first of the next segment, UINT64_MAX for the newest */
    uint64_t committed; /* newest: highest lsn known as committed, once it was looked for */
    bool committed_known;
    uint64_t offset; /* the next batch, its lsn, and the crc it must follow */
    uint64_t lsn;
    uint32_t crc;
    /* The summary: in->summary, NULL when there is none; the row that comes next. */
    const uint8_t *summary;
    uint32_t summary_len;
    uint32_t summary_at;
    uint32_t row_left;
    struct spool_record row;
    uint64_t row_offset;
    uint32_t row_wrong_cnt; /* where it disagrees with whole records */
    uint64_t row_wrong_offset;
    /* Of the damaged stretch under way. */
    uint32_t good_cnt;
    uint32_t bad_cnt;
    uint32_t known_cnt; /* of the bad ones: which the summary knows */
};

/* ---- what damage leaves ---- */

/* The array of *cnt elements of size, with room for one more, or NULL. */
static void *array_grow(void *array, uint32_t cnt, uint32_t *cap, size_t size)
{
    if (cnt < *cap)
        return array;
    uint32_t more = *cap == 0 ? 64 : *cap * 2;
    void *p = realloc(array, more * size);
    if (p != NULL)
        *cap = more;
    return p;
}

/* A damaged record of which at least the header is known; payload NULL: nothing else. */
static int record_lost(struct scan *c, const struct spool_record *rec, uint64_t offset)
{
    struct spool_inspect *in = c->in;
    uint64_t place = spool_place(c->slot, offset);

    c->bad_cnt++;
    c->known_cnt += rec->payload != NULL;
    if (rec->type == SPOOL_RECORD_PIECE) {
        uint64_t *bad = array_grow(in->bad, in->bad_cnt, &in->bad_cap, sizeof(*bad));
        if (bad == NULL)
            return -ENOMEM;
        in->bad = bad;
        in->bad[in->bad_cnt++] = place;
    } else if (rec->payload == NULL) {
        struct spool_inspect_lost *lost =
            array_grow(in->lost, in->lost_cnt, &in->lost_cap, sizeof(*lost));
        if (lost == NULL)
            return -ENOMEM;
        in->lost = lost;
        in->lost[in->lost_cnt++] =
            (struct spool_inspect_lost){.id = rec->id, .place = place, .type = rec->type};
        return 0;
    }
    return spool_recovery_apply(&in->recovery, rec, c->slot, offset);
}

/* ---- the summary ---- */

/* The next row, if there is one: row_offset is UINT64_MAX behind the last. */
static void row_next(struct scan *c)
{
    c->row_offset = UINT64_MAX;
    if (c->row_left == 0)
        return;
    int64_t bytes = spool_summary_row_read(c->summary + c->summary_at,
                                           c->summary_len - c->summary_at, &c->row, &c->row_offset);
    base_assert(bytes > 0); /* all were read once before */
    c->summary_at += (uint32_t)bytes;
    c->row_left--;
}

static bool rows_valid(struct scan *c, const struct spool_summary_header *h)
{
    uint64_t at = SPOOL_SUMMARY_HEADER_LEN;
    uint64_t before = 0;
    for (uint32_t i = 0; i < h->row_cnt; i++) {
        struct spool_record rec;
        uint64_t offset;
        int64_t bytes = spool_summary_row_read(c->summary + at, h->len - at, &rec, &offset);
        if (bytes < 0 || offset <= before)
            return false;
        before = offset;
        at += (uint64_t)bytes;
    }
    return true;
}

/* Takes a copy of the summary of which the next segment's header tells. */
static int summary_load(struct scan *c, const struct spool_segment_header *next)
{
    struct spool_recovery *r = &c->in->recovery;
    const struct spool_segment *g = c->segment;
    uint64_t at = next->previous_summary_offset;
    uint32_t len = next->previous_summary_len;
    struct spool_summary_header h;

    if (at == 0)
        return 0;
    bool good = at % SPOOL_BLOCK_BYTES == 0 && at < g->bytes && len <= g->bytes - at && len > 0;
    if (good) {
        int rc = spool_recovery_fetch(r, c->slot, at, len, false);
        if (rc < 0)
            return rc;
        free(c->in->summary);
        c->in->summary = malloc(len);
        if (c->in->summary == NULL)
            return -ENOMEM;
        c->summary = c->in->summary;
        memcpy(c->in->summary, r->data + (at - r->offset), len);
        c->summary_len = len;
        c->end = at;
        good = spool_summary_header_read(c->summary, len, &h) == 0 && h.len == len &&
               h.sequence == g->header.sequence && h.salt == g->header.salt &&
               h.last_lsn + 1 == next->first_lsn && rows_valid(c, &h);
    }
    if (!good) {
        spool_inspect_tell(c->in, true, c->slot, at,
                           "the segment's summary is damaged; nothing is lost by that, its "
                           "batches are read instead");
        c->summary = NULL;
        return 0;
    }
    c->in->totals.summary_cnt++;
    c->summary_at = SPOOL_SUMMARY_HEADER_LEN;
    c->row_left = h.row_cnt;
    row_next(c);
    return 0;
}

static void row_wrong(struct scan *c, uint64_t offset)
{
    if (c->row_wrong_cnt++ == 0)
        c->row_wrong_offset = offset;
}

static bool row_agrees(const struct scan *c, const struct spool_record *rec)
{
    const struct spool_record *row = &c->row;
    return spool_id_eq(&row->id, &rec->id) && row->type == rec->type && row->part == rec->part &&
           row->len == rec->len && row->sequence == rec->sequence &&
           (row->payload == NULL || row->len == 0 ||
            memcmp(row->payload, rec->payload, row->len) == 0);
}

/* Rows before offset: outside of damage they have no record, inside they tell what it was. */
static int rows_before(struct scan *c, uint64_t offset, bool damaged)
{
    int rc = 0;
    for (; rc == 0 && c->summary != NULL && c->row_offset < offset; row_next(c))
        if (damaged)
            rc = record_lost(c, &c->row, c->row_offset);
        else
            row_wrong(c, c->row_offset);
    return rc;
}

/* ---- batches ---- */

/* A whole record. */
static int record_take(struct scan *c, const struct spool_record *rec, uint64_t offset,
                       bool damaged)
{
    int rc = rows_before(c, offset, damaged);
    if (rc < 0)
        return rc;
    if (c->summary != NULL) {
        if (c->row_offset != offset || !row_agrees(c, rec))
            row_wrong(c, offset);
        if (c->row_offset == offset)
            row_next(c);
    }
    c->in->totals.record_cnt++;
    return spool_recovery_apply(&c->in->recovery, rec, c->slot, offset);
}

static int batch_take(struct scan *c, const uint8_t *data, const struct spool_batch_header *h)
{
    uint32_t at = SPOOL_BATCH_HEADER_LEN;
    for (uint32_t i = 0; i < h->record_cnt; i++) {
        struct spool_record rec;
        int rc = spool_record_read(data + at, h->used - at, c->segment->header.salt, c->offset + at,
                                   &rec);
        base_assert(rc == 0); /* checked with its batch */
        rc = record_take(c, &rec, c->offset + at, false);
        if (rc < 0)
            return rc;
        at += spool_record_bytes(rec.len);
    }
    c->in->totals.batch_cnt++;
    return 0;
}

/* ---- damage ---- */

/* Whether a batch header of this segment, with an lsn from lsn on, lies at the offset: 1, 0, or an
 * error. */
static int header_at(struct scan *c, uint64_t at, uint64_t lsn, struct spool_batch_header *h)
{
    struct spool_recovery *r = &c->in->recovery;
    int rc = spool_recovery_fetch(r, c->slot, at, SPOOL_BLOCK_BYTES, false);
    if (rc < 0)
        return rc;
    return spool_batch_header_read(r->data + (at - r->offset), h) == 0 &&
           h->sequence == c->segment->header.sequence && h->salt == c->segment->header.salt &&
           h->lsn >= lsn && h->lsn < c->limit_lsn && h->len <= c->segment->bytes - at;
}

/* The next one from *at on; *at is the end when there is none. */
static int header_find(struct scan *c, uint64_t *at, uint64_t lsn, struct spool_batch_header *h)
{
    int rc = 0;
    while (rc == 0 && *at < c->end) {
        rc = header_at(c, *at, lsn, h);
        if (rc == 0)
            *at += SPOOL_BLOCK_BYTES;
    }
    return rc;
}

/* Takes what can be read of the records at p, in the block at offset. *skip: bytes to the next. */
static int rescue_at(struct scan *c, const uint8_t *p, uint64_t cap, uint64_t offset,
                     uint32_t *skip)
{
    uint64_t salt = c->segment->header.salt;
    struct spool_record rec;

    *skip = 8;
    if (cap > RECORD_ROOM)
        cap = RECORD_ROOM;
    if (spool_record_header_read(p, cap, salt, offset, &rec) < 0)
        return 0;
    *skip = spool_record_bytes(rec.len);
    if (spool_record_read(p, cap, salt, offset, &rec) == 0) {
        c->good_cnt++;
        return record_take(c, &rec, offset, true);
    }
    int rc = rows_before(c, offset, true);
    if (rc < 0)
        return rc;
    rec.payload = NULL;
    if (c->summary != NULL && c->row_offset == offset) {
        rec = c->row;
        row_next(c);
    }
    return record_lost(c, &rec, offset);
}

/* All that can be read between two offsets. */
static int rescue(struct scan *c, uint64_t from, uint64_t to)
{
    struct spool_recovery *r = &c->in->recovery;
    int rc = 0;
    c->good_cnt = 0;
    c->bad_cnt = 0;
    c->known_cnt = 0;
    for (uint64_t at = from; rc == 0 && at < to;) {
        uint64_t block = at & ~(uint64_t)(SPOOL_BLOCK_BYTES - 1);
        uint32_t skip;
        rc = spool_recovery_fetch(r, c->slot, block, RECORD_ROOM, false);
        if (rc < 0)
            return rc;
        uint64_t cap = r->offset + r->len < to ? r->offset + r->len - at : to - at;
        rc = rescue_at(c, r->data + (at - r->offset), cap, at, &skip);
        at += skip;
    }
    return rc < 0 ? rc : rows_before(c, to, true);
}

/* In the newest segment a bad batch ends the log, unless it was committed: 1, 0 or an error. */
static int log_ends(struct scan *c)
{
    if (c->limit_lsn != UINT64_MAX)
        return 0;
    if (!c->committed_known) {
        int rc = spool_recovery_committed(&c->in->recovery, c->slot, c->offset, &c->committed);
        if (rc < 0)
            return rc;
        c->committed_known = true;
    }
    if (c->committed >= c->lsn)
        return 0;
    struct spool_batch_header h;
    uint64_t at = c->offset;
    int rc = header_find(c, &at, c->lsn, &h);
    if (rc > 0)
        spool_inspect_tell(c->in, false, c->slot, c->offset,
                           "torn tail: writes were under way when the gateway stopped; none of "
                           "them was acknowledged, a start cuts them off");
    return rc < 0 ? rc : 1;
}

/* A batch that is not as it was written, and was acknowledged. Goes to the next one. */
static int damage_pass(struct scan *c)
{
    struct spool_batch_header h;
    uint64_t to = c->offset;
    int got = header_at(c, c->offset, c->lsn, &h);
    if (got < 0)
        return got;
    bool head = got == 1 && h.lsn == c->lsn;
    if (head) {
        to += h.len;
    } else {
        to += SPOOL_BLOCK_BYTES;
        got = header_find(c, &to, c->lsn + 1, &h);
        if (got < 0)
            return got;
    }
    int rc = rescue(c, c->offset, to);
    if (rc < 0)
        return rc;
    if (head && c->bad_cnt == 0 && c->good_cnt == h.record_cnt)
        spool_inspect_tell(c->in, true, c->slot, c->offset,
                           "batch %llu does not follow the one before it, its records are whole; "
                           "the gateway does not start past it without being told to",
                           (unsigned long long)c->lsn);
    else
        spool_inspect_tell(
            c->in, true, c->slot, c->offset,
            "batch %llu is damaged, and was acknowledged (%llu bytes from here on; whole records: "
            "%u, damaged: %u, of those known from the summary: %u%s)",
            (unsigned long long)c->lsn, (unsigned long long)(to - c->offset), c->good_cnt,
            c->bad_cnt, c->known_cnt,
            head || c->summary != NULL ? "" : "; there may have been more");
    c->offset = to;
    c->lsn = head ? c->lsn + 1 : got == 1 ? h.lsn : c->limit_lsn;
    c->crc = head ? h.crc : got == 1 ? h.previous_crc : 0;
    return 0;
}

static int batches_scan(struct scan *c)
{
    while (c->lsn < c->limit_lsn && c->offset < c->end) {
        struct spool_batch_header h;
        const uint8_t *data;
        int rc = spool_recovery_batch(&c->in->recovery, c->slot, c->offset, &h, &data);
        if (rc < 0)
            return rc;
        if (rc == 1 && h.lsn == c->lsn && h.previous_crc == c->crc) {
            rc = batch_take(c, data, &h);
            c->offset += h.len;
            c->lsn++;
            c->crc = h.crc;
        } else {
            rc = log_ends(c);
            if (rc == 1)
                return 0;
            if (rc == 0)
                rc = damage_pass(c);
        }
        if (rc < 0)
            return rc;
    }
    if (c->lsn < c->limit_lsn && c->limit_lsn != UINT64_MAX)
        spool_inspect_tell(c->in, true, c->slot, c->offset,
                           "batches %llu to %llu were acknowledged and are missing",
                           (unsigned long long)c->lsn, (unsigned long long)c->limit_lsn - 1);
    return rows_before(c, UINT64_MAX, false);
}

int spool_inspect_scan(struct spool_inspect *in, uint32_t i)
{
    struct spool *s = &in->spool;
    struct scan c = {.in = in, .slot = spool_log_slot(s, i), .limit_lsn = UINT64_MAX};
    int rc = 0;

    c.segment = &s->segments[c.slot];
    c.end = c.segment->bytes;
    c.offset = SPOOL_SEGMENT_HEADER_LEN;
    c.lsn = c.segment->header.first_lsn;
    c.crc = c.segment->header.crc;
    c.row_offset = UINT64_MAX;
    /* Behind a segment that is missing nothing tells where this one ends. */
    const struct spool_segment_header *next =
        i + 1 < s->log_cnt ? &spool_log_at(s, i + 1)->header : NULL;
    if (next != NULL && (next->previous_sequence == c.segment->header.sequence ||
                         next->version == SPOOL_INSPECT_GUESSED)) {
        c.limit_lsn = next->first_lsn;
        rc = summary_load(&c, next);
    }
    if (rc == 0)
        rc = batches_scan(&c);
    if (rc == 0 && c.row_wrong_cnt > 0)
        spool_inspect_tell(in, true, c.slot, c.row_wrong_offset,
                           "the summary disagrees with %u of the segment's records, of which this "
                           "is the first; a start would believe the summary",
                           c.row_wrong_cnt);
    return rc;
}

/*
 * Inspection: recovery's chain of segments, put together as far as it can be; each read by
 * spool_inspect_scan.c; and what the messages are in the end.
 */
#include "spool_inspection.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_BYTES (1U << 20)

static void tell(struct spool_inspect *in, const struct spool_finding *f)
{
    in->totals.damage_cnt += f->damage;
    if (in->config.found != NULL)
        in->config.found(in->config.arg, f);
}

void spool_inspect_tell(struct spool_inspect *in, bool damage, uint32_t slot, uint64_t offset,
                        const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    struct spool_finding f = {.damage = damage, .offset = offset, .text = text};
    if (slot != SPOOL_SLOT_NONE)
        f.segment = in->spool.segments[slot].number;
    tell(in, &f);
}

/* What recovery's own functions find. */
static void recovery_tell(void *arg, uint32_t segment, uint64_t offset, const char *text)
{
    struct spool_finding f = {.damage = true, .segment = segment, .offset = offset, .text = text};
    tell(arg, &f);
}

/* ---- the log ---- */

/* A segment whose header is damaged: its first batch tells what stood there. 1, 0 or an error. */
static int header_guess(struct spool_inspect *in, uint32_t slot)
{
    struct spool_segment *g = &in->spool.segments[slot];
    struct spool_batch_header h;

    if (g->header.sequence != 0 || g->bytes < 2 * SPOOL_BLOCK_BYTES)
        return 0;
    int rc = spool_recovery_fetch(&in->recovery, slot, SPOOL_SEGMENT_HEADER_LEN, SPOOL_BLOCK_BYTES,
                                  true);
    if (rc < 0)
        return rc;
    if (spool_batch_header_read(in->recovery.data, &h) < 0)
        return 0;
    g->header = (struct spool_segment_header){
        .version = SPOOL_INSPECT_GUESSED,
        .crc = h.previous_crc,
        .sequence = h.sequence,
        .salt = h.salt,
        .bytes = g->bytes,
        .first_lsn = h.lsn,
    };
    return 1;
}

static bool log_has(const struct spool *s, uint32_t cnt, uint64_t sequence)
{
    for (uint32_t i = 0; i < cnt; i++)
        if (s->segments[s->log[i]].header.sequence == sequence)
            return true;
    return false;
}

/* Keeps the log in order of sequence; one that is there already wins. */
static void log_insert(struct spool *s, uint32_t slot)
{
    uint64_t sequence = s->segments[slot].header.sequence;
    uint32_t at = s->log_cnt;
    if (log_has(s, s->log_cnt, sequence))
        return;
    for (; at > 0 && s->segments[s->log[at - 1]].header.sequence > sequence; at--)
        s->log[at] = s->log[at - 1];
    s->log[at] = slot;
    s->log_cnt++;
}

/* Where the chain is broken, what is left of it joins the log. */
static int log_complete(struct spool_inspect *in, uint32_t cnt)
{
    struct spool *s = &in->spool;
    uint64_t tail = 0, oldest = UINT64_MAX, newest = 0;

    for (uint32_t i = 0; i < s->log_cnt; i++)
        s->log[i] = s->log[s->log_head + i];
    s->log_head = 0;
    if (s->log_cnt > 0) {
        const struct spool_segment_header *top = &spool_log_at(s, s->log_cnt - 1)->header;
        uint64_t previous = spool_log_at(s, 0)->header.previous_sequence;
        newest = top->sequence;
        tail = top->tail_sequence;
        oldest = previous != 0 && previous >= tail ? previous : 0; /* 0: the chain is whole */
    }
    for (uint32_t i = 0; i < cnt; i++) {
        const struct spool_segment *g = &s->segments[i];
        bool whole = g->header.sequence != 0;
        int rc = whole ? g->state == SPOOL_SEGMENT_READY : header_guess(in, i);
        if (rc < 0)
            return rc;
        uint64_t sequence = g->header.sequence;
        if (rc == 0 || sequence < tail || (sequence > oldest && sequence <= newest) ||
            (whole && s->uuid_known && memcmp(g->header.uuid, s->uuid, 16) != 0))
            continue;
        if (!whole)
            spool_inspect_tell(in, true, i, 0,
                               "the segment's header is damaged; its batches are read without it");
        log_insert(s, i);
    }
    return 0;
}

/* ---- messages ---- */

static int by_place(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

static bool place_bad(const struct spool_inspect *in, uint64_t place)
{
    return in->bad_cnt > 0 &&
           bsearch(&place, in->bad, in->bad_cnt, sizeof(place), by_place) != NULL;
}

static int by_id(const void *a, const void *b)
{
    const struct spool_message *const *x = a;
    const struct spool_message *const *y = b;
    return memcmp((*x)->id.b, (*y)->id.b, 16);
}

static void message_tell(struct spool_inspect *in, const struct spool_id *id, uint64_t place,
                         const char *text)
{
    struct spool_finding f = {.damage = true, .of_message = true, .id = *id, .text = text};
    if (place != 0) {
        f.segment = in->spool.segments[spool_place_slot(place)].number;
        f.offset = spool_place_offset(place);
    }
    tell(in, &f);
}

static const char *part_name(uint8_t part)
{
    return part == SPOOL_PART_ENVELOPE ? "envelope"
           : part == SPOOL_PART_HEADER ? "header section"
                                       : "body";
}

/* The envelope as the summary or the first piece gave it, or put together; NULL: it is lost. */
static const uint8_t *envelope_get(struct spool_inspect *in, uint64_t index)
{
    struct spool_message *m = in->messages[index];
    if (m->coming->envelope_seen && m->coming->envelope_cap == m->envelope_len)
        return m->coming->envelope;
    free(in->envelope);
    in->envelope = NULL;
    if (m->envelope_len == 0 || m->envelope_len > SPOOL_ENVELOPE_BYTES_MAX)
        return NULL;
    in->envelope = malloc(m->envelope_len);
    uint32_t len = 0;
    for (uint32_t n = 0; in->envelope != NULL && n < m->extent_cnt; n++) {
        struct base_span piece;
        if (spool_extent_of(m, n)->part != SPOOL_PART_ENVELOPE ||
            spool_extent_of(m, n)->offset_8 == 0)
            continue;
        if (spool_inspect_read(in, index, n, &piece) < 0 || piece.len > m->envelope_len - len)
            return NULL;
        memcpy(in->envelope + len, piece.p, piece.len);
        len += (uint32_t)piece.len;
    }
    return len == m->envelope_len ? in->envelope : NULL;
}

/* Tells each damaged or missing piece of a message. Returns whether there was one. */
static bool pieces_judge(struct spool_inspect *in, const struct spool_message *m)
{
    char text[128];
    uint32_t missing_cnt = 0;
    uint64_t content = 0;
    bool damaged = false;
    uint32_t cnt = m->coming->piece_cnt > m->extent_cnt ? m->coming->piece_cnt : m->extent_cnt;
    for (uint32_t n = 0; n < cnt; n++) {
        const struct spool_extent *e = n < m->extent_cnt ? spool_extent_of(m, n) : NULL;
        if (e == NULL || e->offset_8 == 0) {
            missing_cnt++;
            continue;
        }
        content += e->part == SPOOL_PART_ENVELOPE ? 0 : e->len;
        if (!place_bad(in, spool_extent_place(e)))
            continue;
        damaged = true;
        snprintf(text, sizeof(text), "acknowledged, and %u bytes of its %s are damaged", e->len,
                 part_name(e->part));
        message_tell(in, &m->id, spool_extent_place(e), text);
    }
    if (missing_cnt == 0 && (damaged || content == m->content_bytes))
        return damaged;
    snprintf(text, sizeof(text), "acknowledged, and %u of its %u pieces are missing", missing_cnt,
             m->coming->piece_cnt);
    message_tell(in, &m->id, 0, text);
    return true;
}

static void message_judge(struct spool_inspect *in, uint64_t index)
{
    struct spool_message *m = in->messages[index];
    if (!m->commit_seen) {
        in->totals.unfinished_cnt++;
        return;
    }
    in->totals.content_bytes += m->content_bytes;
    bool damaged = pieces_judge(in, m);
    const uint8_t *envelope = envelope_get(in, index);
    if (envelope == NULL ||
        spool_envelope_check(base_span_of(envelope, m->envelope_len)) != (int)m->recipient_cnt) {
        if (!damaged)
            message_tell(in, &m->id, 0, "acknowledged, and its envelope is not valid");
        damaged = true;
    }
    m->status = damaged ? -EBADMSG : 0;
    in->totals.damaged_cnt += damaged;
    in->totals.queued_cnt += !damaged;
}

static int messages_settle(struct spool_inspect *in)
{
    struct spool *s = &in->spool;
    in->messages = calloc((size_t)s->message_cnt + 1, sizeof(struct spool_message *));
    if (in->messages == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i <= s->table_mask; i++)
        for (struct spool_message *m = s->table[i]; m != NULL; m = m->hash_next)
            in->messages[in->message_cnt++] = m;
    qsort(in->messages, in->message_cnt, sizeof(struct spool_message *), by_id);
    if (in->bad_cnt > 0)
        qsort(in->bad, in->bad_cnt, sizeof(*in->bad), by_place);
    for (uint64_t i = 0; i < in->message_cnt; i++)
        message_judge(in, i);
    for (uint32_t i = 0; i < in->lost_cnt; i++) {
        const struct spool_inspect_lost *l = &in->lost[i];
        const struct spool_message *m = spool_message_find(s, &l->id);
        if (m == NULL || (l->type == SPOOL_RECORD_COMMIT) == m->commit_seen)
            continue; /* it is over; or the record stands elsewhere, too */
        message_tell(in, &l->id, l->place,
                     l->type == SPOOL_RECORD_COMMIT
                         ? "acknowledged, but its COMMIT is damaged: it counts as unfinished"
                         : "what became of a recipient is damaged: it may get the message again");
    }
    return 0;
}

/* ---- from outside ---- */

static int inspect(struct spool_inspect *in)
{
    struct spool *s = &in->spool;
    uint32_t cnt = 0;
    int rc = spool_index_init(s);
    if (rc == 0)
        rc = spool_recovery_chain(&in->recovery, &cnt);
    if (rc == 0)
        rc = log_complete(in, cnt);
    if (rc < 0)
        return rc;
    in->totals.segment_cnt = cnt;
    in->totals.log_cnt = s->log_cnt;
    for (uint32_t i = 0; rc == 0 && i < s->log_cnt; i++)
        rc = spool_inspect_scan(in, i);
    return rc < 0 ? rc : messages_settle(in);
}

int spool_inspect_open(struct spool_inspect **out, const struct spool_inspect_config *config,
                       char *err, size_t err_cap)
{
    struct spool_inspect *in = aligned_alloc(64, (sizeof(*in) + 63) & ~(size_t)63);
    if (err_cap > 0)
        err[0] = '\0';
    if (in == NULL)
        return -ENOMEM;
    memset(in, 0, sizeof(*in));
    in->config = *config;
    in->spool.config =
        (struct spool_config){.disk = config->disk, .accept_corruption = true, .stats = &in->stats};
    in->recovery = (struct spool_recovery){
        .s = &in->spool,
        .err = err,
        .err_cap = err_cap,
        .cap = READ_BYTES,
        .slot = SPOOL_SLOT_NONE,
        .unreadable_slot = SPOOL_SLOT_NONE,
        .data = aligned_alloc(SPOOL_BLOCK_BYTES, READ_BYTES),
        .tell = recovery_tell,
        .tell_arg = in,
    };
    int rc = in->recovery.data == NULL ? -ENOMEM : inspect(in);
    if (rc < 0) {
        /* err may tell of a damage that was passed. */
        if (err_cap > 0 && (rc == -ENOMEM || err[0] == '\0'))
            snprintf(err, err_cap, "%s", strerror(-rc));
        spool_inspect_close(in);
        return rc;
    }
    *out = in;
    return 0;
}

void spool_inspect_close(struct spool_inspect *in)
{
    spool_index_fini(&in->spool);
    free(in->spool.segments);
    free(in->spool.log);
    free(in->spool.ready);
    free(in->recovery.data);
    free(in->bad);
    free(in->lost);
    free(in->messages);
    free(in->envelope);
    free(in->summary);
    free(in);
}

void spool_inspect_totals(const struct spool_inspect *in, struct spool_inspect_totals *out)
{
    *out = in->totals;
}

int spool_inspect_message(struct spool_inspect *in, uint64_t index,
                          struct spool_inspect_message *out)
{
    if (index >= in->message_cnt)
        return 0;
    const struct spool_message *m = in->messages[index];
    *out = (struct spool_inspect_message){
        .id = m->id,
        .state = !m->commit_seen  ? SPOOL_INSPECT_UNFINISHED
                 : m->status == 0 ? SPOOL_INSPECT_QUEUED
                                  : SPOOL_INSPECT_DAMAGED,
        .content_bytes = m->content_bytes,
        .piece_cnt = m->extent_cnt,
        .outcomes = m->outcomes,
        .outcome_cnt = m->outcome_cnt,
        .held = spool_message_held(m),
    };
    for (uint32_t n = 0; !m->commit_seen && n < m->extent_cnt; n++)
        if (spool_extent_of(m, n)->offset_8 != 0 &&
            spool_extent_of(m, n)->part != SPOOL_PART_ENVELOPE)
            out->content_bytes += spool_extent_of(m, n)->len;
    const uint8_t *envelope = envelope_get(in, index);
    if (envelope != NULL && spool_envelope_check(base_span_of(envelope, m->envelope_len)) > 0)
        out->envelope = base_span_of(envelope, m->envelope_len);
    return 1;
}

void spool_inspect_piece(const struct spool_inspect *in, uint64_t index, uint32_t n,
                         struct spool_inspect_piece *out)
{
    base_assert(index < in->message_cnt && n < in->messages[index]->extent_cnt);
    const struct spool_extent *e = spool_extent_of(in->messages[index], n);
    *out = (struct spool_inspect_piece){.len = e->len, .part = e->part};
    if (e->offset_8 == 0)
        return;
    out->segment = in->spool.segments[spool_place_slot(spool_extent_place(e))].number;
    out->offset = spool_place_offset(spool_extent_place(e));
    out->damaged = place_bad(in, spool_extent_place(e));
}

int spool_inspect_read(struct spool_inspect *in, uint64_t index, uint32_t n, struct base_span *out)
{
    base_assert(index < in->message_cnt && n < in->messages[index]->extent_cnt);
    struct spool_recovery *r = &in->recovery;
    const struct spool_message *m = in->messages[index];
    const struct spool_extent *e = spool_extent_of(m, n);
    struct spool_record rec;

    if (e->offset_8 == 0)
        return -EBADMSG;
    uint32_t slot = spool_place_slot(spool_extent_place(e));
    uint64_t offset = spool_place_offset(spool_extent_place(e));
    uint64_t block = offset & ~(uint64_t)(SPOOL_BLOCK_BYTES - 1);
    uint64_t end = offset + spool_record_bytes(e->len) + SPOOL_BLOCK_BYTES - 1;
    uint32_t want = (uint32_t)((end & ~(uint64_t)(SPOOL_BLOCK_BYTES - 1)) - block);
    int rc = spool_recovery_fetch(r, slot, block, want, false);
    if (rc < 0)
        return rc;
    if (offset - r->offset > r->len ||
        spool_record_read(r->data + (offset - r->offset), r->len - (offset - r->offset),
                          in->spool.segments[slot].header.salt, offset, &rec) < 0 ||
        rec.type != SPOOL_RECORD_PIECE || rec.len != e->len || rec.part != e->part ||
        rec.sequence != n || !spool_id_eq(&rec.id, &m->id))
        return -EBADMSG;
    *out = base_span_of(rec.payload, rec.len);
    return 0;
}

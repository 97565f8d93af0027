#include "spool_format.h"

#include "base_crc32c.h"

#include <errno.h>

static const uint8_t segment_magic[8] = {'S', 'l', 'u', 'i', 'c', 'e', 'S', 'g'};
static const uint8_t batch_magic[8] = {'S', 'l', 'u', 'i', 'c', 'e', 'B', 't'};
static const uint8_t summary_magic[8] = {'S', 'l', 'u', 'i', 'c', 'e', 'S', 'u'};
static const uint8_t record_magic[4] = {'S', 'l', 'R', 'c'};

static uint32_t block_crc(const uint8_t *block)
{
    static const uint8_t zero[4];
    uint32_t crc = base_crc32c(0, block, 12);
    crc = base_crc32c(crc, zero, 4);
    return base_crc32c(crc, block + 16, SPOOL_BLOCK_BYTES - 16);
}

void spool_segment_header_write(uint8_t block[SPOOL_BLOCK_BYTES], struct spool_segment_header *h)
{
    memset(block, 0, SPOOL_BLOCK_BYTES);
    memcpy(block, segment_magic, 8);
    base_put_le32(block + 8, SPOOL_FORMAT_VERSION);
    memcpy(block + 16, h->uuid, 16);
    base_put_le64(block + 32, h->sequence);
    base_put_le64(block + 40, h->salt);
    base_put_le64(block + 48, h->bytes);
    base_put_le64(block + 56, h->first_lsn);
    base_put_le64(block + 64, h->previous_sequence);
    base_put_le64(block + 72, h->tail_sequence);
    base_put_le64(block + 80, h->previous_summary_offset);
    base_put_le32(block + 88, h->previous_summary_len);
    block[92] = h->number;
    h->version = SPOOL_FORMAT_VERSION;
    h->crc = block_crc(block);
    base_put_le32(block + 12, h->crc);
}

int spool_segment_header_read(const uint8_t block[SPOOL_BLOCK_BYTES],
                              struct spool_segment_header *out)
{
    if (memcmp(block, segment_magic, 8) != 0)
        return -EBADMSG;
    out->version = base_le32(block + 8);
    out->crc = base_le32(block + 12);
    /* Before the version, which may be what has rotted; every version has this checksum. */
    if (out->crc != block_crc(block))
        return -EBADMSG;
    if (out->version != SPOOL_FORMAT_VERSION)
        return -EPROTO;
    memcpy(out->uuid, block + 16, 16);
    out->sequence = base_le64(block + 32);
    out->salt = base_le64(block + 40);
    out->bytes = base_le64(block + 48);
    out->first_lsn = base_le64(block + 56);
    out->previous_sequence = base_le64(block + 64);
    out->tail_sequence = base_le64(block + 72);
    out->previous_summary_offset = base_le64(block + 80);
    out->previous_summary_len = base_le32(block + 88);
    out->number = block[92];
    if (out->sequence == 0 || out->previous_sequence >= out->sequence ||
        out->tail_sequence > out->sequence)
        return -EBADMSG;
    return 0;
}

void spool_batch_header_write(uint8_t *p, struct spool_batch_header *h)
{
    memset(p, 0, SPOOL_BATCH_HEADER_LEN);
    memcpy(p, batch_magic, 8);
    base_put_le32(p + 8, SPOOL_FORMAT_VERSION);
    base_put_le32(p + 12, h->len);
    base_put_le64(p + 16, h->sequence);
    base_put_le64(p + 24, h->salt);
    base_put_le64(p + 32, h->lsn);
    base_put_le64(p + 40, h->committed_lsn);
    base_put_le32(p + 48, h->record_cnt);
    base_put_le32(p + 52, h->used);
    base_put_le32(p + 56, h->previous_crc);
    h->crc = base_crc32c(0, p, 64);
    base_put_le32(p + 64, h->crc);
}

int spool_batch_header_read(const uint8_t *p, struct spool_batch_header *out)
{
    if (memcmp(p, batch_magic, 8) != 0 || base_le32(p + 8) != SPOOL_FORMAT_VERSION)
        return -EBADMSG;
    out->crc = base_le32(p + 64);
    if (out->crc != base_crc32c(0, p, 64))
        return -EBADMSG;
    out->len = base_le32(p + 12);
    out->sequence = base_le64(p + 16);
    out->salt = base_le64(p + 24);
    out->lsn = base_le64(p + 32);
    out->committed_lsn = base_le64(p + 40);
    out->record_cnt = base_le32(p + 48);
    out->used = base_le32(p + 52);
    out->previous_crc = base_le32(p + 56);
    if (out->len == 0 || out->len % SPOOL_BLOCK_BYTES != 0 || out->len > SPOOL_BATCH_BYTES_LIMIT ||
        out->used > out->len || out->used < SPOOL_BATCH_HEADER_LEN || out->record_cnt == 0)
        return -EBADMSG;
    return 0;
}

void spool_record_write(uint8_t *p, const struct spool_record *r)
{
    uint32_t bytes = spool_record_bytes(r->len);
    /* The lines that the next records begin in: on their way while this payload is copied. */
    for (uint32_t i = 0; i < 4 * 64; i += 64)
        __builtin_prefetch(p + bytes + i, 1);
    memcpy(p, record_magic, 4);
    base_put_le32(p + 4, (uint32_t)SPOOL_FORMAT_VERSION | (uint32_t)r->type << 8 |
                             (uint32_t)r->part << 16);
    base_put_le64(p + 8, r->len); /* and room for the checksum */
    memcpy(p + 16, r->id.b, 16);
    base_put_le32(p + 32, r->sequence);
    if (r->len % 8 != 0)
        base_put_le64(p + bytes - 8, 0);
    base_put_le32(p + 36, base_crc32c_stream(p + SPOOL_RECORD_HEADER_LEN, r->payload, r->len));
    base_put_le64(p + 40, 0);
}

static uint32_t record_crc(const uint8_t *p, uint64_t salt, uint64_t offset)
{
    uint8_t all[16 + SPOOL_RECORD_HEADER_LEN]; /* in one piece: there are very many of them */
    base_put_le64(all, salt);
    base_put_le64(all + 8, offset);
    memcpy(all + 16, p, SPOOL_RECORD_HEADER_LEN);
    base_put_le32(all + 16 + 12, 0);
    return base_crc32c(0, all, sizeof(all));
}

void spool_record_seal(uint8_t *p, uint64_t salt, uint64_t offset)
{
    base_put_le32(p + 12, record_crc(p, salt, offset));
}

static bool record_len_fits(uint8_t type, uint8_t part, uint32_t len)
{
    switch (type) {
    case SPOOL_RECORD_PIECE:
        return len > 0 && len <= SPOOL_PIECE_BYTES_MAX && part >= SPOOL_PART_ENVELOPE &&
               part <= SPOOL_PART_BODY;
    case SPOOL_RECORD_COMMIT:
        return len == SPOOL_COMMIT_LEN;
    case SPOOL_RECORD_OUTCOME:
    case SPOOL_RECORD_STATE:
        return len > 0 && len <= SPOOL_PIECE_BYTES_MAX && len % sizeof(struct spool_outcome) == 0;
    case SPOOL_RECORD_FREE:
        return len == 0;
    default:
        return false;
    }
}

int spool_record_header_read(const uint8_t *p, size_t cap, uint64_t salt, uint64_t offset,
                             struct spool_record *out)
{
    if (cap < SPOOL_RECORD_HEADER_LEN || memcmp(p, record_magic, 4) != 0 ||
        p[4] != SPOOL_FORMAT_VERSION)
        return -EBADMSG;
    out->type = p[5];
    out->part = p[6];
    out->len = base_le32(p + 8);
    if (!record_len_fits(out->type, out->part, out->len) || spool_record_bytes(out->len) > cap)
        return -EBADMSG;
    if (base_le32(p + 12) != record_crc(p, salt, offset))
        return -EBADMSG;
    memcpy(out->id.b, p + 16, 16);
    out->sequence = base_le32(p + 32);
    out->payload = p + SPOOL_RECORD_HEADER_LEN;
    return out->sequence < SPOOL_PIECE_CNT_MAX ? 0 : -EBADMSG;
}

int spool_record_read(const uint8_t *p, size_t cap, uint64_t salt, uint64_t offset,
                      struct spool_record *out)
{
    if (spool_record_header_read(p, cap, salt, offset, out) < 0 ||
        base_le32(p + 36) != base_crc32c(0, p + SPOOL_RECORD_HEADER_LEN, out->len))
        return -EBADMSG;
    return 0;
}

void spool_commit_write(uint8_t p[SPOOL_COMMIT_LEN], const struct spool_commit *c)
{
    base_put_le64(p, c->content_bytes);
    base_put_le32(p + 8, c->piece_cnt);
    base_put_le32(p + 12, c->recipient_cnt);
    base_put_le32(p + 16, c->envelope_len);
    base_put_le32(p + 20, 0);
}

void spool_commit_read(const uint8_t p[SPOOL_COMMIT_LEN], struct spool_commit *c)
{
    c->content_bytes = base_le64(p);
    c->piece_cnt = base_le32(p + 8);
    c->recipient_cnt = base_le32(p + 12);
    c->envelope_len = base_le32(p + 16);
}

static uint32_t summary_crc(const uint8_t *p, uint32_t len)
{
    static const uint8_t zero[4];
    uint32_t crc = base_crc32c(0, p, 48);
    crc = base_crc32c(crc, zero, 4);
    return base_crc32c(crc, p + 52, len - 52);
}

void spool_summary_header_write(uint8_t *p, const struct spool_summary_header *h)
{
    memset(p, 0, SPOOL_SUMMARY_HEADER_LEN);
    memcpy(p, summary_magic, 8);
    base_put_le32(p + 8, SPOOL_FORMAT_VERSION);
    base_put_le32(p + 12, h->len);
    base_put_le64(p + 16, h->sequence);
    base_put_le64(p + 24, h->salt);
    base_put_le64(p + 32, h->last_lsn);
    base_put_le32(p + 40, h->row_cnt);
    base_put_le32(p + 44, h->batch_bytes_max);
    base_put_le32(p + 48, summary_crc(p, h->len));
}

int spool_summary_header_read(const uint8_t *p, uint64_t cap, struct spool_summary_header *out)
{
    if (cap < SPOOL_SUMMARY_HEADER_LEN || memcmp(p, summary_magic, 8) != 0 ||
        base_le32(p + 8) != SPOOL_FORMAT_VERSION)
        return -EBADMSG;
    out->len = base_le32(p + 12);
    if (out->len < SPOOL_SUMMARY_HEADER_LEN || out->len > cap ||
        base_le32(p + 48) != summary_crc(p, out->len))
        return -EBADMSG;
    out->sequence = base_le64(p + 16);
    out->salt = base_le64(p + 24);
    out->last_lsn = base_le64(p + 32);
    out->row_cnt = base_le32(p + 40);
    out->batch_bytes_max = base_le32(p + 44);
    return out->batch_bytes_max <= SPOOL_BATCH_BYTES_LIMIT ? 0 : -EBADMSG;
}

/* Bodies are read when they are delivered; all else is in the summary as a whole. */
static bool row_has_payload(const struct spool_record *r)
{
    return r->type != SPOOL_RECORD_PIECE || r->part == SPOOL_PART_ENVELOPE;
}

uint32_t spool_summary_row_bytes(const struct spool_record *r)
{
    uint32_t payload = row_has_payload(r) ? r->len : 0;
    return (SPOOL_SUMMARY_ROW_LEN + payload + 7) & ~UINT32_C(7);
}

void spool_summary_row_write(uint8_t *p, const struct spool_record *r, uint64_t offset)
{
    memcpy(p, r->id.b, 16);
    base_put_le64(p + 16, offset);
    base_put_le32(p + 24, r->len);
    base_put_le32(p + 28, r->sequence);
    base_put_le64(p + 32, (uint64_t)r->type | (uint64_t)r->part << 8);
    if (!row_has_payload(r) || r->len == 0)
        return;
    base_put_le64(p + spool_summary_row_bytes(r) - 8, 0);
    memcpy(p + SPOOL_SUMMARY_ROW_LEN, r->payload, r->len);
}

int64_t spool_summary_row_read(const uint8_t *p, uint64_t cap, struct spool_record *r,
                               uint64_t *offset)
{
    if (cap < SPOOL_SUMMARY_ROW_LEN)
        return -EBADMSG;
    memcpy(r->id.b, p, 16);
    *offset = base_le64(p + 16);
    r->len = base_le32(p + 24);
    r->sequence = base_le32(p + 28);
    r->type = p[32];
    r->part = p[33];
    r->payload = row_has_payload(r) ? p + SPOOL_SUMMARY_ROW_LEN : NULL;
    if (!record_len_fits(r->type, r->part, r->len) || r->sequence >= SPOOL_PIECE_CNT_MAX ||
        *offset < SPOOL_SEGMENT_HEADER_LEN || *offset % 8 != 0 || *offset >> 40 != 0 ||
        spool_summary_row_bytes(r) > cap)
        return -EBADMSG;
    return spool_summary_row_bytes(r);
}

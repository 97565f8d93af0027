/*
 * Any bytes as segment files. The input is a program: it builds images with valid checksums of
 * headers, batches and records with wild fields, and damages bytes of them; then recovery reads
 * them, all messages are read back, and new ones written. Nothing may crash, and no byte may come
 * out that is not in a record whose checksum is right.
 */
#include "base_crc32c.h"
#include "base_time.h"
#include "disk_sim.h"
#include "spool.h"
#include "spool_format.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p;
    size_t left;
};

static uint8_t take(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->p++;
}

/* Each record's payload is this, so that any other byte that comes out is wrong. */
static uint8_t fill_of(const struct spool_id *id, uint32_t sequence)
{
    return (uint8_t)(id->b[0] * 16 + sequence);
}

static uint32_t record_build(struct input *in, uint8_t *p, uint32_t cap, uint64_t salt,
                             uint64_t offset)
{
    static uint8_t payload[SPOOL_PIECE_BYTES_MAX];
    struct spool_record r = {.type = take(in) % 7, .part = take(in) % 5, .payload = payload};
    memset(&r.id, 0, sizeof(r.id));
    r.id.b[0] = take(in) % 4;
    r.sequence = take(in) % 8;
    r.len = (uint32_t)take(in) * (r.type == SPOOL_RECORD_PIECE ? 16 : 1);
    memset(payload, fill_of(&r.id, r.sequence), r.len);
    if (r.type == SPOOL_RECORD_COMMIT) {
        struct spool_commit c = {.content_bytes = (uint64_t)take(in) * 16,
                                 .piece_cnt = take(in) % 8,
                                 .recipient_cnt = take(in) % 4,
                                 .envelope_len = (uint32_t)take(in) * 16};
        r.len = SPOOL_COMMIT_LEN;
        spool_commit_write(payload, &c);
    } else if (r.type == SPOOL_RECORD_OUTCOME || r.type == SPOOL_RECORD_STATE) {
        struct spool_outcome o = {.recipient = take(in) * (take(in) == 255 ? 1U << 20 : 1U)};
        if (o.recipient == 254) {
            o.recipient = SPOOL_OUTCOME_MESSAGE;
            o.state = take(in) % 3;
        }
        r.len = sizeof(o);
        memcpy(payload, &o, sizeof(o));
    } else if (r.type == SPOOL_RECORD_FREE) {
        r.len = 0;
    }
    if (spool_record_bytes(r.len) > cap)
        return 0;
    spool_record_write(p, &r);
    uint32_t at = take(in) == 13 ? take(in) % spool_record_bytes(r.len) : 0;
    if (at > 0 && (at < 8 || at > 11)) /* sealing needs the length as it is */
        p[at] ^= take(in);
    spool_record_seal(p, salt, offset);
    return spool_record_bytes(r.len);
}

/* A summary with a right checksum; its rows are of records that may be there, or not. */
static uint32_t summary_build(struct input *in, uint8_t *p, uint32_t cap,
                              const struct spool_segment_header *segment, uint64_t last_lsn)
{
    static uint8_t payload[SPOOL_PIECE_BYTES_MAX];
    struct spool_summary_header h = {.len = SPOOL_SUMMARY_HEADER_LEN,
                                     .sequence = segment->sequence,
                                     .salt = segment->salt,
                                     .last_lsn = last_lsn,
                                     .batch_bytes_max = take(in) * 4096U};
    for (uint8_t cnt = take(in) % 16; cnt > 0; cnt--) {
        struct spool_record r = {.type = take(in) % 7, .part = take(in) % 5, .payload = payload};
        memset(&r.id, 0, sizeof(r.id));
        r.id.b[0] = take(in) % 4;
        r.sequence = take(in) % 8;
        r.len = r.type == SPOOL_RECORD_COMMIT ? SPOOL_COMMIT_LEN : (uint32_t)take(in) * 24;
        memset(payload, take(in), r.len);
        if (spool_summary_row_bytes(&r) > cap - h.len)
            break;
        uint32_t at = SPOOL_SEGMENT_HEADER_LEN + take(in) * 8U + (take(in) == 13 ? 1U << 20 : 0U);
        spool_summary_row_write(p + h.len, &r, at);
        h.len += spool_summary_row_bytes(&r);
        h.row_cnt++;
    }
    h.row_cnt += take(in) == 13;
    spool_summary_header_write(p, &h);
    return h.len;
}

static void segment_build(struct input *in, struct spool_disk *disk, uint32_t number,
                          struct spool_segment_header *previous)
{
    uint64_t bytes;
    uint8_t *image = disk_sim_data(disk, number, &bytes);
    struct spool_segment_header h = {.sequence = take(in) % 8,
                                     .salt = number,
                                     .bytes = bytes,
                                     .first_lsn = take(in) % 8,
                                     .previous_sequence = take(in) % 8,
                                     .tail_sequence = take(in) % 8};
    h.previous_summary_offset = previous->previous_summary_offset;
    h.previous_summary_len = previous->previous_summary_len;
    spool_segment_header_write(image, &h);
    uint64_t offset = SPOOL_SEGMENT_HEADER_LEN;
    uint32_t crc = h.crc;
    uint64_t lsn = h.first_lsn;
    for (uint8_t batch_cnt = take(in) % 6; batch_cnt > 0 && offset + 65536 < bytes; batch_cnt--) {
        uint8_t *p = image + offset;
        struct spool_batch_header b = {.sequence = h.sequence,
                                       .salt = h.salt,
                                       .lsn = lsn++,
                                       .committed_lsn = take(in) % 8,
                                       .used = SPOOL_BATCH_HEADER_LEN,
                                       .previous_crc = crc};
        for (uint8_t cnt = take(in) % 8; cnt > 0; cnt--) {
            uint32_t n = record_build(in, p + b.used, 65536 - b.used, h.salt, offset + b.used);
            b.used += n;
            b.record_cnt += n > 0;
        }
        b.len = (b.used + SPOOL_BLOCK_BYTES - 1) / SPOOL_BLOCK_BYTES * SPOOL_BLOCK_BYTES;
        if (take(in) == 13)
            b.record_cnt += take(in);
        if (take(in) == 13)
            b.len = (uint32_t)take(in) * SPOOL_BLOCK_BYTES;
        spool_batch_header_write(p, &b);
        crc = b.crc;
        offset += (b.used + SPOOL_BLOCK_BYTES - 1) / SPOOL_BLOCK_BYTES * SPOOL_BLOCK_BYTES;
    }
    previous->previous_summary_offset = offset;
    previous->previous_summary_len =
        summary_build(in, image + offset, (uint32_t)(bytes - offset), &h, lsn - 1);
    for (uint8_t cnt = take(in) % 4; cnt > 0; cnt--) {
        uint32_t at = take(in) | (uint32_t)take(in) << 8;
        image[at % bytes] ^= take(in);
    }
}

static void read_check(struct spool *s, const struct spool_id *id, struct spool_buf *buf,
                       uint64_t *now)
{
    struct spool_entry e = {
        .id = *id, .op = SPOOL_READ, .len = SPOOL_BUF_BYTES, .buf = buf, .cookie = buf};
    struct spool_done d = {.op = 0};
    base_assert(spool_push(s, &e) == 0);
    for (int i = 0; i < 1000 && d.op != SPOOL_READ; i++) {
        spool_run(s, ++*now);
        if (spool_poll(s, &d, 1) == 1)
            spool_arrival_free(d.arrival);
    }
    base_assert(d.op == SPOOL_READ);
    for (uint32_t i = 0; d.status == 0 && i < d.len; i++)
        base_assert(d.buf->data[i] >> 4 == (id->b[0] & 15));
}

static void spool_use(struct spool *s, struct spool_buf *buf)
{
    uint64_t now = 1;
    struct spool_done d;
    for (int i = 0; i < 60; i++) {
        spool_run(s, now += BASE_NS_MS);
        while (spool_poll(s, &d, 1) == 1) {
            base_assert(d.op == SPOOL_ARRIVED || d.op == SPOOL_DAMAGED);
            spool_arrival_free(d.arrival);
        }
    }
    for (uint8_t k = 0; k < 4; k++) {
        struct spool_id id = {{k}};
        read_check(s, &id, buf, &now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stats_block stats;
    struct input in = {.p = data, .left = size};
    struct disk_sim_config disk_config = {.seed = 1, .queue_depth = 8, .sector_bytes = 512};
    struct spool_buf_pool pool;
    struct spool_disk disk;
    struct spool *s = NULL;
    char err[256];
    if (disk_sim_open(&disk, &disk_config) < 0 || spool_buf_pool_init(&pool, 1, 0) < 0)
        abort();
    uint32_t cnt = 2 + take(&in) % 3;
    struct spool_segment_header previous = {0}; /* what is told of the summary before */
    bool accept = take(&in) % 2 != 0;
    for (uint32_t n = 1; n <= cnt; n++) {
        base_assert(disk.ops->segment_create(disk.state, n, 128 << 10) == 0);
        segment_build(&in, &disk, n, &previous);
    }
    /* No more files: what is there is all. */
    disk_config.capacity_bytes = 1;
    disk_sim_configure(&disk, &disk_config);
    struct spool_config config = {.disk = disk,
                                  .segment_bytes = 1 << 20,
                                  .segment_max = 4,
                                  .reserve_segments = 2,
                                  .commit_max = 2,
                                  .batch_bytes_max = 64 << 10,
                                  .accept_corruption = accept,
                                  .stats = &stats,
                                  .seed = 1};
    if (spool_open(&s, &config, 1, err, sizeof(err)) == 0) {
        spool_use(s, spool_buf_get(&pool));
        spool_buf_put(&pool, pool.bufs);
        spool_close(s);
    }
    spool_buf_pool_fini(&pool);
    disk_sim_close(&disk);
    return 0;
}

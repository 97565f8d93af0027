/*
 * FORMAT.md in code: headers written, read and checked. Private to lib/spool. Pure.
 */
#ifndef SPOOL_FORMAT_H
#define SPOOL_FORMAT_H

#include "spool.h"

#define SPOOL_FORMAT_VERSION     1
#define SPOOL_SEGMENT_HEADER_LEN SPOOL_BLOCK_BYTES
#define SPOOL_BATCH_HEADER_LEN   72
#define SPOOL_RECORD_HEADER_LEN  48
#define SPOOL_PIECE_BYTES_MAX    32768
#define SPOOL_PIECE_CNT_MAX      (1U << 18) /* 4 GiB in pieces of 16 KiB */
#define SPOOL_COMMIT_LEN         24
#define SPOOL_SUMMARY_HEADER_LEN 64
#define SPOOL_SUMMARY_ROW_LEN    40
#define SPOOL_BATCH_BYTES_LIMIT  (64U << 20)
/* Outcomes of a message: as many recipients as an envelope of 16 MiB can hold. */
#define SPOOL_RECIPIENT_CNT_MAX (1U << 22)

enum spool_record_type {
    SPOOL_RECORD_PIECE = 1,
    SPOOL_RECORD_COMMIT = 2,
    SPOOL_RECORD_OUTCOME = 3,
    SPOOL_RECORD_STATE = 4,
    SPOOL_RECORD_FREE = 5,
};

struct spool_segment_header {
    uint32_t version;
    uint32_t crc;
    uint8_t uuid[16];
    uint64_t sequence;
    uint64_t salt;
    uint64_t bytes;
    uint64_t first_lsn;
    uint64_t previous_sequence;
    uint64_t tail_sequence;
    uint64_t previous_summary_offset; /* 0: none */
    uint32_t previous_summary_len;
    uint8_t number;
};

/* Fills the block and sets h->crc. */
void spool_segment_header_write(uint8_t block[SPOOL_BLOCK_BYTES], struct spool_segment_header *h);
/* Returns 0; -EBADMSG when there is no header or a damaged one; -EPROTO for one of another version
 * that is whole: of out version and crc are filled in then. */
int spool_segment_header_read(const uint8_t block[SPOOL_BLOCK_BYTES],
                              struct spool_segment_header *out) BASE_WARN_UNUSED;

struct spool_batch_header {
    uint32_t len;
    uint64_t sequence;
    uint64_t salt;
    uint64_t lsn;
    uint64_t committed_lsn;
    uint32_t record_cnt;
    uint32_t used;
    uint32_t previous_crc;
    uint32_t crc;
};

/* Writes the header at p and sets h->crc. */
void spool_batch_header_write(uint8_t *p, struct spool_batch_header *h);
/* Reads one that is valid in itself: magic, version, crc, lengths. Returns 0 or -EBADMSG. */
int spool_batch_header_read(const uint8_t *p, struct spool_batch_header *out) BASE_WARN_UNUSED;

struct spool_record {
    uint8_t type;
    uint8_t part;
    uint32_t len;
    uint32_t sequence;
    struct spool_id id;
    const uint8_t *payload;
};

static inline uint32_t spool_record_bytes(uint32_t len)
{
    return (SPOOL_RECORD_HEADER_LEN + len + 7) & ~UINT32_C(7);
}

/* Writes a record at p without its checksum, which needs the place: spool_record_seal. */
void spool_record_write(uint8_t *p, const struct spool_record *r);
void spool_record_seal(uint8_t *p, uint64_t salt, uint64_t offset);
/* Reads and checks the header alone; the payload of which it tells lies within cap. Returns 0 or
 * -EBADMSG. */
int spool_record_header_read(const uint8_t *p, size_t cap, uint64_t salt, uint64_t offset,
                             struct spool_record *out) BASE_WARN_UNUSED;
/* Reads and checks the record at p of which cap bytes are there. Returns 0 or -EBADMSG. */
int spool_record_read(const uint8_t *p, size_t cap, uint64_t salt, uint64_t offset,
                      struct spool_record *out) BASE_WARN_UNUSED;

struct spool_commit {
    uint64_t content_bytes;
    uint32_t piece_cnt;
    uint32_t recipient_cnt;
    uint32_t envelope_len;
};
void spool_commit_write(uint8_t p[SPOOL_COMMIT_LEN], const struct spool_commit *c);
void spool_commit_read(const uint8_t p[SPOOL_COMMIT_LEN], struct spool_commit *c);

struct spool_summary_header {
    uint32_t len; /* of the whole summary */
    uint64_t sequence;
    uint64_t salt;
    uint64_t last_lsn;
    uint32_t row_cnt;
    uint32_t batch_bytes_max;
};
/* Writes the header at p, whose rows stand behind it already. */
void spool_summary_header_write(uint8_t *p, const struct spool_summary_header *h);
/* Reads and checks the summary at p of which cap bytes are there, its rows not. Returns 0 or
 * -EBADMSG. */
int spool_summary_header_read(const uint8_t *p, uint64_t cap,
                              struct spool_summary_header *out) BASE_WARN_UNUSED;

/* Bytes of a row. */
uint32_t spool_summary_row_bytes(const struct spool_record *r);
void spool_summary_row_write(uint8_t *p, const struct spool_record *r, uint64_t offset);
/* Reads the row at p of which cap bytes are there. r->payload is NULL where the row has none.
 * Returns its bytes, or -EBADMSG. */
int64_t spool_summary_row_read(const uint8_t *p, uint64_t cap, struct spool_record *r,
                               uint64_t *offset) BASE_WARN_UNUSED;

#endif

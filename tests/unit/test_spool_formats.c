/* Ids, envelopes, buffers and the headers on disk, by tables. */
#include "unit.h"

#include "base_rand.h"
#include "spool_format.h"

#include <errno.h>
#include <stdlib.h>

/* What a summary's row must be: each damage of a good one. */
static void test_summary_rows(void **state)
{
    (void)state;
    static const struct {
        uint8_t type, part;
        uint32_t len, sequence;
        uint64_t offset;
        uint64_t cap_less; /* so many bytes are missing */
        bool good;
    } rows[] = {
        {SPOOL_RECORD_PIECE, SPOOL_PART_BODY, 32768, 7, 8192, 0, true},
        {SPOOL_RECORD_PIECE, SPOOL_PART_ENVELOPE, 33, 0, 4168, 0, true},
        {SPOOL_RECORD_COMMIT, 0, SPOOL_COMMIT_LEN, 0, 4096, 0, true},
        {SPOOL_RECORD_STATE, 0, 48, 0, 4096, 0, true},
        {SPOOL_RECORD_FREE, 0, 0, 0, 4096, 0, true},
        {SPOOL_RECORD_FREE, 0, 1, 0, 4096, 0, false},
        {SPOOL_RECORD_PIECE, SPOOL_PART_BODY, 32769, 7, 8192, 0, false},
        {SPOOL_RECORD_PIECE, SPOOL_PART_BODY, 0, 7, 8192, 0, false},
        {SPOOL_RECORD_PIECE, 4, 10, 7, 8192, 0, false},
        {SPOOL_RECORD_PIECE, SPOOL_PART_BODY, 10, SPOOL_PIECE_CNT_MAX, 8192, 0, false},
        {SPOOL_RECORD_PIECE, SPOOL_PART_BODY, 10, 0, 4088, 0, false},
        {SPOOL_RECORD_PIECE, SPOOL_PART_BODY, 10, 0, 8193, 0, false},
        {SPOOL_RECORD_PIECE, SPOOL_PART_BODY, 10, 0, UINT64_C(1) << 40, 0, false},
        {SPOOL_RECORD_PIECE, SPOOL_PART_ENVELOPE, 33, 0, 4168, 1, false},
        {SPOOL_RECORD_PIECE, SPOOL_PART_BODY, 33, 0, 4168, 1, false},
        {9, 0, 0, 0, 4096, 0, false},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        static uint8_t payload[64], row[256];
        struct spool_record in = {.type = rows[i].type,
                                  .part = rows[i].part,
                                  .len = rows[i].len,
                                  .sequence = rows[i].sequence,
                                  .id = spool_id_make(1, 2, 3, (uint32_t)i),
                                  .payload = payload};
        struct spool_record out;
        uint64_t offset;
        payload[0] = (uint8_t)i;
        uint32_t bytes = spool_summary_row_bytes(&in);
        assert_true(bytes <= sizeof(row) && bytes % 8 == 0);
        spool_summary_row_write(row, &in, rows[i].offset);
        int64_t rc = spool_summary_row_read(row, bytes - rows[i].cap_less, &out, &offset);
        assert_int_equal(rc, rows[i].good ? (int64_t)bytes : -EBADMSG);
        if (!rows[i].good)
            continue;
        assert_true(spool_id_eq(&out.id, &in.id) && out.type == in.type && out.part == in.part);
        assert_true(out.len == in.len && out.sequence == in.sequence && offset == rows[i].offset);
        assert_true((out.payload == NULL) == (in.part == SPOOL_PART_BODY));
        if (out.payload != NULL && out.len > 0)
            assert_memory_equal(out.payload, payload, out.len);
    }
}

/* The header is good as a whole, and with any bit of it turned it is not. */
static void test_summary_header(void **state)
{
    (void)state;
    uint8_t p[96] = {0};
    struct spool_summary_header in = {
        .len = 88, .sequence = 5, .salt = 6, .last_lsn = 7, .row_cnt = 1, .batch_bytes_max = 65536};
    struct spool_summary_header out;
    p[70] = 9;
    spool_summary_header_write(p, &in);
    assert_int_equal(spool_summary_header_read(p, 88, &out), 0);
    assert_true(out.len == 88 && out.sequence == 5 && out.salt == 6 && out.last_lsn == 7);
    assert_true(out.row_cnt == 1 && out.batch_bytes_max == 65536);
    assert_int_equal(spool_summary_header_read(p, 87, &out), -EBADMSG);
    assert_int_equal(spool_summary_header_read(p, 63, &out), -EBADMSG);
    for (uint32_t bit = 0; bit < 88 * 8; bit++) {
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(spool_summary_header_read(p, 96, &out), -EBADMSG);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    in.batch_bytes_max = SPOOL_BATCH_BYTES_LIMIT + 1;
    spool_summary_header_write(p, &in);
    assert_int_equal(spool_summary_header_read(p, 88, &out), -EBADMSG);
}

static void test_id_rows(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } rows[] = {
        {"00000000000000000000000000", 0},
        {"7zzzzzzzzzzzzzzzzzzzzzzzzz", 0},
        {"8zzzzzzzzzzzzzzzzzzzzzzzzz", -EINVAL}, /* 129 bits */
        {"0000000000000000000000000", -EINVAL},
        {"000000000000000000000000000", -EINVAL},
        {"0000000000000000000000000i", -EINVAL},
        {"0000000000000000000000000l", -EINVAL},
        {"0000000000000000000000000o", -EINVAL},
        {"0000000000000000000000000u", -EINVAL},
        {"0000000000000000000000000A", -EINVAL},
        {"0000000000000 000000000000", -EINVAL},
        {"", -EINVAL},
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct spool_id id;
        char text[SPOOL_ID_TEXT_LEN + 1];
        assert_int_equal(spool_id_parse(&id, base_span_str(rows[i].text)), rows[i].rc);
        if (rows[i].rc != 0)
            continue;
        spool_id_format(text, &id);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_id_order(void **state)
{
    (void)state;
    struct base_rand r;
    base_rand_init(&r, 5);
    for (int i = 0; i < 2000; i++) {
        uint64_t wall[2] = {base_rand_next(&r) >> 1, base_rand_next(&r) >> 1};
        struct spool_id id[2], back;
        char text[2][SPOOL_ID_TEXT_LEN + 1];
        for (int k = 0; k < 2; k++) {
            id[k] = spool_id_make(wall[k], (uint8_t)i, 3, (uint32_t)base_rand_next(&r));
            spool_id_format(text[k], &id[k]);
            assert_int_equal(spool_id_parse(&back, base_span_str(text[k])), 0);
            assert_true(spool_id_eq(&back, &id[k]));
        }
        assert_true((wall[0] < wall[1]) == (strcmp(text[0], text[1]) < 0));
        assert_true((wall[0] < wall[1]) == (memcmp(id[0].b, id[1].b, 16) < 0));
    }
}

static void test_envelope_rows(void **state)
{
    (void)state;
#define SENDER    "\x01\x01\x00s"
#define NULLER    "\x01\x00\x00"
#define RECIPIENT "\x02\x02\x00rr"
#define NEVER     "\x0b\x01\x00\x01"
#define ORCPT     "\x0c\x08\x00rfc822;x"
    static const struct {
        const char *bytes;
        size_t len;
        int want;
    } rows[] = {
#define ROW(text, want) {text, sizeof(text) - 1, want}
        ROW(SENDER RECIPIENT, 1),
        ROW(NULLER RECIPIENT RECIPIENT, 2),
        ROW(NULLER RECIPIENT "\x03\x08\x00"
                             "12345678",
            1),
        ROW(NULLER RECIPIENT "\x03\x07\x00"
                             "1234567",
            -EINVAL),
        ROW(NULLER RECIPIENT "\x04\x00\x00", 1),
        ROW(NULLER RECIPIENT "\x04\x01\x00x", -EINVAL),
        ROW(NULLER RECIPIENT "\xfe\x01\x00x", 1), /* unknown: skipped */
        ROW(NULLER RECIPIENT "\x00\x00\x00", -EINVAL),
        /* The parameters of MAIL. */
        ROW(NULLER "\x07\x08\x00"
                   "12345678"
                   "\x08\x00\x00\x09\x01\x00\x02\x0a\x01\x00x" RECIPIENT,
            1),
        ROW(NULLER "\x07\x01\x00x" RECIPIENT, -EINVAL),
        ROW(NULLER "\x08\x01\x00x" RECIPIENT, -EINVAL),
        ROW(NULLER "\x08\x00\x00\x08\x00\x00" RECIPIENT, -EINVAL), /* twice */
        ROW(NULLER "\x09\x01\x00\x00" RECIPIENT, -EINVAL),
        ROW(NULLER "\x09\x01\x00\x03" RECIPIENT, -EINVAL),
        ROW(NULLER "\x09\x00\x00" RECIPIENT, -EINVAL),
        ROW(NULLER "\x0a\x00\x00" RECIPIENT, -EINVAL),
        ROW(NULLER "\x0d\x12\x00"
                   "123456789012345678" RECIPIENT,
            1),
        ROW(NULLER "\x0d\x11\x00"
                   "12345678901234567" RECIPIENT,
            -EINVAL),
        /* Those of RCPT. */
        ROW(NULLER RECIPIENT NEVER ORCPT RECIPIENT ORCPT NEVER, 2),
        ROW(NULLER RECIPIENT "\x0b\x01\x00\x0e", 1),
        ROW(NULLER RECIPIENT "\x0b\x01\x00\x00", -EINVAL),
        ROW(NULLER RECIPIENT "\x0b\x01\x00\x03", -EINVAL), /* NEVER and another */
        ROW(NULLER RECIPIENT "\x0b\x01\x00\x10", -EINVAL),
        ROW(NULLER RECIPIENT "\x0b\x00\x00", -EINVAL),
        ROW(NULLER RECIPIENT "\x0c\x00\x00", -EINVAL),
        ROW(NULLER RECIPIENT NEVER NEVER, -EINVAL),
        ROW(NULLER RECIPIENT ORCPT NEVER ORCPT, -EINVAL),
        ROW(NULLER NEVER RECIPIENT, -EINVAL), /* of nobody */
        ROW(NULLER ORCPT RECIPIENT, -EINVAL),
        ROW(NULLER "\x02\x00\x00", -EINVAL), /* an empty recipient */
        ROW(NULLER, -EINVAL),
        ROW(RECIPIENT SENDER, -EINVAL),
        ROW(SENDER SENDER RECIPIENT, -EINVAL),
        ROW("", -EINVAL),
        ROW(SENDER "\x02", -EINVAL),
        ROW(SENDER "\x02\x05\x00rr", -EINVAL),
        ROW(SENDER RECIPIENT "\x02\xff\xffr", -EINVAL),
    };
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        /* An exact copy: the address sanitizer sees a read beyond the end. */
        uint8_t *p = malloc(rows[i].len + 1);
        assert_non_null(p);
        memcpy(p + 1, rows[i].bytes, rows[i].len);
        if (spool_envelope_check(base_span_of(p + 1, rows[i].len)) != rows[i].want)
            print_error("row %zu\n", i);
        assert_int_equal(spool_envelope_check(base_span_of(p + 1, rows[i].len)), rows[i].want);
        free(p);
    }
}

static void test_envelope_put(void **state)
{
    (void)state;
    static uint8_t long_value[SPOOL_ENVELOPE_VALUE_MAX + 1];
    uint8_t p[8];
    struct base_buf b = {.p = p, .cap = sizeof(p)};
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_SENDER, base_span_str("ab")), 0);
    assert_int_equal(b.len, 5);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_RECIPIENT, base_span_str("c")), -ENOSPC);
    assert_int_equal(b.len, 5);
    assert_int_equal(spool_envelope_put(&b, SPOOL_ENVELOPE_BODY_8BIT, base_span_of(NULL, 0)), 0);
    assert_int_equal(b.len, 8);
    assert_int_equal(
        spool_envelope_put(&b, SPOOL_ENVELOPE_HELO, base_span_of(long_value, sizeof(long_value))),
        -EINVAL);
}

static void test_buffers(void **state)
{
    (void)state;
    struct spool_buf_pool p;
    struct spool_buf *b[3];
    assert_int_equal(spool_buf_pool_init(&p, 3, 9), 0);
    for (int i = 0; i < 3; i++) {
        b[i] = spool_buf_get(&p);
        assert_non_null(b[i]);
        assert_int_equal((uintptr_t)b[i]->data % 4096, 0);
        assert_int_equal(b[i]->home, 9);
        memset(b[i]->data, i, SPOOL_BUF_BYTES);
        b[i]->len = 7;
    }
    assert_null(spool_buf_get(&p));
    for (int i = 0; i < 3; i++)
        spool_buf_put(&p, b[i]);
    b[0] = spool_buf_get(&p);
    assert_int_equal(b[0]->len, 0);
    spool_buf_put(&p, b[0]);
    spool_buf_pool_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id_rows),        cmocka_unit_test(test_summary_rows),
        cmocka_unit_test(test_summary_header), cmocka_unit_test(test_id_order),
        cmocka_unit_test(test_envelope_rows),  cmocka_unit_test(test_envelope_put),
        cmocka_unit_test(test_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

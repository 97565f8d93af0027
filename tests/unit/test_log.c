/* drivers/log: exact lines, escapes, levels, rotation, what happens when a write fails. */
#include "unit.h"

#include "log.h"
#include "net_addr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void id_format(char out[LOG_ID_CAP], const uint8_t id[16])
{
    snprintf(out, LOG_ID_CAP, "id%02x%02x", id[0], id[15]);
}

static struct stats_log_record record(enum stats_log_event event, const char *text)
{
    struct stats_log_record r = {
        .wall_ns = UINT64_C(1767323045123456789), .event = (uint16_t)event, .n = 250, .m = 7};

    stats_log_text(&r, base_span_str(text));
    return r;
}

static void expect_line(const struct stats_log_record *r, const char *wanted)
{
    char line[LOG_LINE_CAP + 1];

    line[log_format(line, r, id_format)] = 0;
    assert_string_equal(line, wanted);
}

static void test_lines(void **state)
{
    struct stats_log_record r = record(STATS_LOG_ACCEPTED, "");
    struct net_addr v4 = net_addr_v4("\xc0\x00\x02\x01"), v6;

    (void)state;
    memcpy(r.address, v4.b, 16);
    r.port = 4711;
    r.id[0] = 1;
    r.id[15] = 0xab;
    expect_line(&r, "2026-01-02T03:04:05.123456Z info accepted id=id01ab client=192.0.2.1:4711 "
                    "bytes=250 recipients=7\n");
    assert_int_equal(net_addr_parse(&v6, base_span_str("2001:db8::1")), 0);
    memcpy(r.address, v6.b, 16);
    expect_line(&r, "2026-01-02T03:04:05.123456Z info accepted id=id01ab "
                    "client=[2001:db8::1]:4711 bytes=250 recipients=7\n");
    r = record(STATS_LOG_REFUSED, "relay denied");
    expect_line(&r, "2026-01-02T03:04:05.123456Z info refused id=- client=- code=250 "
                    "reason=relay denied\n");
    r = record(STATS_LOG_NEIGHBOR, "no answer");
    memcpy(r.address, v4.b, 16);
    expect_line(&r, "2026-01-02T03:04:05.123456Z warn neighbor address=192.0.2.1 what=no answer\n");
    r = record(STATS_LOG_SPOOL_ERROR, "");
    r.n = UINT64_MAX;
    expect_line(&r, "2026-01-02T03:04:05.123456Z error spool_error segment=18446744073709551615 "
                    "error=7 what=\n");
}

static void test_escapes(void **state)
{
    struct stats_log_record r = record(STATS_LOG_NOTE, "");
    char line[LOG_LINE_CAP];

    (void)state;
    stats_log_text(&r, base_span_of("a\nb\r\0\x1b[1m\"'\\%s\x7f\xc3\xa4~ ", 19));
    expect_line(&r,
                "2026-01-02T03:04:05.123456Z info note a\\x0ab\\x0d\\x00\\x1b[1m\\x22\\x27\\x5c%s"
                "\\x7f\\xc3\\xa4~ \n");
    /* The longest line of each event, and every byte: one line, printable. */
    for (uint16_t event = 0; event < STATS_LOG_EVENT_CNT; event++)
        for (unsigned base = 0; base < 256; base += 64) {
            r = (struct stats_log_record){.wall_ns = UINT64_MAX, .event = event, .n = UINT64_MAX};
            r.m = UINT64_MAX;
            r.port = UINT16_MAX;
            r.text_len = STATS_LOG_TEXT_CAP;
            memset(r.address, 0xfe, 16);
            memset(r.id, 0xfe, 16);
            for (unsigned i = 0; i < STATS_LOG_TEXT_CAP; i++)
                r.text[i] = (uint8_t)(base + i % 64);
            size_t len = log_format(line, &r, id_format);
            assert_int_equal(line[len - 1], '\n');
            for (size_t i = 0; i + 1 < len; i++)
                assert_true(line[i] >= ' ' && line[i] < 0x7f);
        }
    memset(r.text, 0, sizeof(r.text));
    assert_true(log_format(line, &r, id_format) > 4 * STATS_LOG_TEXT_CAP);
}

static char dir[] = "/tmp/sluice-test-log-XXXXXX";

static char *read_file(const char *path)
{
    static char text[256 * 1024];
    FILE *in = fopen(path, "r");

    assert_non_null(in);
    text[fread(text, 1, sizeof(text) - 1, in)] = 0;
    fclose(in);
    return text;
}

static unsigned count_lines(const char *path)
{
    unsigned n = 0;

    for (const char *p = read_file(path); *p != 0; p++)
        n += *p == '\n';
    return n;
}

static void test_file(void **state)
{
    static struct stats_block stats;
    static struct stats_log_record many[3 * LOG_BATCH_MAX + 1];
    char path[64], old[64], missing[64];
    struct log *l;
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/log", dir);
    snprintf(old, sizeof(old), "%s/old", dir);
    snprintf(missing, sizeof(missing), "%s/no/log", dir);
    struct log_config config = {missing, STATS_LOG_INFO, id_format, &stats};
    assert_int_equal(log_open(&l, &config), -ENOENT);
    config.path = path;
    assert_int_equal(log_open(&l, &config), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0);
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
        many[i] = record(i % 2 ? STATS_LOG_WARNING : STATS_LOG_NOTE, "x");
    assert_int_equal(log_write(l, many, 3 * LOG_BATCH_MAX + 1), 0);
    assert_int_equal(count_lines(path), 3 * LOG_BATCH_MAX + 1);
    /* Renamed: the old file is written until the log is opened anew. */
    assert_int_equal(rename(path, old), 0);
    assert_int_equal(log_write(l, many, 1), 0);
    assert_int_equal(count_lines(old), 3 * LOG_BATCH_MAX + 2);
    assert_int_equal(log_reopen(l), 0);
    log_set_level(l, STATS_LOG_WARN);
    assert_int_equal(log_write(l, many, 4), 0);
    assert_int_equal(count_lines(path), 2);
    log_set_level(l, STATS_LOG_ERROR);
    assert_int_equal(log_write(l, many, 4), 0);
    assert_int_equal(count_lines(path), 2);
    assert_int_equal(stats_get(&stats, STATS_LOG_LINES), 3 * LOG_BATCH_MAX + 4);
    assert_int_equal(stats_get(&stats, STATS_LOG_LOST), 0);
    /* Appends to what is there. */
    log_close(l);
    assert_int_equal(log_open(&l, &config), 0);
    assert_int_equal(log_write(l, many, 1), 0);
    log_close(l);
    assert_int_equal(count_lines(path), 3);
    unlink(path);
    unlink(old);
    rmdir(dir);
}

/* A pipe that is full takes a part of a batch; the line it broke is ended before the next one. */
static void test_failed_write(void **state)
{
    static struct stats_block stats;
    static struct stats_log_record many[LOG_BATCH_MAX];
    static char text[2 * 1024 * 1024];
    struct log_config config = {NULL, STATS_LOG_INFO, id_format, &stats};
    struct log *l;
    int ends[2];
    uint32_t sent = 0;
    size_t len = 0;

    (void)state;
    assert_int_equal(log_open(&l, &config), 0);
    assert_int_equal(log_reopen(l), 0);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    log_set_fd(l, ends[1]);
    for (size_t i = 0; i < LOG_BATCH_MAX; i++)
        many[i] = record(STATS_LOG_NOTE, "some text of a length that is no divisor of a page");
    int error = 0;
    for (; sent < 1000 * LOG_BATCH_MAX && error == 0; sent += LOG_BATCH_MAX)
        error = log_write(l, many, LOG_BATCH_MAX);
    assert_int_equal(error, -EAGAIN);
    assert_int_equal(stats_get(&stats, STATS_LOG_LINES) + stats_get(&stats, STATS_LOG_LOST), sent);
    assert_true(stats_get(&stats, STATS_LOG_LOST) > 0);
    for (ssize_t n; (n = read(ends[0], text + len, sizeof(text) - len)) > 0;)
        len += (size_t)n;
    assert_int_equal(log_write(l, many, 1), 0);
    for (ssize_t n; (n = read(ends[0], text + len, sizeof(text) - len)) > 0;)
        len += (size_t)n;
    uint32_t whole = 0, torn = 0;
    for (char *p = text, *end; p < text + len; p = end + 1) {
        end = memchr(p, '\n', (size_t)(text + len - p));
        assert_non_null(end);
        bool complete = end - p == 27 + 11 + 50 && memcmp(end - 6, "a page", 6) == 0;
        whole += complete;
        torn += !complete;
    }
    assert_int_equal(whole, stats_get(&stats, STATS_LOG_LINES));
    assert_true(torn <= 1);
    close(ends[0]);
    log_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_failed_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The sink's sessions: what they say, what they note of messages however their bytes are cut, and
 * its options. */

#include "unit.h"

#include "base_crc32c.h"
#include "options.h"
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RUN 77

static struct sink sink;
static struct stats_block stats;
static char said[65536];
static size_t said_len;
static char path[] = "/tmp/test_sink.XXXXXX";

static bool hear(struct session *s, const void *p, size_t len)
{
    (void)s;
    assert_true(said_len + len < sizeof(said));
    memcpy(said + said_len, p, len);
    said_len += len;
    said[said_len] = 0;
    return true;
}

static int setup(void **state)
{
    (void)state;
    memset(&sink, 0, sizeof(sink));
    sink_init(&sink, "sink.example");
    sink.stats = &stats;
    sink.send = hear;
    sink.now_ns = 1;
    close(mkstemp(path));
    struct ledger_settings l = {.kind = LEDGER_SEEN, .capacity = 16, .recipient_cnt = 3};
    assert_int_equal(ledger_create(&sink.ledger, path, &l), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sink_fini(&sink);
    unlink(path);
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    return 0;
}

static unsigned entry(uint64_t number, uint32_t recipient)
{
    return sink.ledger.entry[number * 3 + recipient];
}

/* A message with the field somewhere in its header section, and a body with a dot to be stuffed. */
static size_t message(char *out, uint64_t number, const char *body, const char *sent)
{
    uint8_t field[LEDGER_FIELD_BYTES];
    struct ledger_id id = {.run = RUN,
                           .number = number,
                           .body_crc32c = base_crc32c(0, body, strlen(body)),
                           .body_bytes = strlen(body)};

    ledger_field_write(field, &id);
    return (size_t)sprintf(
        out,
        "Received: from a by b with ESMTP id 0123456789abcdef0123456789abcdef for "
        "<somebody@example.org>; today\r\n%.*sSubject: x\r\n\r\n%s",
        LEDGER_FIELD_BYTES, (const char *)field, sent);
}

static size_t conversation(char *out, const char *body, const char *sent)
{
    char text[2048];
    size_t n = (size_t)sprintf(
        out, "EHLO a.example\r\nMAIL FROM:<a@example.org>\r\n"
             "RCPT TO:<sink2@example.org>\r\nRCPT TO:<sink@example.org>\r\nDATA\r\n");

    message(text, 5, body, sent);
    n += (size_t)sprintf(out + n, "%s.\r\nMAIL FROM:<>\r\nRCPT TO:<sink1@example.org>\r\n", text);
    size_t len = message(text, 6, "chunk\r\n", "chunk\r\n");
    n += (size_t)sprintf(out + n, "BDAT %zu\r\n%.20sBDAT %zu LAST\r\n%sQUIT\r\n", (size_t)20, text,
                         len - 20, text + 20);
    return n;
}

static void run(const char *in, size_t len, size_t piece)
{
    struct session s;

    said_len = 0;
    session_open(&s, &sink);
    for (size_t at = 0; at < len && !s.ends; at += piece)
        session_feed(&s, (const uint8_t *)in + at, len - at < piece ? len - at : piece);
    assert_true(s.ends);
    session_close(&s);
}

static void cut_anywhere(void **state)
{
    static const size_t pieces[] = {1, 2, 7, 100, 100000};
    char in[8192];
    size_t len = conversation(in, ".dot\r\nbody\r\n", "..dot\r\nbody\r\n");

    (void)state;
    for (unsigned i = 0; i < BASE_ARRAY_CNT(pieces); i++) {
        run(in, len, pieces[i]);
        assert_non_null(strstr(said, "250-PIPELINING\r\n"));
        assert_non_null(strstr(said, "CHUNKING\r\n"));
        assert_null(strstr(said, "STARTTLS"));
        assert_int_equal(entry(5, 0), i + 1);
        assert_int_equal(entry(5, 2), i + 1);
        assert_int_equal(entry(5, 1), 0);
        assert_int_equal(entry(6, 1), i + 1);
        assert_int_equal(sink_get(&sink, SINK_MESSAGES), 2 * (i + 1));
    }
    assert_int_equal(sink_get(&sink, SINK_DAMAGED), 0);
    assert_int_equal(sink_get(&sink, SINK_UNNAMED), 0);
    assert_int_equal(sink_get(&sink, SINK_STRANGE), 0);
}

static void damage_is_seen(void **state)
{
    static const char *const sent[] = {"", "body", "bodz\r\n", "body\r\n\r\n", "body\r\nx\r\n"};
    char in[8192];

    (void)state;
    for (unsigned i = 0; i < BASE_ARRAY_CNT(sent); i++) {
        char line[64];
        snprintf(line, sizeof(line), "%s%s", sent[i],
                 *sent[i] == 0 || strchr(sent[i], '\n') != NULL ? "" : "!\r\n");
        run(in, conversation(in, "body\r\n", line), 50);
        assert_int_equal(entry(5, 0), (i + 1) | LEDGER_DAMAGED);
        assert_int_equal(sink_get(&sink, SINK_DAMAGED), i + 1);
    }
    assert_int_equal(entry(6, 1), BASE_ARRAY_CNT(sent));
}

static void delay_and_faults(void **state)
{
    char in[8192];
    size_t len = conversation(in, "body\r\n", "body\r\n");
    struct session s;

    (void)state;
    sink.delay_ns = 10;
    said_len = 0;
    session_open(&s, &sink);
    session_feed(&s, (const uint8_t *)in, len);
    assert_true(s.waits);
    assert_int_equal(entry(5, 0), 0);
    assert_null(sink_due(&sink));
    sink.now_ns += 10;
    assert_ptr_equal(sink_due(&sink), &s);
    session_resume(&s);
    assert_int_equal(entry(5, 0), 1);
    assert_true(s.waits); /* for the second message, which came with the first */
    sink.now_ns += 10;
    session_resume(&s);
    assert_true(s.ends);
    session_close(&s);
    sink.delay_ns = 0;
    sink.reject_percent = 50;
    run(in, len, 1000);
    assert_int_equal(sink_get(&sink, SINK_REJECTED), 1);
    assert_non_null(strstr(said, "451 4.3.0 "));
    sink.reject_percent = 0;
    sink.fault = SINK_FAULT_CUT;
    sink.fault_each = 1;
    unsigned before = entry(5, 0);
    run(in, len, 1000);
    assert_int_equal(entry(5, 0), before + 1);
    assert_null(strstr(said, "taken"));
    sink.fault = SINK_FAULT_LOSE;
    run(in, len, 1000);
    assert_int_equal(entry(5, 0), before + 1);
}

static void options(void **state)
{
    static const struct {
        const char *line;
        int want;
    } rows[] = {
        {"sink --kernel --listen 127.0.0.1:25 --ports 3 --tls --delay 0.5 --reject 3", 0},
        {"sink --port net_memif0 --listen [2001:db8::1]:25 --fault lose:7", 0},
        {"sink --help", 1},
        {"sink --kernel", -EINVAL},
        {"sink --listen 127.0.0.1:25", -EINVAL},
        {"sink --kernel --port x --listen 127.0.0.1:25", -EINVAL},
        {"sink --kernel --listen 127.0.0.1", -EINVAL},
        {"sink --kernel --listen 127.0.0.1:25 --reject 101", -EINVAL},
        {"sink --kernel --listen 127.0.0.1:25 --fault eat:1", -EINVAL},
        {"sink --kernel --listen 127.0.0.1:25 --fault cut:0", -EINVAL},
        {"sink --kernel --listen 127.0.0.1:65000 --ports 1000", -EINVAL},
        {"sink --port x --listen 10.0.0.1:25 --prefix 33", -EINVAL},
        {"sink --port x --listen 10.0.0.1:25 --gateway 2001:db8::1", -EINVAL},
        {"sink --kernel --listen 10.0.0.1:25 word", -EINVAL},
    };

    (void)state;
    for (unsigned i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        struct options o;
        char line[256], err[256] = "", *argv[32], *save = NULL;
        int argc = 0;
        snprintf(line, sizeof(line), "%s", rows[i].line);
        for (char *w = strtok_r(line, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
            argv[argc++] = w;
        argv[argc] = NULL;
        int got = options_parse(&o, argc, argv, err, sizeof(err));
        assert_int_equal(got, rows[i].want);
        assert_int_equal(*err != 0, got < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cut_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(delay_and_faults, setup, teardown),
        cmocka_unit_test(options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

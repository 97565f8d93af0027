/* drivers/log: exact lines of each form, escapes, levels, rotation, sockets that go and come, and
 * what happens when a write fails: what may not be lost is not. */
#include "unit.h"

#include "log.h"
#include "log_check.h"
#include "net_addr.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void id_format(char out[LOG_ID_CAP], const uint8_t id[16])
{
    snprintf(out, LOG_ID_CAP, "id%02x%02x", id[0], id[15]);
}

static const struct log_style text_style = {
    .ident = "sluiced", .hostname = "mx.example.org", .id_format = id_format, .pid = 42};

static struct log_style style_of(enum log_form form, enum log_frame frame)
{
    struct log_style style = text_style;

    style.form = form;
    style.frame = frame;
    style.facility = 2;
    if (form == LOG_FORM_POSTFIX)
        style.ident = "postfix";
    return style;
}

static struct stats_log_record record(enum stats_log_event event, const char *text)
{
    struct stats_log_record r = {
        .wall_ns = UINT64_C(1767323045123456789), .event = (uint16_t)event, .n = 250, .m = 7};

    stats_log_text(&r, base_span_str(text));
    return r;
}

static void part(struct stats_log_record *r, uint32_t number, const char *text)
{
    stats_log_part(r, number, base_span_str(text), STATS_LOG_TEXT_CAP);
}

static void expect(const struct log_style *style, const struct stats_log_record *r, uint32_t i,
                   const char *wanted)
{
    char line[LOG_LINE_CAP + 1];

    line[log_format(line, style, r, i)] = 0;
    assert_string_equal(line, wanted);
}

static void expect_line(const struct stats_log_record *r, const char *wanted)
{
    expect(&text_style, r, 0, wanted);
}

#define TIME "2026-01-02T03:04:05.123456Z"

static void give_client(struct stats_log_record *r, const char *address, uint16_t port)
{
    struct net_addr a;

    assert_int_equal(net_addr_parse(&a, base_span_str(address)), 0);
    memcpy(r->address, a.b, 16);
    r->port = port;
}

static struct stats_log_record of_message(enum stats_log_event event, const char *text)
{
    struct stats_log_record r = record(event, text);

    give_client(&r, "192.0.2.1", 4711);
    r.id[0] = 1;
    r.id[15] = 0xab;
    return r;
}

static void test_lines(void **state)
{
    struct stats_log_record r = of_message(STATS_LOG_ACCEPTED, "");

    (void)state;
    expect_line(&r, TIME " info accepted id=id01ab client=192.0.2.1:4711 bytes=250 recipients=7\n");
    r = of_message(STATS_LOG_MESSAGE, "<x@y>");
    part(&r, 1, "a@example.org");
    part(&r, 2, "PLAIN");
    give_client(&r, "2001:db8::1", 4711);
    expect_line(&r, TIME " info message id=id01ab client=[2001:db8::1]:4711 message_id=<x@y> "
                         "login=a@example.org method=PLAIN\n");
    r = record(STATS_LOG_REFUSED, "relay denied");
    r.m = 5007001;
    part(&r, 1, "RCPT");
    part(&r, 2, "");
    part(&r, 3, "b@example.org");
    expect_line(&r, TIME " info refused id=- client=- code=250 dsn=5.7.1 reason=relay denied "
                         "stage=RCPT from=<> to=<b@example.org>\n");
    r = record(STATS_LOG_NEIGHBOR, "no answer");
    give_client(&r, "192.0.2.1", 0);
    expect_line(&r, TIME " warn neighbor address=192.0.2.1 what=no answer\n");
    r = record(STATS_LOG_SPOOL_ERROR, "");
    r.n = UINT64_MAX;
    expect_line(&r, TIME " error spool_error segment=18446744073709551615 error=7 what=\n");
    r = of_message(STATS_LOG_AUTH_FAILED, "LOGIN");
    r.port = 0;
    part(&r, 1, "authentication failed:");
    part(&r, 2, "joe");
    expect_line(&r, TIME " warn auth_failed warning: unknown[192.0.2.1]: SASL LOGIN authentication "
                         "failed: sasl_username=joe\n");
}

static void test_json(void **state)
{
    struct log_style json = style_of(LOG_FORM_JSON, LOG_FRAME_LINE);
    struct stats_log_record r = of_message(STATS_LOG_DEFERRED, "asleep \"now\"\\ \n\xff\xc3\xa4"
                                                               "\xf0\x9f\x93\xa7\xed\xa0\x80");

    (void)state;
    part(&r, 1, "a@example.org");
    part(&r, 4, "4.4.1");
    part(&r, 5, "0.10/1.20/0/3.00");
    r.conn = 5;
    expect(&json, &r, 0,
           "{\"time\":\"" TIME "\",\"level\":\"warn\",\"event\":\"deferred\",\"id\":\"id01ab\","
           "\"relay\":\"192.0.2.1:4711\",\"code\":250,\"retry_s\":7,\"to\":\"a@example.org\","
           "\"dsn\":\"4.4.1\",\"delays\":\"0.10/1.20/0/3.00\",\"reply\":\"asleep "
           "\\\"now\\\"\\\\ \\u000a\\u00ff\xc3\xa4\xf0\x9f\x93\xa7\\u00ed\\u00a0\\u0080\","
           "\"connection\":5}\n");
    r = record(STATS_LOG_NOTE, "ready");
    expect(&json, &r, 0,
           "{\"time\":\"" TIME "\",\"level\":\"info\",\"event\":\"note\",\"text\":\"ready\"}\n");
    r = record(STATS_LOG_AUTH_FAILED, "LOGIN");
    part(&r, 1, "authentication failed:");
    expect(&json, &r, 0,
           "{\"time\":\"" TIME
           "\",\"level\":\"warn\",\"event\":\"auth_failed\",\"method\":\"LOGIN\","
           "\"reason\":\"authentication failed:\"}\n");
}

#define AT     TIME " mx.example.org postfix/"
#define CLIENT "unknown[192.0.2.1]"

static void test_postfix(void **state)
{
    struct log_style postfix = style_of(LOG_FORM_POSTFIX, LOG_FRAME_LINE);
    struct stats_log_record r = of_message(STATS_LOG_MESSAGE, "<x@y>");

    (void)state;
    r.conn = 9;
    part(&r, 1, "joe");
    part(&r, 2, "PLAIN");
    assert_int_equal(log_format_cnt(&postfix, &r), 2);
    expect(&postfix, &r, 0,
           AT "smtpd[9]: id01ab: client=" CLIENT ", sasl_method=PLAIN, sasl_username=joe\n");
    expect(&postfix, &r, 1, AT "cleanup[9]: id01ab: message-id=<x@y>\n");
    r = of_message(STATS_LOG_ACCEPTED, "");
    assert_int_equal(log_format_cnt(&postfix, &r), 0);
    r = of_message(STATS_LOG_QUEUED, "a@example.org");
    expect(&postfix, &r, 0,
           AT "qmgr[42]: id01ab: from=<a@example.org>, size=250, nrcpt=7 (queue active)\n");
    r = of_message(STATS_LOG_DELIVERED, "2.0.0 Ok: queued");
    part(&r, 1, "b@example.net");
    part(&r, 2, "mx.example.net");
    part(&r, 3, "may/encrypted");
    part(&r, 5, "0.10/1.25/0/2.90");
    expect(&postfix, &r, 0,
           AT "smtp[42]: id01ab: to=<b@example.net>, relay=mx.example.net[192.0.2.1]:4711, "
              "delay=4.25, delays=0.10/1.25/0/2.90, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued) "
              "tls=may/encrypted\n");
    r = of_message(STATS_LOG_DEFERRED, "connection refused");
    memset(r.address, 0, 16);
    r.n = 0;
    part(&r, 1, "b@example.net");
    part(&r, 4, "4.4.1");
    expect(&postfix, &r, 0,
           AT "smtp[42]: id01ab: to=<b@example.net>, relay=none, delay=0.00, dsn=4.4.1, "
              "status=deferred (connection refused)\n");
    r = of_message(STATS_LOG_FAILED, "no such user");
    r.n = 550;
    part(&r, 1, "b>, relay=x\n@example.net");
    expect(&postfix, &r, 0,
           AT "smtp[42]: id01ab: to=<b?, relay=x?@example.net>, relay=192.0.2.1[192.0.2.1]:4711, "
              "delay=0.00, dsn=5.0.0, status=bounced (host 192.0.2.1[192.0.2.1] said: 550 no such "
              "user)\n");
    r = of_message(STATS_LOG_FINISHED, "");
    expect(&postfix, &r, 0, AT "qmgr[42]: id01ab: removed\n");
    r = of_message(STATS_LOG_BOUNCED, "ID2");
    expect(&postfix, &r, 0, AT "bounce[42]: id01ab: sender non-delivery notification: ID2\n");
    r = record(STATS_LOG_GAP, "connect");
    expect(&postfix, &r, 0, AT "master[42]: warning: 250 log lines of kind connect lost\n");
    r = record(STATS_LOG_WARNING, "from=<a>, size=3");
    expect(&postfix, &r, 0, AT "master[42]: warning: from=?a>, size=3\n");
}

static void test_postfix_sessions(void **state)
{
    struct log_style postfix = style_of(LOG_FORM_POSTFIX, LOG_FRAME_LINE);
    struct stats_log_record r = record(STATS_LOG_REFUSED, "<b@example.org>: Relay access denied");

    (void)state;
    give_client(&r, "192.0.2.1", 4711);
    r.n = 554;
    r.m = 5007001;
    part(&r, 1, "RCPT");
    part(&r, 2, "");
    part(&r, 3, "b@example.org");
    part(&r, 4, "client.example");
    part(&r, 5, "ESMTP");
    expect(&postfix, &r, 0,
           AT "smtpd[42]: NOQUEUE: reject: RCPT from " CLIENT ": 554 5.7.1 <b@example.org>: Relay "
              "access denied; from=<> to=<b@example.org> proto=ESMTP helo=<client.example>\n");
    r = of_message(STATS_LOG_DISCONNECT, "closed by peer");
    part(&r, 1, "RCPT");
    part(&r, 2, "ehlo=1 rcpt=0/1 commands=1/2");
    r.conn = 3;
    assert_int_equal(log_format_cnt(&postfix, &r), 2);
    expect(&postfix, &r, 0, AT "smtpd[3]: lost connection after RCPT from " CLIENT "\n");
    expect(&postfix, &r, 1,
           AT "smtpd[3]: disconnect from " CLIENT " ehlo=1 rcpt=0/1 commands=1/2\n");
    r = of_message(STATS_LOG_DISCONNECT, "quit");
    part(&r, 1, "QUIT");
    part(&r, 2, "quit=1 commands=1");
    assert_int_equal(log_format_cnt(&postfix, &r), 1);
    r = of_message(STATS_LOG_AUTH_FAILED, "LOGIN");
    part(&r, 1, "authentication failed:");
    part(&r, 2, "joe");
    expect(&postfix, &r, 0,
           AT "smtpd[42]: warning: " CLIENT ": SASL LOGIN authentication failed: "
              "sasl_username=joe\n");
    r = of_message(STATS_LOG_PREGREET, "EHLO x\r\n");
    r.n = 8;
    r.m = 1234;
    expect(&postfix, &r, 0,
           AT "postscreen[42]: PREGREET 8 after 1.2 from [192.0.2.1]:4711: EHLO x??\n");
    r = of_message(STATS_LOG_CONNECT, "");
    expect(&postfix, &r, 0, AT "smtpd[42]: connect from " CLIENT "\n");
}

static void test_frames(void **state)
{
    struct log_style syslog = style_of(LOG_FORM_POSTFIX, LOG_FRAME_SYSLOG);
    struct log_style journal = style_of(LOG_FORM_TEXT, LOG_FRAME_JOURNAL);
    struct stats_log_record r = of_message(STATS_LOG_FINISHED, "");

    (void)state;
    setenv("TZ", "UTC", 1);
    expect(&syslog, &r, 0, "<22>Jan  2 03:04:05 postfix/qmgr[42]: id01ab: removed");
    syslog = style_of(LOG_FORM_TEXT, LOG_FRAME_SYSLOG);
    r = record(STATS_LOG_WARNING, "x");
    expect(&syslog, &r, 0, "<20>Jan  2 03:04:05 sluiced[42]: warning x");
    r = of_message(STATS_LOG_FINISHED, "");
    expect(&journal, &r, 0,
           "MESSAGE=finished id=id01ab\nSYSLOG_IDENTIFIER=sluiced\nPRIORITY=6\nSYSLOG_FACILITY=2\n"
           "SYSLOG_PID=42\nSYSLOG_TIMESTAMP_US=1767323045123456\nSLUICE_EVENT=finished\n"
           "SLUICE_ID=id01ab\nSLUICE_ADDRESS=192.0.2.1\n");
}

/* Every event with every byte, in each form and frame: one line, printable; JSON is JSON. */
static void test_escapes(void **state)
{
    struct stats_log_record r = record(STATS_LOG_NOTE, "");
    static char line[LOG_LINE_CAP];

    (void)state;
    stats_log_text(&r, base_span_of("a\nb\r\0\x1b[1m\"'\\%s\x7f\xc3\xa4~ ", 19));
    expect_line(&r, TIME " info note a\\x0ab\\x0d\\x00\\x1b[1m\\x22\\x27\\x5c%s"
                         "\\x7f\\xc3\\xa4~ \n");
    for (uint32_t i = 0; i < STATS_LOG_EVENT_CNT * 4u * 9u; i++) {
        uint32_t base = i / STATS_LOG_EVENT_CNT % 4 * 64;
        struct log_style style = style_of((enum log_form)(i / STATS_LOG_EVENT_CNT / 4 % 3),
                                          (enum log_frame)(i / STATS_LOG_EVENT_CNT / 12));
        r = (struct stats_log_record){.wall_ns = UINT64_MAX,
                                      .event = (uint16_t)(i % STATS_LOG_EVENT_CNT),
                                      .n = UINT64_MAX,
                                      .m = UINT32_MAX,
                                      .port = UINT16_MAX,
                                      .conn = UINT32_MAX,
                                      .text_len = STATS_LOG_TEXT_CAP};
        memset(r.address, 0xfe, 16);
        memset(r.id, 0xfe, 16);
        for (unsigned j = 0; j < STATS_LOG_TEXT_CAP; j++)
            r.text[j] = (uint8_t)(base + j % 64);
        for (uint16_t j = 0; j + 1 < STATS_LOG_PART_CNT; j++)
            r.part[j] = (uint16_t)(60 * j + 1);
        if (log_format_cnt(&style, &r) == 0)
            continue;
        size_t len = log_format(line, &style, &r, 0);
        if (style.frame == LOG_FRAME_LINE)
            assert_int_equal(line[--len], '\n');
        if (style.frame != LOG_FRAME_JOURNAL)
            assert_true(log_text_valid(line, len, style.form == LOG_FORM_TEXT));
        if (style.form == LOG_FORM_JSON && style.frame == LOG_FRAME_LINE)
            assert_true(log_json_valid(line, len));
    }
    /* The longest there is fits twice over: JSON in which each byte is escaped. */
    struct log_style json = style_of(LOG_FORM_JSON, LOG_FRAME_JOURNAL);
    memset(r.text, 0, sizeof(r.text));
    assert_true(log_format(line, &json, &r, 0) < LOG_LINE_CAP);
}

/* ---- targets ---- */

static char dir[] = "/tmp/sluice-test-log-XXXXXX";

static int open_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int close_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static char *in_dir(const char *name)
{
    static char path[4][96];
    static unsigned turn;

    snprintf(path[++turn % 4], sizeof(path[0]), "%s/%s", dir, name);
    return path[turn % 4];
}

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

static struct stats_block stats;
static struct stats_log_lost lost;

static struct log_config config_of(enum log_target target, const char *path)
{
    memset(&stats, 0, sizeof(stats));
    memset(&lost, 0, sizeof(lost));
    return (struct log_config){.target = target,
                               .path = path,
                               .level = STATS_LOG_INFO,
                               .keep = true,
                               .style = text_style,
                               .stats = &stats,
                               .lost = &lost};
}

static void test_file(void **state)
{
    static struct stats_log_record many[LOG_BATCH_MAX];
    struct log_config config = config_of(LOG_TARGET_FILE, in_dir("no/log"));
    char *path = in_dir("log"), *old = in_dir("old");
    struct log *l;
    struct stat st;

    (void)state;
    assert_int_equal(log_open(&l, &config), -ENOENT);
    config.path = path;
    assert_int_equal(log_open(&l, &config), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0);
    for (size_t i = 0; i < LOG_BATCH_MAX; i++)
        many[i] = record(i % 2 ? STATS_LOG_WARNING : STATS_LOG_NOTE, "x");
    assert_int_equal(log_write(l, many, LOG_BATCH_MAX), 0);
    assert_int_equal(count_lines(path), LOG_BATCH_MAX);
    /* Renamed: the old file is written until the log is opened anew. */
    assert_int_equal(rename(path, old), 0);
    assert_int_equal(log_write(l, many, 1), 0);
    assert_int_equal(count_lines(old), LOG_BATCH_MAX + 1);
    assert_int_equal(log_reopen(l), 0);
    log_set_level(l, STATS_LOG_WARN);
    assert_int_equal(log_write(l, many, 4), 0);
    assert_int_equal(count_lines(path), 2);
    log_set_level(l, STATS_LOG_ERROR);
    assert_int_equal(log_write(l, many, 4), 0);
    assert_int_equal(count_lines(path), 2);
    assert_int_equal(stats_get(&stats, STATS_LOG_LINES), LOG_BATCH_MAX + 3);
    assert_int_equal(stats_get(&stats, STATS_LOG_LOST), 0);
    /* Appends to what is there. */
    log_close(l);
    assert_int_equal(log_open(&l, &config), 0);
    assert_int_equal(log_write(l, many, 1), 0);
    log_close(l);
    assert_int_equal(count_lines(path), 3);
    unlink(path);
    unlink(old);
}

/* A pipe that is full takes a part of a batch; when it is read, the rest comes, each line whole and
 * in order. */
static void test_slow_reader(void **state)
{
    static struct stats_log_record many[LOG_BATCH_MAX];
    static char text[1024 * 1024];
    struct log_config config = config_of(LOG_TARGET_STDERR, NULL);
    struct log *l;
    int ends[2], error = 0;
    uint32_t sent = 0, seen = 0;
    size_t len = 0;

    (void)state;
    assert_int_equal(log_open(&l, &config), 0);
    assert_int_equal(log_reopen(l), 0);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    log_set_fd(l, ends[1]);
    for (; sent < 1000 * LOG_BATCH_MAX && error == 0; sent += LOG_BATCH_MAX) {
        for (size_t i = 0; i < LOG_BATCH_MAX; i++) {
            many[i] = record(STATS_LOG_RELOAD, "some text of a length that divides no page");
            many[i].n = sent + i;
        }
        error = log_write(l, many, LOG_BATCH_MAX);
    }
    assert_int_equal(error, -EAGAIN);
    assert_true(log_pending(l));
    assert_int_equal(log_flush(l), -EAGAIN);
    while (log_pending(l)) {
        for (ssize_t n; (n = read(ends[0], text + len, sizeof(text) - len)) > 0;)
            len += (size_t)n;
        error = log_flush(l);
        assert_true(error == 0 || error == -EAGAIN);
    }
    for (ssize_t n; (n = read(ends[0], text + len, sizeof(text) - len)) > 0;)
        len += (size_t)n;
    for (char *p = text, *end; p < text + len; p = end + 1, seen++) {
        unsigned number;
        end = memchr(p, '\n', (size_t)(text + len - p));
        assert_non_null(end);
        assert_int_equal(sscanf(p, "%*s info reload generation=%u what=some", &number), 1);
        assert_int_equal(number, seen);
        assert_memory_equal(end - 7, "no page", 7);
    }
    assert_int_equal(seen, sent);
    assert_int_equal(stats_get(&stats, STATS_LOG_LINES), sent);
    assert_int_equal(stats_get(&stats, STATS_LOG_LOST), 0);
    close(ends[0]);
    log_close(l);
}

/* Nobody reads the pipe any more, then another file stands in its place. */
static void failing(bool keep)
{
    static struct stats_log_record many[LOG_BATCH_MAX];
    struct log_config config = config_of(LOG_TARGET_STDERR, NULL);
    struct log *l;
    int ends[2];

    config.keep = keep;
    assert_int_equal(log_open(&l, &config), 0);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    log_set_fd(l, ends[1]);
    close(ends[0]);
    for (size_t i = 0; i < LOG_BATCH_MAX; i++)
        many[i] = record(i % 2 ? STATS_LOG_ACCEPTED : STATS_LOG_NOTE, "x");
    assert_int_equal(log_write(l, many, LOG_BATCH_MAX), -EPIPE);
    assert_int_equal(log_pending_kept_cnt(l), keep ? LOG_BATCH_MAX / 2 : 0);
    assert_int_equal(log_pending(l), keep);
    assert_int_equal(lost.cnt[STATS_LOG_NOTE], LOG_BATCH_MAX / 2);
    assert_int_equal(lost.cnt[STATS_LOG_ACCEPTED], keep ? 0 : LOG_BATCH_MAX / 2);
    assert_int_equal(stats_get(&stats, STATS_LOG_LOST), LOG_BATCH_MAX / (keep ? 2 : 1));
    char *path = in_dir("log");
    log_set_fd(l, open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(log_flush(l), 0);
    assert_int_equal(count_lines(path), keep ? LOG_BATCH_MAX / 2 : 0);
    log_close(l);
    unlink(path);
}

static void test_failing(void **state)
{
    (void)state;
    failing(true);
    failing(false);
}

static int listen_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    return fd;
}

/* A socket that is not there yet, goes and comes back: what may not be lost arrives. */
static void test_socket(void **state)
{
    char *path = in_dir("socket"), text[LOG_LINE_CAP];
    struct log_config config = config_of(LOG_TARGET_SYSLOG, path);
    struct stats_log_record r[2] = {record(STATS_LOG_FINISHED, ""), record(STATS_LOG_NOTE, "x")};
    struct log *l;

    (void)state;
    assert_int_equal(log_open(&l, &config), 0);
    assert_false(log_connected(l));
    assert_int_equal(log_write(l, r, 2), -ENOENT);
    assert_int_equal(log_pending_kept_cnt(l), 1);
    int fd = listen_at(path);
    assert_int_equal(log_flush(l), 0);
    assert_true(recv(fd, text, sizeof(text), 0) > 0);
    assert_memory_equal(text, "<6>", 3);
    assert_int_equal(recv(fd, text, sizeof(text), 0), -1);
    close(fd);
    assert_int_equal(log_write(l, r, 2), -ECONNREFUSED);
    unlink(path);
    assert_int_equal(log_flush(l), -ENOENT);
    fd = listen_at(path);
    assert_int_equal(log_flush(l), 0);
    assert_true(recv(fd, text, sizeof(text), 0) > 0);
    assert_int_equal(lost.cnt[STATS_LOG_NOTE], 2);
    assert_int_equal(lost.cnt[STATS_LOG_FINISHED], 0);
    /* One that nobody reads takes what it has room for. */
    int error = 0;
    for (int i = 0; i < 10000 && error == 0; i++)
        error = log_write(l, r, 2);
    assert_int_equal(error, -EAGAIN);
    while (recv(fd, text, sizeof(text), 0) > 0)
        ;
    assert_int_equal(log_flush(l), 0);
    log_close(l);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_json),
        cmocka_unit_test(test_postfix), cmocka_unit_test(test_postfix_sessions),
        cmocka_unit_test(test_frames),  cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_file),    cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_failing), cmocka_unit_test(test_socket),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, open_dir, close_dir);
}

#include "unit.h"

#include "dsn_rig.h"

#include <errno.h>
#include <stdio.h>

#define S(text)  base_span_of(text, sizeof(text) - 1)
#define A64      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A256     A64 A64 A64 A64
#define BOUNDARY "=_000102030405060708090a0b0c0d0e0f"

struct rig {
    struct mail_dsn dsn;
    struct mail_dsn_recipient recipient;
    struct mail_dsn_report report;
    uint8_t text[65536];
    struct base_buf out;
};

static void *rig_new(void)
{
    struct rig *rig = test_calloc(1, sizeof(*rig));

    rig->recipient = (struct mail_dsn_recipient){
        .kind = MAIL_DSN_FAILED, .address = S("bob@example.org"), .status = S("5.1.1")};
    rig->report = (struct mail_dsn_report){
        .hostname = S("gw.example.net"),
        .sender = S("alice@example.com"),
        .id = S("id.1"),
        .wall_ns = UINT64_C(1700000000000000000),
        .recipients = &rig->recipient,
        .recipient_cnt = 1,
        .content = MAIL_DSN_RETURN_FULL,
        .quote_max_bytes = 100000,
    };
    for (uint8_t i = 0; i < MAIL_DSN_RANDOM_LEN; i++)
        rig->report.random[i] = i;
    return rig;
}

/* Writes the report and checks its lines; returns it as a string. */
static const char *write_pieces(struct rig *rig, struct base_span original, size_t out_piece,
                                size_t in_piece)
{
    rig->out = (struct base_buf){.p = rig->text, .cap = sizeof(rig->text) - 1};
    assert_int_equal(mail_dsn_open(&rig->dsn, &rig->report), 0);
    assert_true(dsn_write(&rig->dsn, &rig->out, original, out_piece, in_piece));
    const char *fault = dsn_fault(base_buf_span(&rig->out), &rig->dsn,
                                  rig->report.content == MAIL_DSN_RETURN_NONE ? 2 : 3);
    if (fault != NULL)
        fail_msg("%s in:\n%.*s", fault, (int)rig->out.len, (char *)rig->text);
    rig->text[rig->out.len] = 0;
    return (const char *)rig->text;
}

static const char *write_whole(struct rig *rig, struct base_span original)
{
    return write_pieces(rig, original, SIZE_MAX, SIZE_MAX);
}

static void expect(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("not found:\n%s\nin:\n%s", part, text);
}

static void test_wanted(void **state)
{
    enum {
        NEVER = MAIL_DSN_NOTIFY_NEVER,
        SUCCESS = MAIL_DSN_NOTIFY_SUCCESS,
        FAILURE = MAIL_DSN_NOTIFY_FAILURE,
        DELAY = MAIL_DSN_NOTIFY_DELAY
    };
    static const struct {
        unsigned notify;
        bool wanted[MAIL_DSN_KIND_CNT]; /* failed, delayed, delivered, relayed, expanded */
    } rows[] = {
        {0, {true, true, false, false, false}},
        {NEVER, {false, false, false, false, false}},
        {SUCCESS, {false, false, true, true, true}},
        {FAILURE, {true, false, false, false, false}},
        {DELAY, {false, true, false, false, false}},
        {SUCCESS | FAILURE, {true, false, true, true, true}},
        {SUCCESS | FAILURE | DELAY, {true, true, true, true, true}},
        {NEVER | SUCCESS | FAILURE,
         {false, false, false, false, false}}, /* refused at RCPT already */
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++)
        for (unsigned kind = 0; kind < MAIL_DSN_KIND_CNT; kind++) {
            assert_int_equal(mail_dsn_wanted(S("a@b"), rows[i].notify, kind), rows[i].wanted[kind]);
            assert_false(mail_dsn_wanted(S(""), rows[i].notify, kind));
        }
}

static void test_refused(void **state)
{
    static const char long_name[] = A256, long_id[] = A64 A64 "a";
    static const char *const hostnames[] = {"", "a b", "a\r\nb", "a>", "\xc3\xa4", long_name};
    static const char *const ids[] = {"",    ".a",  "a.",    "a..b", "a@b",
                                      "[a]", "a b", "a\r\n", long_id};
    struct rig *rig = rig_new();
    struct mail_dsn_report good = rig->report, bad;

    (void)state;
    assert_int_equal(mail_dsn_open(&rig->dsn, &good), 0);
    for (size_t i = 0; i < BASE_ARRAY_CNT(hostnames); i++) {
        bad = good;
        bad.hostname = base_span_str(hostnames[i]);
        assert_int_equal(mail_dsn_open(&rig->dsn, &bad), -EINVAL);
    }
    for (size_t i = 0; i < BASE_ARRAY_CNT(ids); i++) {
        bad = good;
        bad.id = base_span_str(ids[i]);
        assert_int_equal(mail_dsn_open(&rig->dsn, &bad), -EINVAL);
    }
    bad = good;
    bad.recipient_cnt = 0;
    assert_int_equal(mail_dsn_open(&rig->dsn, &bad), -EINVAL);
    bad = good;
    bad.sender = S("");
    assert_int_equal(mail_dsn_open(&rig->dsn, &bad), -EINVAL);
    bad.sender = S("\xc3\xa4@b");
    assert_int_equal(mail_dsn_open(&rig->dsn, &bad), -EINVAL);
    bad.utf8 = true;
    assert_int_equal(mail_dsn_open(&rig->dsn, &bad), 0);
    bad.sender = S(A256 A256 "a");
    assert_int_equal(mail_dsn_open(&rig->dsn, &bad), -EINVAL);
    rig->recipient.address = S("");
    assert_int_equal(mail_dsn_open(&rig->dsn, &good), -EINVAL);
    rig->recipient.address = S(A256 A256 "a");
    assert_int_equal(mail_dsn_open(&rig->dsn, &good), -EINVAL);
    test_free(rig);
}

static void test_status(void **state)
{
    static const struct {
        enum mail_dsn_kind kind;
        const char *status, *written;
    } rows[] = {
        {MAIL_DSN_FAILED, "5.1.1", "5.1.1"},
        {MAIL_DSN_FAILED, "4.4.7", "4.4.7"},
        {MAIL_DSN_FAILED, "5.123.456", "5.123.456"},
        {MAIL_DSN_FAILED, "2.0.0", "5.0.0"},
        {MAIL_DSN_FAILED, "", "5.0.0"},
        {MAIL_DSN_FAILED, "5", "5.0.0"},
        {MAIL_DSN_FAILED, "5.1", "5.0.0"},
        {MAIL_DSN_FAILED, "5.1.", "5.0.0"},
        {MAIL_DSN_FAILED, "5.1.1.1", "5.0.0"},
        {MAIL_DSN_FAILED, "5..11", "5.0.0"},
        {MAIL_DSN_FAILED, "5.1.1234", "5.0.0"},
        {MAIL_DSN_FAILED, "5.01.1", "5.0.0"},
        {MAIL_DSN_FAILED, "5.1.1 ", "5.0.0"},
        {MAIL_DSN_FAILED, "5.1.1\r\n", "5.0.0"},
        {MAIL_DSN_FAILED, "55.1.1", "5.0.0"},
        {MAIL_DSN_DELAYED, "4.4.1", "4.4.1"},
        {MAIL_DSN_DELAYED, "5.4.1", "4.0.0"},
        {MAIL_DSN_DELIVERED, "2.1.5", "2.1.5"},
        {MAIL_DSN_DELIVERED, "5.1.5", "2.0.0"},
        {MAIL_DSN_RELAYED, "2.1.9", "2.1.9"},
        {MAIL_DSN_RELAYED, "4.1.9", "2.0.0"},
    };
    struct rig *rig = rig_new();
    char line[64];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        rig->recipient.kind = rows[i].kind;
        rig->recipient.status = base_span_str(rows[i].status);
        snprintf(line, sizeof(line), "\r\nStatus: %s\r\n", rows[i].written);
        expect(write_whole(rig, S("A: b\r\n\r\n")), line);
    }
    test_free(rig);
}

static void test_fields(void **state)
{
    /* orcpt, envid and diagnostic, and the lines that they make; NULL: none. */
    static const struct {
        const char *orcpt, *original, *envid, *id, *diagnostic, *code;
    } rows[] = {
        {"rfc822;a@b", "rfc822; a@b", "x", "x", "550 no", "smtp; 550 no"},
        {"rfc822;a+2Bb@c", "rfc822; a+b@c", "a+3Db", "a=b", "550\tno\r\n", "smtp; 550 no"},
        {"x-400;+20a", "x-400;  a", "+0D+0AX:y", "X:y", " 550  \r\n no", "smtp; 550 no"},
        {"rfc822;a+00b", "rfc822; a?b", "+00", "?", "a\x7f\x01", "smtp; a??"},
        {"rfc822;\xff@b", "rfc822; ?@b", "\xff", "?", "\xc3\xbc", "smtp; ?"},
        {"utf-8;\xc3\xbc+2Bb@c", "utf-8; \\x{FC}\\x{2B}b@c", "+20", NULL, "", NULL},
        {"rfc822;a+2", NULL, "+2", NULL, " \r\n", NULL},
        {"rfc822;a+2b", NULL, "a b", NULL, NULL, NULL},
        {"rfc822;a=b", NULL, "a=b", NULL, NULL, NULL},
        {"rfc822;", NULL, "", NULL, NULL, NULL},
        {"rfc822", NULL, A256 A256 "a", NULL, NULL, NULL},
        {";a@b", NULL, NULL, NULL, NULL, NULL},
        {"rfc 822;a@b", NULL, NULL, NULL, NULL, NULL},
        {A64 ";a@b", NULL, NULL, NULL, NULL, NULL},
        {"rfc822;" A256 A256 "a", NULL, NULL, NULL, NULL, NULL},
    };
    struct rig *rig = rig_new();
    char line[256];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        const struct {
            const char *name, *value;
        } want[] = {{"Original-Recipient", rows[i].original},
                    {"Original-Envelope-Id", rows[i].id},
                    {"Diagnostic-Code", rows[i].code}};
        rig->recipient.orcpt = base_span_str(rows[i].orcpt);
        rig->report.envid = base_span_str(rows[i].envid != NULL ? rows[i].envid : "");
        rig->recipient.diagnostic =
            base_span_str(rows[i].diagnostic != NULL ? rows[i].diagnostic : "");
        const char *text = write_whole(rig, S("A: b\r\n\r\n"));
        for (size_t k = 0; k < BASE_ARRAY_CNT(want); k++) {
            if (want[k].value == NULL) {
                assert_null(strstr(text, want[k].name));
                continue;
            }
            snprintf(line, sizeof(line), "\r\n%s: %s\r\n", want[k].name, want[k].value);
            expect(text, line);
        }
    }
    test_free(rig);
}

/* In the form of RFC 6533 UTF-8 stays, but for what is none and what steers terminals. */
static void test_utf8(void **state)
{
    static const struct {
        const char *text, *written;
    } rows[] = {
        {"550 \xc3\xbc\xe2\x82\xac\xf0\x9f\x93\xa7", "550 \xc3\xbc\xe2\x82\xac\xf0\x9f\x93\xa7"},
        {"550 \xe2\x80\xae\xff\xc2\x9b\xc3\xbc", "550 ???\xc3\xbc"},
        {"550 \xed\xa0\x80 \xc0\x80 \xf4\x90\x80\x80", "550 ??? ?? ????"},
        {"550 \xe2\x80\xa8\xe2\x81\xa6\xe2\x80\x8f\xef\xbb\xbf", "550 ????"},
        {"550 \xe2\x82", "550 ??"},
    };
    static const struct {
        const char *orcpt, *shown; /* NULL: it is the address */
    } addresses[] = {
        {"utf-8;J\xc3\xb6rg\\x{2B}x@b", NULL},
        {"utf-8;j\\x{F6}rg\\x{2B}x@b", NULL},
        {"UTF-8;k\\x{F6}rg@b", "k\xc3\xb6rg@b"},
        {"utf-8;\\x{}\\x{D}\\x{D800}\\x{1F4E7}\\x{10FFFF}\\x{110000}\\x{0000041}\\x{41",
         "\\x{}????\xf0\x9f\x93\xa7\xf4\x8f\xbf\xbf\\x{110000}\\x{0000041}\\x{41"},
        {"rfc822;j\\x{F6}rg@b", "j\\x{F6}rg@b"},
    };
    struct rig *rig = rig_new();
    char line[256];

    (void)state;
    rig->report.utf8 = true;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        rig->recipient.diagnostic = base_span_str(rows[i].text);
        snprintf(line, sizeof(line), "\r\nDiagnostic-Code: smtp; %s\r\n", rows[i].written);
        expect(write_whole(rig, S("A: b\r\n\r\n")), line);
        snprintf(line, sizeof(line), "\r\n    %s\r\n", rows[i].written);
        expect((const char *)rig->text, line);
    }
    rig->recipient.address = S("j\xc3\xb6rg+x@b");
    for (size_t i = 0; i < BASE_ARRAY_CNT(addresses); i++) {
        rig->recipient.orcpt = base_span_str(addresses[i].orcpt);
        const char *text = write_whole(rig, S("A: b\r\n\r\n"));
        expect(text, "\r\nFinal-Recipient: utf-8; j\xc3\xb6rg\\x{2B}x@b\r\n");
        if (addresses[i].shown == NULL) {
            assert_null(strstr(text, "You sent it to"));
            continue;
        }
        snprintf(line, sizeof(line), "\r\n    You sent it to: %s\r\n", addresses[i].shown);
        expect(text, line);
    }
    test_free(rig);
}

/* Long texts are folded at blanks and cut; what has no blanks is cut, too. */
static void test_long_texts(void **state)
{
    struct rig *rig = rig_new();
    char long_text[5000];

    (void)state;
    for (size_t i = 0; i < sizeof(long_text); i++)
        long_text[i] = i % 10 == 9 ? ' ' : 'w';
    rig->recipient.diagnostic = base_span_of(long_text, sizeof(long_text));
    const char *text = write_whole(rig, S("A: b\r\n\r\n"));
    expect(text, "\r\nDiagnostic-Code: smtp; wwwwwwwww wwwwwwwww wwwwwwwww wwwwwwwww wwwwwwwww\r\n"
                 " wwwwwwwww ");
    expect(text, "\r\n    wwwwwwwww wwwwwwwww wwwwwwwww wwwwwwwww wwwwwwwww wwwwwwwww "
                 "wwwwwwwww\r\n    wwwwwwwww ");
    expect(text, "wwwwwwwww...\r\n");
    assert_true(rig->out.len < 5000);
    memset(long_text, 'x', sizeof(long_text));
    rig->recipient.reason = rig->recipient.remote_mta = rig->recipient.diagnostic;
    write_whole(rig, S("A: b\r\n\r\n"));
    assert_true(rig->out.len < 8000);
    /* The largest of everything: \x{...} for each character, and + for those of the last form. */
    for (size_t i = 0; i + 1 < MAIL_DSN_ADDRESS_MAX; i += 2)
        memcpy(long_text + i, "\xc2\x80", 2); /* a control: "?" */
    for (size_t i = 2; i + 1 < MAIL_DSN_ADDRESS_MAX; i += 2)
        memcpy(long_text + i, i % 4 == 0 ? "++" : "\xdf\xbf", 2);
    rig->recipient.address = rig->report.sender = base_span_of(long_text, MAIL_DSN_ADDRESS_MAX);
    rig->report.utf8 = true;
    write_whole(rig, S("A: b\r\n\r\n"));
    rig->report.utf8 = false;
    rig->report.sender = S("a@b");
    text = write_whole(rig, S("A: b\r\n\r\n"));
    expect(text, "\r\nFinal-Recipient: utf-8; ?\\x{7FF}\\x{2B}\\x{2B}\\x{7FF}");
    for (size_t i = 0; i + 1 < MAIL_DSN_ADDRESS_MAX; i += 2)
        memcpy(long_text + i, "\xdf\xbf", 2);
    memcpy(long_text, "utf-8;", 6);
    rig->recipient.orcpt = base_span_of(long_text, MAIL_DSN_ADDRESS_MAX);
    write_whole(rig, S("A: b\r\n\r\n"));
    test_free(rig);
}

static void test_quoted(void **state)
{
    static const struct {
        enum mail_dsn_return content;
        const char *original, *quoted;
    } rows[] = {
        {MAIL_DSN_RETURN_FULL, "A: b\r\n\r\nbody\r\n", "A: b\r\n\r\nbody\r\n"},
        {MAIL_DSN_RETURN_FULL, "A: b\r\n\r\nbody", "A: b\r\n\r\nbody\r\n"},
        {MAIL_DSN_RETURN_FULL, "", ""},
        {MAIL_DSN_RETURN_FULL, "\r\n", "\r\n"},
        {MAIL_DSN_RETURN_FULL, "a\nb\rc\r\r\n\n", "a\r\nb\r\nc\r\n\r\n\r\n"},
        {MAIL_DSN_RETURN_FULL, "\xe9\r\n", "?\r\n"},
        {MAIL_DSN_RETURN_FULL, "--" BOUNDARY "\r\n", " --" BOUNDARY "\r\n"},
        {MAIL_DSN_RETURN_FULL, "--" BOUNDARY "--", " --" BOUNDARY "--\r\n"},
        {MAIL_DSN_RETURN_FULL, "a\r\n--" BOUNDARY "and more", "a\r\n --" BOUNDARY "and more\r\n"},
        {MAIL_DSN_RETURN_FULL, "-\r\n--\r\n--=_0\r\n--=", "-\r\n--\r\n--=_0\r\n--=\r\n"},
        {MAIL_DSN_RETURN_FULL, "x--" BOUNDARY "\r\n", "x--" BOUNDARY "\r\n"},
        {MAIL_DSN_RETURN_FULL, "----" BOUNDARY "\r\n", "----" BOUNDARY "\r\n"},
        {MAIL_DSN_RETURN_HEADERS, "A: b\r\nC:\r\n d\r\n\r\nbody\r\n", "A: b\r\nC:\r\n d\r\n"},
        {MAIL_DSN_RETURN_HEADERS, "A: b\r\nC: d", "A: b\r\nC: d\r\n"},
        {MAIL_DSN_RETURN_HEADERS, "A: b\n\nbody\n", "A: b\r\n"},
        {MAIL_DSN_RETURN_HEADERS, "A: b\r\n--" BOUNDARY "--\r\n\r\n",
         "A: b\r\n --" BOUNDARY "--\r\n"},
        {MAIL_DSN_RETURN_HEADERS, "\r\nbody\r\n", ""},
    };
    struct rig *rig = rig_new();
    char part[512];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        bool full = rows[i].content == MAIL_DSN_RETURN_FULL;
        rig->report.content = rows[i].content;
        snprintf(part, sizeof(part),
                 "\r\n--" BOUNDARY "\r\nContent-Description: %s\r\nContent-Type: %s\r\n\r\n%s"
                 "\r\n--" BOUNDARY "--\r\n",
                 full ? "Undelivered message" : "Message header",
                 full ? "message/rfc822" : "text/rfc822-headers", rows[i].quoted);
        expect(write_whole(rig, base_span_str(rows[i].original)), part);
        expect(write_pieces(rig, base_span_str(rows[i].original), 1, 1), part);
    }
    test_free(rig);
}

static void test_long_lines(void **state)
{
    struct rig *rig = rig_new();
    char line[3000];

    (void)state;
    memset(line, 'x', sizeof(line));
    memcpy(line, "A: ", 3);
    memcpy(line + 1500, "\r\n\r\n", 4);
    memcpy(line + 1504 + 998, "--" BOUNDARY, strlen("--" BOUNDARY));
    const char *text = write_whole(rig, base_span_of(line, sizeof(line)));
    expect(text, "x\r\n xxx");               /* folded in the header section, */
    expect(text, "x\r\n --" BOUNDARY "xxx"); /* broken in the body */
    memset(line, 'x', sizeof(line));
    memcpy(line + 996, "\xe2\x82\xac", 3);
    rig->report.eightbit = true;
    expect(write_whole(rig, base_span_of(line, sizeof(line))), "x\r\n \xe2\x82\xacx");
    memset(line, 0, sizeof(line));
    write_whole(rig, base_span_of(line, sizeof(line)));
    test_free(rig);
}

/* What goes back is bounded, whatever was announced, and the rest of the original is not read. */
static void test_bound(void **state)
{
    struct rig *rig = rig_new();
    static char large[60000];

    (void)state;
    rig->report.quote_max_bytes = 100;
    memset(large, 'x', sizeof(large));
    write_whole(rig, base_span_of(large, sizeof(large)));
    assert_true(rig->out.len < 4000);
    for (size_t i = 0; i + 2 <= sizeof(large); i += 10)
        memcpy(large + i, "\r\n", 2);
    memcpy(large, "A:", 2);
    write_whole(rig, base_span_of(large, sizeof(large)));
    size_t full_len = rig->out.len;
    assert_true(full_len < 3000);
    /* Exactly as large as allowed: all of it, and nothing behind it. */
    expect(write_whole(rig, base_span_of(large, 100)), "xxxxxxxx\r\n\r\n--" BOUNDARY "--\r\n");
    assert_null(strstr((char *)rig->text, "text/rfc822-headers"));
    rig->report.original_bytes = 101;
    expect(write_whole(rig, base_span_of(large, 100)), "text/rfc822-headers");
    /* Only failures send the whole message back. */
    rig->report.original_bytes = 0;
    rig->recipient.kind = MAIL_DSN_DELAYED;
    expect(write_whole(rig, base_span_of(large, 100)), "text/rfc822-headers");
    rig->report.content = MAIL_DSN_RETURN_NONE;
    assert_null(strstr(write_whole(rig, base_span_of(large, 100)), "rfc822-headers"));
    test_free(rig);
}

/* The same octets come out for all sizes of pieces. */
static void test_pieces(void **state)
{
    struct rig *rig = rig_new();
    struct base_span original = S("A: b\r\nC: d\r\n\r\n--" BOUNDARY "\r\n--=_0001\r\nlast");

    (void)state;
    rig->recipient.diagnostic = S("550 no such user here, nor anywhere else that is known to us");
    size_t len = strlen(write_whole(rig, original));
    uint8_t *whole = test_malloc(len);
    memcpy(whole, rig->text, len);
    for (size_t out_piece = 1; out_piece < 70; out_piece += 3)
        for (size_t in_piece = 1; in_piece < 40; in_piece += 4) {
            write_pieces(rig, original, out_piece, in_piece);
            assert_int_equal(rig->out.len, len);
            assert_memory_equal(rig->text, whole, len);
        }
    test_free(whole);
    test_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wanted), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_status), cmocka_unit_test(test_fields),
        cmocka_unit_test(test_utf8),   cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_quoted), cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_bound),  cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

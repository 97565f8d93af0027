/* BDAT: chunks, their refusal, and what may come between them. Each session whole, and cut at every
 * byte, into buffers of every size. */
#include "unit.h"

#include "smtp_unit.h"

#define GREETING "220 mx.test ESMTP\r\n"
#define HI       "EHLO c.test\r\n"
#define HI_OK                                                                                      \
    "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 2000\r\n250-8BITMIME\r\n250-CHUNKING\r\n"           \
    "250 ENHANCEDSTATUSCODES\r\n"
#define HI_TLS                                                                                     \
    "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 2000\r\n250-STARTTLS\r\n250-8BITMIME\r\n"           \
    "250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n"
#define OK       "250 2.1.0 Ok\r\n"
#define OK0      "250 2.0.0 Ok\r\n"
#define TO       "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define QUEUED   "250 2.0.0 Ok: queued\r\n"
#define TAKEN(n) "250 2.0.0 Ok: " #n " bytes\r\n"
#define NO_MAIL  "503 5.5.1 Error: need MAIL command\r\n"
#define NO_RCPT  "503 5.5.1 Error: need RCPT command\r\n"
#define FAILED   "503 5.5.1 Error: message was refused at an earlier chunk\r\n"
#define SYNTAX   "501 5.5.4 Syntax: BDAT count [LAST]\r\n"
#define BARE_LF  "550 5.5.2 Error: bare <LF> received\r\n"
#define BARE_CR  "550 5.5.2 Error: bare <CR> received\r\n"
#define TOO_BIG  "552 5.3.4 Error: message file too big\r\n"
#define X10      "0123456789"
#define X100     X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X996                                                                                       \
    X100 "\r\n" X100 "\r\n" X100 "\r\n" X100 "\r\n" X100 "\r\n" X100 "\r\n" X100 "\r\n" X100       \
         "\r\n" X100 "\r\n" X10 X10 X10 X10 X10 X10 X10 "01234567"

static const struct row {
    const char *in;
    const char *out; /* behind the greeting */
    const char *trace;
    const char *bodies;
    bool closed;
} rows[] = {
    /* One chunk, several, none with bytes. */
    {HI TO "BDAT 12 LAST\r\nS: x\r\n\r\nhi\r\nQUIT\r\n", HI_OK OK OK QUEUED "221 2.0.0 Bye\r\n",
     "M<a@b> R<c@d> h8 stored ", "[S: x\r\n\r\nhi\r\n]", true},
    {HI TO "BDAT 8\r\nS: x\r\n\r\nbdat 4 last\r\nhi\r\nNOOP\r\n", HI_OK OK OK TAKEN(8) QUEUED OK0,
     "M<a@b> R<c@d> h8 stored ", "[S: x\r\n\r\nhi\r\n]", false},
    {HI TO "BDAT 4\r\nhi\r\nBDAT 0 LAST\r\nNOOP\r\n", HI_OK OK OK TAKEN(4) QUEUED OK0,
     "M<a@b> R<c@d> h4 stored ", "[hi\r\n]", false},
    {HI TO "BDAT 0\r\nBDAT 0\r\nBDAT 4 LAST\r\nhi\r\n", HI_OK OK OK TAKEN(0) TAKEN(0) QUEUED,
     "M<a@b> R<c@d> h4 stored ", "[hi\r\n]", false},
    {HI TO "BDAT 0 LAST\r\n" TO "BDAT  0  LAST \r\n", HI_OK OK OK QUEUED OK OK QUEUED,
     "M<a@b> R<c@d> h0 stored M<a@b> R<c@d> h0 stored ", "[][]", false},
    /* A last line without its end gets one. */
    {HI TO "BDAT 2 LAST\r\nhi", HI_OK OK OK QUEUED, "M<a@b> R<c@d> h4 stored ", "[hi\r\n]", false},
    {HI TO "BDAT 2\r\nhiBDAT 0 LAST\r\n", HI_OK OK OK TAKEN(2) QUEUED, "M<a@b> R<c@d> h4 stored ",
     "[hi\r\n]", false},
    {HI TO "BDAT 5 LAST\r\n\r\n\r\nx", HI_OK OK OK QUEUED, "M<a@b> R<c@d> h2 stored ",
     "[\r\n\r\nx\r\n]", false},
    /* Dots mean nothing, and nothing ends a chunk but its size. */
    {HI TO "BDAT 19 LAST\r\n.\r\n..\r\n.x\r\n\r\n.\r\n..y", HI_OK OK OK QUEUED,
     "M<a@b> R<c@d> h13 stored ", "[.\r\n..\r\n.x\r\n\r\n.\r\n..y\r\n]", false},
    {HI TO "BDAT 20\r\nx\r\n.\r\nRSET\r\nQUIT\r\n\r\nBDAT 3 LAST\r\n.\r\n",
     HI_OK OK OK TAKEN(20) QUEUED, "M<a@b> R<c@d> h20 stored ",
     "[x\r\n.\r\nRSET\r\nQUIT\r\n\r\n.\r\n]", false},
    /* Chunks may be cut anywhere, in a line's end and in the empty line behind the headers too. */
    {HI TO "BDAT 3\r\nhi\rBDAT 2\r\n\n\rBDAT 5 LAST\r\n\nxy\r\n",
     HI_OK OK OK TAKEN(3) TAKEN(2) QUEUED, "M<a@b> R<c@d> h6 stored ", "[hi\r\n\r\nxy\r\n]", false},
    /* Out of place: the chunk is thrown away, not taken for commands. */
    {"BDAT 6\r\nQUIT\r\nNOOP\r\n", "502 5.5.1 Error: command not implemented\r\n" OK0, "", "",
     false},
    {"HELO c\r\n" TO "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
     "250 mx.test\r\n" OK OK "502 5.5.1 Error: command not implemented\r\n" OK0, "M<a@b> R<c@d> ",
     "", false},
    {HI "BDAT 6 LAST\r\nQUIT\r\nMAIL FROM:<a@b>\r\nBDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\nNOOP\r\n",
     HI_OK NO_MAIL OK NO_RCPT NO_RCPT OK0, "M<a@b> ", "", false},
    {HI TO "BDAT 4 LAST\r\nhi\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", HI_OK OK OK QUEUED NO_MAIL OK0,
     "M<a@b> R<c@d> h4 stored ", "[hi\r\n]", false},
    /* Between chunks. */
    {HI TO "BDAT 4\r\nhi\r\nDATA\r\nRCPT TO:<e@f>\r\nMAIL FROM:<e@f>\r\nNOOP\r\nBDAT 0 LAST\r\n",
     HI_OK OK OK TAKEN(4) "503 5.5.1 Error: DATA after BDAT\r\n503 5.5.1 Error: RCPT after "
                          "BDAT\r\n503 5.5.1 Error: nested MAIL command\r\n" OK0 QUEUED,
     "M<a@b> R<c@d> h4 stored ", "[hi\r\n]", false},
    {HI TO "BDAT 4\r\nhi\r\nRSET\r\nBDAT 6 LAST\r\nQUIT\r\n" TO "DATA\r\nyo\r\n.\r\n",
     HI_OK OK OK TAKEN(4) OK0 NO_MAIL OK OK "354 End data with <CR><LF>.<CR><LF>\r\n" QUEUED,
     "M<a@b> R<c@d> reset M<a@b> R<c@d> h4 stored ", "[yo\r\n]", false},
    {HI TO "BDAT 4\r\nhi\r\n" HI TO "BDAT 4 LAST\r\nyo\r\n",
     HI_OK OK OK TAKEN(4) HI_OK OK OK QUEUED, "M<a@b> R<c@d> reset M<a@b> R<c@d> h4 stored ",
     "[yo\r\n]", false},
    {HI TO "BDAT 4\r\nhi\r\nQUIT\r\n", HI_OK OK OK TAKEN(4) "221 2.0.0 Bye\r\n", "M<a@b> R<c@d> ",
     "", true},
    {HI TO "DATA\r\nBDAT 6 LAST\r\n.\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
     HI_OK OK OK "354 End data with <CR><LF>.<CR><LF>\r\n" QUEUED NO_MAIL OK0,
     "M<a@b> R<c@d> h13 stored ", "[BDAT 6 LAST\r\n]", false},
    /* Refused by the caller: before the first chunk, in it, and the message. */
    {HI "MAIL FROM:<nodata@b>\r\nRCPT TO:<c@d>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n" TO
        "BDAT 4 LAST\r\nhi\r\n",
     HI_OK OK OK "451 4.3.0 No data now\r\n" FAILED OK OK QUEUED,
     "M<nodata@b> R<c@d> refused:caller M<a@b> R<c@d> h4 stored ", "[hi\r\n]", false},
    {HI "MAIL FROM:<nodata@b>\r\nRCPT TO:<c@d>\r\nBDAT 0 LAST\r\nNOOP\r\n",
     HI_OK OK OK "451 4.3.0 No data now\r\n" OK0, "M<nodata@b> R<c@d> refused:caller ", "", false},
    {HI "MAIL FROM:<full@b>\r\nRCPT TO:<c@d>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
     HI_OK OK OK "452 4.3.1 Disk is full\r\n" OK0, "M<full@b> R<c@d> refused:caller ", "", false},
    {HI "MAIL FROM:<nomsg@b>\r\nRCPT TO:<c@d>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
     HI_OK OK OK "451 4.3.0 Not stored\r\n" OK0, "M<nomsg@b> R<c@d> h6 unstored ", "", false},
    /* What a message may not hold. What is pipelined behind it is thrown away, and is no error. */
    {HI TO "BDAT 6 LAST\r\na\nb\r\n.NOOP\r\n", HI_OK OK OK BARE_LF OK0,
     "M<a@b> R<c@d> refused:bare_newline ", "", false},
    {HI TO "BDAT 4\r\na\rb\nBDAT 6\r\nQUIT\r\nBDAT 6\r\nQUIT\r\nBDAT 6\r\nQUIT\r\nBDAT 6\r\n"
           "QUIT\r\nBDAT 6 LAST\r\nQUIT\r\n" TO "BDAT 0 LAST\r\n",
     HI_OK OK OK BARE_CR FAILED FAILED FAILED FAILED FAILED OK OK QUEUED,
     "M<a@b> R<c@d> refused:bare_newline M<a@b> R<c@d> h0 stored ", "[]", false},
    {HI TO "BDAT 3 LAST\r\nhi\rNOOP\r\n", HI_OK OK OK BARE_CR OK0,
     "M<a@b> R<c@d> refused:bare_newline ", "", false},
    {HI TO "BDAT 3\r\nhi\rBDAT 1 LAST\r\nxNOOP\r\n", HI_OK OK OK TAKEN(3) BARE_CR OK0,
     "M<a@b> R<c@d> refused:bare_newline ", "", false},
    {HI TO "BDAT 3\r\nhi\rBDAT 0 LAST\r\nNOOP\r\n", HI_OK OK OK TAKEN(3) BARE_CR OK0,
     "M<a@b> R<c@d> refused:bare_newline ", "", false},
    {HI TO "BDAT 3\r\nhi\rRSET\r\nNOOP\r\n", HI_OK OK OK TAKEN(3) OK0 OK0, "M<a@b> R<c@d> reset ",
     "", false},
    {HI TO "BDAT 73 LAST\r\nReceived: 1\r\nReceived: 2\r\nReceived: 3\r\nReceived: 4\r\n"
           "Received: 5\r\nx\r\n\r\n.\r\nNOOP\r\n",
     HI_OK OK OK "554 5.4.6 Error: too many hops\r\n" OK0, "M<a@b> R<c@d> refused:hops ", "",
     false},
    {HI TO "BDAT 503 LAST\r\n\r\n" X100 X100 X100 X100 X100 "xNOOP\r\n",
     HI_OK OK OK "500 5.5.2 Error: message line too long\r\n" OK0,
     "M<a@b> R<c@d> h2 refused:line_length ", "", false},
    /* Sizes. */
    {HI TO "BDAT 998\r\n\r\n" X996 "BDAT 1003\r\n" X996 "123\r\n45BDAT 0 LAST\r\n",
     HI_OK OK OK TAKEN(998) TOO_BIG FAILED, "M<a@b> R<c@d> h2 refused:size ", "", false},
    {HI TO "BDAT 4002\r\n", HI_OK OK OK TOO_BIG, "M<a@b> R<c@d> ", "", true},
    {HI "BDAT 4002\r\n", HI_OK NO_MAIL, "", "", true},
    {HI TO "BDAT 998\r\n\r\n" X996 "BDAT 3004\r\n", HI_OK OK OK TAKEN(998) TOO_BIG,
     "M<a@b> R<c@d> h2 ", "", true},
    {HI TO "BDAT 9223372036854775807 LAST\r\nx", HI_OK OK OK TOO_BIG, "M<a@b> R<c@d> ", "", true},
    /* Nobody knows what follows. */
    {HI TO "BDAT\r\nQUIT\r\n", HI_OK OK OK SYNTAX, "M<a@b> R<c@d> ", "", true},
    {HI TO "BDAT LAST\r\nQUIT\r\n", HI_OK OK OK SYNTAX, "M<a@b> R<c@d> ", "", true},
    {HI TO "BDAT -1\r\nQUIT\r\n", HI_OK OK OK SYNTAX, "M<a@b> R<c@d> ", "", true},
    {HI TO "BDAT +1\r\nQUIT\r\n", HI_OK OK OK SYNTAX, "M<a@b> R<c@d> ", "", true},
    {HI TO "BDAT 0x10\r\nQUIT\r\n", HI_OK OK OK SYNTAX, "M<a@b> R<c@d> ", "", true},
    {HI TO "BDAT 5 FIRST\r\nQUIT\r\n", HI_OK OK OK SYNTAX, "M<a@b> R<c@d> ", "", true},
    {HI TO "BDAT 5 LAST LAST\r\nQUIT\r\n", HI_OK OK OK SYNTAX, "M<a@b> R<c@d> ", "", true},
    {HI TO "BDAT 9223372036854775808\r\n", HI_OK OK OK SYNTAX, "M<a@b> R<c@d> ", "", true},
    {HI TO "BDAT 18446744073709551617\r\n", HI_OK OK OK SYNTAX, "M<a@b> R<c@d> ", "", true},
    {HI TO "BDAT 111111111111111111111111111111\r\n", HI_OK OK OK SYNTAX, "M<a@b> R<c@d> ", "",
     true},
    {HI "BDAT 5\x01\r\n", HI_OK SYNTAX, "", "", true},
    {HI "MAIL FROM:<a@b> BODY=BINARYMIME\r\n", HI_OK "501 5.5.4 Unsupported BODY type\r\n", "", "",
     false},
};

static void expect(struct harness *h, const struct row *r)
{
    char want[4096];

    snprintf(want, sizeof(want), "%s%s", GREETING, r->out);
    unit_expect_text(&h->out, want);
    unit_expect_text(&h->trace, r->trace);
    unit_expect_text(&h->bodies, r->bodies);
    assert_int_equal(h->closed, r->closed);
}

static void sessions_whole_and_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        size_t len = strlen(rows[i].in), step = len > 400 ? 13 : 1;
        for (size_t cut = 0; cut <= len; cut += step) {
            struct harness *h = harness_open(&harness_chunks, 1 + cut % 40, 4096);
            h->server.scanner = unit_scanner(cut);
            harness_feed(h, rows[i].in, cut);
            harness_feed(h, rows[i].in + cut, len - cut);
            expect(h, &rows[i]);
            harness_close(h);
        }
        struct harness *h = harness_open(&harness_chunks, 1, 4096);
        for (size_t k = 0; k < len; k++)
            harness_feed(h, rows[i].in + k, 1);
        expect(h, &rows[i]);
        harness_close(h);
    }
}

/* The same message by every pair of chunks is the same message. */
static void every_boundary(void **state)
{
    static const char text[] = "A: b\r\nReceived: x\r\n\r\n.\r\n\r\n..\r\nlast\r\n.";
    static const char stored[] = "[A: b\r\nReceived: x\r\n\r\n.\r\n\r\n..\r\nlast\r\n.\r\n]";
    char in[300];

    (void)state;
    for (size_t a = 0; a <= strlen(text); a++)
        for (size_t c = a; c <= strlen(text); c++) {
            struct harness *h = harness_open(&harness_chunks, 1 + (a + c) % 50, 1024);
            int n = snprintf(in, sizeof(in),
                             HI TO "BDAT %zu\r\n%.*sBDAT %zu\r\n%.*sBDAT %zu LAST\r\n%s", a, (int)a,
                             text, c - a, (int)(c - a), text + a, strlen(text) - c, text + c);
            harness_feed(h, in, (size_t)n);
            unit_expect_text(&h->bodies, stored);
            harness_close(h);
        }
}

/* A bare LF in a chunk where they are normalized. */
static void normalized(void **state)
{
    static const char in[] = HI TO "BDAT 7\r\na\n.\n\nb\nBDAT 5 LAST\r\n\r\n.\nc";

    (void)state;
    for (size_t cut = 0; cut < sizeof(in); cut++) {
        struct harness *h = harness_open(&harness_chunks, 1 + cut % 40, 1024);
        h->server.normalize = true;
        harness_feed(h, in, cut < strlen(in) ? cut : strlen(in));
        harness_feed(h, in + cut, cut < strlen(in) ? strlen(in) - cut : 0);
        unit_expect_text(&h->bodies, "[a\r\n.\r\n\r\nb\r\n\r\n.\r\nc\r\n]");
        harness_close(h);
    }
}

/* Where TLS is required a chunk in clear is thrown away, too. */
static void tls_first(void **state)
{
    static const char in[] = HI "BDAT 10 LAST\r\nSTARTTLS\r\nNOOP\r\n";

    (void)state;
    for (size_t cut = 0; cut <= strlen(in); cut++) {
        struct harness *h = harness_open(&harness_chunks, 64, 1024);
        h->server.tls = SMTP_TLS_REQUIRED;
        harness_feed(h, in, cut);
        harness_feed(h, in + cut, strlen(in) - cut);
        unit_expect_text(&h->out,
                         GREETING HI_TLS "530 5.7.0 Must issue a STARTTLS command first\r\n" OK0);
        harness_close(h);
    }
}

static void counters(void **state)
{
    static const char in[] = HI TO "BDAT 2\r\nhiBDAT 0 LAST\r\n" TO "BDAT 2\r\na\nBDAT 1\r\nx"
                                   "BDAT 5000\r\n";
    struct harness *h = harness_open(&harness_chunks, 64, 1024);

    (void)state;
    harness_feed(h, in, strlen(in));
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_CMD_BDAT), 5);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_CHUNKED), 1);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_MESSAGES), 1);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_REFUSED_BARE_NEWLINE), 1);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_REFUSED_CHUNK), 2);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_CLOSED_SIZE), 1);
    assert_true(h->closed);
    harness_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_whole_and_cut),
        cmocka_unit_test(every_boundary),
        cmocka_unit_test(normalized),
        cmocka_unit_test(tls_first),
        cmocka_unit_test(counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

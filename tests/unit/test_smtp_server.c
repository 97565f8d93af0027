#include "unit.h"

#include "smtp_harness.h"

#define GREETING "220 mx.test ESMTP\r\n"
#define HI       "EHLO c.test\r\n"
#define HI_OK                                                                                      \
    "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 2000\r\n250-8BITMIME\r\n"                           \
    "250 ENHANCEDSTATUSCODES\r\n"
#define EXT_OK                                                                                     \
    "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 2000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"           \
    "250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n"
#define OK       "250 2.1.0 Ok\r\n"
#define OK0      "250 2.0.0 Ok\r\n"
#define GO       "354 End data with <CR><LF>.<CR><LF>\r\n"
#define QUEUED   "250 2.0.0 Ok: queued\r\n"
#define ENVELOPE "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
#define UNKNOWN  "500 5.5.2 Error: command not recognized\r\n"
#define TOO_MANY "421 4.7.0 mx.test Error: too many errors\r\n"
#define BAD_LINE "500 5.5.2 Error: bare <CR> or <LF> received\r\n"
#define X10      "0123456789"
#define X100     X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X1000    X100 X100 X100 X100 X100 X100 X100 X100 X100 X100

struct transcript {
    const char *in;
    const char *out; /* behind the greeting */
    const char *trace;
    const char *bodies;
    size_t in_len; /* when in holds a NUL */
    bool closed;
};

#define WITH_NUL(s) .in = s, .in_len = sizeof(s) - 1

static const struct transcript transcripts[] = {
    /* The plain way, and every command. */
    {HI ENVELOPE "S: x\r\n\r\nhi\r\n.\r\nQUIT\r\n", HI_OK OK OK GO QUEUED "221 2.0.0 Bye\r\n",
     "M<a@b> R<c@d> h8 stored ", "[S: x\r\n\r\nhi\r\n]", .closed = true},
    {"HELO c.test\r\n" ENVELOPE ".\r\n", "250 mx.test\r\n" OK OK GO QUEUED,
     "M<a@b> R<c@d> h0 stored ", "[]", .closed = false},
    {"ehlo [127.0.0.1]\r\nmAiL fRoM: <>  SIZE=5 body=8bitmime\r\nrcpt to: <c@d>  \r\ndata \r\nx\r\n"
     ".\r\n",
     HI_OK OK OK GO QUEUED, "M<> BODY=8BITMIME R<c@d> h3 stored ", "[x\r\n]", .closed = false},
    {HI "MAIL FROM:<a@b>\r\nRSET\r\nRSET\r\nNOOP\r\nNOOP x y\r\nVRFY a\r\n",
     HI_OK OK OK0 OK0 OK0 OK0 "252 2.0.0 Not verified; mail for it will be tried\r\n",
     "M<a@b> reset ", "", .closed = false},
    {HI "MAIL FROM:<a@b>\r\n" HI "HELO x_y\r\n", HI_OK OK HI_OK "250 mx.test\r\n", "M<a@b> reset ",
     "", .closed = false},
    {HI "MAIL FROM:<a@b>\r\nRCPT TO:<pOstMaster>\r\n", HI_OK OK OK, "M<a@b> R<pOstMaster> ", "",
     .closed = false},
    {HI "MAIL FROM:<@x,@[1.2.3.4]:a@b>\r\n", HI_OK OK, "M<a@b> ", "", .closed = false},
    /* Dots. */
    {HI ENVELOPE "..\r\n...\r\n.x\r\nx.\r\n..\r\n. \r\n\r\n.\r\n", HI_OK OK OK GO QUEUED,
     "M<a@b> R<c@d> h22 stored ", "[.\r\n..\r\nx\r\nx.\r\n.\r\n \r\n\r\n]", .closed = false},
    {HI ENVELOPE "\r\n\r\n.\r\n" ENVELOPE ".\r\n", HI_OK OK OK GO QUEUED OK OK GO QUEUED,
     "M<a@b> R<c@d> h2 stored M<a@b> R<c@d> h0 stored ", "[\r\n\r\n][]", .closed = false},
    /* Order. */
    {"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\nNOOP\r\n",
     "503 5.5.1 Error: send HELO/EHLO first\r\n503 5.5.1 Error: need MAIL command\r\n"
     "503 5.5.1 Error: need MAIL command\r\n" OK0,
     "", "", .closed = false},
    {HI
     "MAIL FROM:<a@b>\r\nMAIL FROM:<x@b>\r\nDATA\r\nRCPT TO:<c@d>\r\nMAIL FROM:<x@b>\r\nDATA x\r\n"
     "DATA\r\n.\r\n",
     HI_OK OK "503 5.5.1 Error: nested MAIL command\r\n503 5.5.1 Error: need RCPT command\r\n" OK
              "503 5.5.1 Error: nested MAIL command\r\n501 5.5.4 Syntax: DATA\r\n" GO QUEUED,
     "M<a@b> R<c@d> h0 stored ", "[]", .closed = false},
    /* Arguments. */
    {"EHLO\r\nHELO \r\nEHLO a b\r\nEHLO a(b\r\nHELO a_b-c.d\r\n",
     "501 Syntax: EHLO hostname\r\n501 Syntax: HELO hostname\r\n501 Syntax: EHLO hostname\r\n"
     "501 Syntax: EHLO hostname\r\n250 mx.test\r\n",
     "", "", .closed = false},
    {HI "MAIL\r\nMAIL TO:<a@b>\r\nMAIL FROM:a@b\r\nMAIL FROM:<a@>\r\nMAIL FROM:<postmaster>\r\n",
     HI_OK "501 5.5.4 Syntax: MAIL FROM:<address>\r\n501 5.5.4 Syntax: MAIL FROM:<address>\r\n"
           "501 5.1.7 Bad sender address syntax\r\n501 5.1.7 Bad sender address syntax\r\n"
           "501 5.1.7 Bad sender address syntax\r\n",
     "", "", .closed = false},
    {HI "MAIL FROM:<a@b>\r\nRCPT FROM:<a@b>\r\nRCPT TO:<>\r\nRCPT TO:<a@b> NOTIFY=NEVER\r\n"
        "RCPT TO:<a@b>x\r\nRCPT TO:<a@b..c>\r\n",
     HI_OK OK "501 5.5.4 Syntax: RCPT TO:<address>\r\n501 5.1.3 Bad recipient address syntax\r\n"
              "555 5.5.4 Unsupported option\r\n501 5.5.4 Malformed parameter\r\n"
              "501 5.1.3 Bad recipient address syntax\r\n",
     "M<a@b> ", "", .closed = false},
    {HI "MAIL FROM:<a@b> SIZE=2001\r\nMAIL FROM:<a@b> SIZE=99999999999999999999\r\n"
        "MAIL FROM:<a@b> SIZE=x\r\nMAIL FROM:<a@b> SIZE\r\nMAIL FROM:<a@b> SIZE=1 SIZE=1\r\n",
     HI_OK "552 5.3.4 Message size exceeds fixed limit\r\n"
           "552 5.3.4 Message size exceeds fixed limit\r\n"
           "501 5.5.4 Bad message size syntax\r\n501 5.5.4 Bad message size syntax\r\n"
           "501 5.5.4 Parameter given twice\r\n",
     "", "", .closed = false},
    {HI "MAIL FROM:<a@b> BODY=BINARYMIME\r\nMAIL FROM:<a@b> SMTPUTF8\r\nMAIL FROM:<a@b> =x\r\n"
        "MAIL FROM:<a@b> SIZE==\r\nMAIL FROM:<a@b> SIZE=2000 BODY=7BIT\r\n",
     HI_OK "501 5.5.4 Unsupported BODY type\r\n555 5.5.4 Unsupported option\r\n"
           "501 5.5.4 Malformed parameter\r\n501 5.5.4 Malformed parameter\r\n" OK,
     "M<a@b> ", "", .closed = false},
    {HI "RSET x\r\nQUIT x\r\nVRFY\r\n",
     HI_OK "501 5.5.4 Syntax: RSET\r\n501 5.5.4 Syntax: QUIT\r\n501 5.5.4 Syntax: VRFY address\r\n",
     "", "", .closed = false},
    {HI "STARTTLS\r\nBDAT 6 LAST\r\nQUIT\r\nAUTH PLAIN\r\nexpn x\r\nHELP\r\n",
     HI_OK
     "502 5.5.1 Error: command not implemented\r\n502 5.5.1 Error: command not implemented\r\n"
     "503 5.5.1 Error: authentication not enabled\r\n"
     "502 5.5.1 Error: command not implemented\r\n502 5.5.1 Error: command not implemented\r\n",
     "", "", .closed = false},
    {HI "\r\n \r\nEHL x\r\nEHLOx\r\n EHLO x\r\n", HI_OK UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN, "",
     "", .closed = false},
    /* The caller refuses. */
    {HI "MAIL FROM:<no@b>\r\nMAIL FROM:<later@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\nDATA\r\n"
        "RCPT TO:<later@d>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n",
     HI_OK "550 5.1.1 No such user\r\n451 4.3.0 Try again later\r\n" OK
           "550 5.1.1 No such user\r\n503 5.5.1 Error: need RCPT command\r\n"
           "451 4.3.0 Try again later\r\n" OK GO QUEUED,
     "M<no@b> M<later@b> M<a@b> R<no@d> R<later@d> R<c@d> h0 stored ", "[]", .closed = false},
    {HI "MAIL FROM:<nodata@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nRSET\r\n",
     HI_OK OK OK "451 4.3.0 No data now\r\n" OK0, "M<nodata@b> R<c@d> reset ", "", .closed = false},
    {HI "MAIL FROM:<nomsg@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n" ENVELOPE ".\r\n",
     HI_OK OK OK GO "451 4.3.0 Not stored\r\n" OK OK GO QUEUED,
     "M<nomsg@b> R<c@d> h3 unstored M<a@b> R<c@d> h0 stored ", "[]", .closed = false},
    {HI "MAIL FROM:<full@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n",
     HI_OK OK OK GO "452 4.3.1 Disk is full\r\n" OK0, "M<full@b> R<c@d> refused:caller ", "",
     .closed = false},
    {HI "MAIL FROM:<shut@b>\r\nNOOP\r\n", HI_OK "421 4.3.2 Closing\r\n", "M<shut@b> ", "",
     .closed = true},
    /* Limits. */
    {HI "MAIL FROM:<a@b>\r\nRCPT TO:<1@d>\r\nRCPT TO:<2@d>\r\nRCPT TO:<3@d>\r\nRCPT TO:<4@d>\r\n"
        "DATA\r\n.\r\n",
     HI_OK OK OK OK OK "452 4.5.3 Error: too many recipients\r\n" GO QUEUED,
     "M<a@b> R<1@d> R<2@d> R<3@d> h0 stored ", "[]", .closed = false},
    {"x\r\nx\r\nx\r\nx\r\nx\r\nx\r\nNOOP\r\n",
     UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN UNKNOWN TOO_MANY, "", "", .closed = true},
    {"NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP"
     "\r\n"
     "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n",
     OK0 OK0 OK0 OK0 OK0 OK0 OK0 OK0 OK0 OK0 OK0 OK0 OK0 OK0 TOO_MANY, "", "", .closed = true},
    /* Lines. */
    {"EHLO " X1000 X1000 X100 "\r\nNOOP\r\n", "500 5.5.2 Error: line too long\r\n" OK0, "", "",
     .closed = false},
    {"NOOP " X1000 X1000 X10 X10 X10 X10 "x\r\nNOOP\r\n", OK0 OK0, "", "",
     .closed = false}, /* 2048 with CRLF */
    {"NOOP " X1000 X1000 X10 X10 X10 X10 "xy\r\nNOOP\r\n", "500 5.5.2 Error: line too long\r\n" OK0,
     "", "", .closed = false},
    {"NOOP " X1000 X1000 X10 X10 X10 X10 "xyz\r\r\nQUIT\r\n",
     "500 5.5.2 Error: line too long\r\n221 2.0.0 Bye\r\n", "", "", .closed = true},
    {X1000 X1000 X1000 "\nQUIT\n\rQUIT\r\nNOOP\r\n", "500 5.5.2 Error: line too long\r\n" OK0, "",
     "", .closed = false},
    {"NOOP\nQUIT\r\n", BAD_LINE, "", "", .closed = true},
    {"NOOP\rQUIT\r\n", BAD_LINE, "", "", .closed = true},
    {"NOOP\r\r\nQUIT\r\n", BAD_LINE, "", "", .closed = true},
    {"\nNOOP\r\n", BAD_LINE, "", "", .closed = true},
    {WITH_NUL("NO\0OP\r\nEHLO a\0b\r\nMAIL FROM:<a\0@b>\r\nNOOP \x7f\r\nNOOP\x01\r\n"),
     .out = "500 5.5.2 Error: bad syntax\r\n500 5.5.2 Error: bad syntax\r\n"
            "500 5.5.2 Error: bad syntax\r\n500 5.5.2 Error: bad syntax\r\n"
            "500 5.5.2 Error: bad syntax\r\n",
     .trace = "", .bodies = ""},
    {HI "NOOP \xc3\xa4\r\nMAIL FROM:<\xc3\xa4@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@\xc3\xa4>\r\n",
     HI_OK "500 5.5.2 Error: bad syntax\r\n"
           "553 5.6.7 Address has 8-bit characters; SMTPUTF8 is not offered\r\n" OK
           "553 5.6.7 Address has 8-bit characters; SMTPUTF8 is not offered\r\n",
     "M<a@b> ", "", .closed = false},
    /* Other protocols. */
    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "221 2.7.0 Error: I can break rules, too. Goodbye.\r\n",
     "", "", .closed = true},
    {WITH_NUL("\x16\x03\x01\x02\0\x01\n\r\n"), .out = "", .trace = "", .bodies = "",
     .closed = true},
    {"PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\nEHLO a\r\n",
     "500 5.5.1 Error: no PROXY header is expected here\r\n", "", "", .closed = true},
    {"Proxy UNKNOWN\r\nEHLO a\r\n", "500 5.5.1 Error: no PROXY header is expected here\r\n", "", "",
     .closed = true},
    {WITH_NUL("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0" HI),
     .out = UNKNOWN UNKNOWN "500 5.5.2 Error: bad syntax\r\n" BAD_LINE, .trace = "", .bodies = "",
     .closed = true},
    /* Messages that are refused at their true end. */
    {HI ENVELOPE "a\nb\r\n.\r\nNOOP\r\n",
     HI_OK OK OK GO "550 5.5.2 Error: bare <LF> received\r\n" OK0,
     "M<a@b> R<c@d> refused:bare_newline ", "", .closed = false},
    {HI ENVELOPE "a\rb\n\r\n.\r\nNOOP\r\n",
     HI_OK OK OK GO "550 5.5.2 Error: bare <CR> received\r\n" OK0,
     "M<a@b> R<c@d> refused:bare_newline ", "", .closed = false},
    {WITH_NUL(HI ENVELOPE "a\0b\r\n.\r\nNOOP\r\n"),
     .out = HI_OK OK OK GO "550 5.6.0 Error: NUL byte received\r\n" OK0,
     .trace = "M<a@b> R<c@d> refused:nul ", .bodies = ""},
    {HI ENVELOPE "\r\n" X1000 "\r\n" X1000 "\r\n.\r\nNOOP\r\n",
     HI_OK OK OK GO "552 5.3.4 Error: message file too big\r\n" OK0,
     "M<a@b> R<c@d> h2 refused:size ", "", .closed = false},
    {HI ENVELOPE
     "\r\n" X1000 X100 X100 X100 X100 X100 X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10
     "123456\r\n.\r\n",
     HI_OK OK OK GO QUEUED, "M<a@b> R<c@d> h2 stored ",
     "[\r\n" X1000 X100 X100 X100 X100 X100 X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10
     "123456\r\n]",
     .closed = false},
    {HI ENVELOPE
     "\r\n" X1000 X100 X100 X100 X100 X100 X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10
     "1234567\r\n.\r\n",
     HI_OK OK OK GO "552 5.3.4 Error: message file too big\r\n", "M<a@b> R<c@d> h2 refused:size ",
     "", .closed = false},
    {HI ENVELOPE "A: " X100 X100 X100 X100 X100 X100 "\r\n\r\n.\r\nNOOP\r\n",
     HI_OK OK OK GO "552 5.3.4 Error: message header too big\r\n" OK0,
     "M<a@b> R<c@d> refused:header_size ", "", .closed = false},
    {HI ENVELOPE "Received: 1\r\nRECEIVED : 2\r\nreceived:3\r\nReceivedx: 4\r\nX-Received: 4\r\n"
                 " Received: 4\r\nReceived\t:4\r\n\r\nReceived: x\r\nReceived: x\r\n.\r\n",
     HI_OK OK OK GO QUEUED, "M<a@b> R<c@d> h97 stored ",
     "[Received: 1\r\nRECEIVED : 2\r\nreceived:3\r\nReceivedx: 4\r\nX-Received: 4\r\n"
     " Received: 4\r\nReceived\t:4\r\n\r\nReceived: x\r\nReceived: x\r\n]",
     .closed = false},
    {HI ENVELOPE
     "Received: 1\r\nReceived: 2\r\nReceived: 3\r\n.Received: 4\r\nReceived: 5\r\n\r\n.\r\n"
     "NOOP\r\n",
     HI_OK OK OK GO "554 5.4.6 Error: too many hops\r\n" OK0, "M<a@b> R<c@d> refused:hops ", "",
     .closed = false},
};

static size_t transcript_len(const struct transcript *t)
{
    return t->in_len > 0 ? t->in_len : strlen(t->in);
}

static void expect_text(const struct base_buf *got, const char *prefix, const char *want)
{
    size_t skip = strlen(prefix);
    if (got->len != skip + strlen(want) || memcmp(got->p, prefix, skip) != 0 ||
        memcmp(got->p + skip, want, got->len - skip) != 0)
        print_error("got:\n%.*s\nwant:\n%s%s\n", (int)got->len, (const char *)got->p, prefix, want);
    assert_int_equal(got->len, skip + strlen(want));
    assert_memory_equal(got->p + skip, want, got->len - skip);
}

static void expect(struct harness *h, const struct transcript *t)
{
    expect_text(&h->out, GREETING, t->out);
    expect_text(&h->trace, "", t->trace);
    expect_text(&h->bodies, "", t->bodies);
    assert_int_equal(h->closed, t->closed);
}

static void run_cut(const struct transcript *t, size_t cut, size_t dst_cap)
{
    size_t len = transcript_len(t);
    struct harness *h = harness_open(&harness_settings, dst_cap, 4096);

    harness_feed(h, t->in, cut);
    harness_feed(h, t->in + cut, len - cut);
    expect(h, t);
    harness_close(h);
}

static void transcripts_whole_and_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(transcripts); i++) {
        const struct transcript *t = &transcripts[i];
        size_t len = transcript_len(t);
        size_t step = len > 600 ? 7 : 1;
        run_cut(t, len, 4096);
        for (size_t cut = 0; cut <= len; cut += step)
            run_cut(t, cut, 1 + cut % 40);
        struct harness *h = harness_open(&harness_settings, 1, 4096);
        for (size_t k = 0; k < len; k++)
            harness_feed(h, t->in + k, 1);
        expect(h, t);
        harness_close(h);
    }
}

/* ---- parameters of MAIL and RCPT ---- */

#define X50      X10 X10 X10 X10 X10
#define X90      X50 X10 X10 X10 X10
#define X490     X100 X100 X100 X100 X90
#define UTF8     "\xc3\xa4"
#define EXT_HI   "EHLO c.test\r\n"
#define BAD_RET  "501 5.5.4 RET is FULL or HDRS\r\n"
#define BAD_ENV  "501 5.5.4 Bad ENVID syntax\r\n"
#define BAD_NOT  "501 5.5.4 NOTIFY is NEVER, or of SUCCESS, FAILURE, DELAY\r\n"
#define BAD_ORC  "501 5.5.4 Bad ORCPT syntax\r\n"
#define BAD_PAR  "501 5.5.4 Malformed parameter\r\n"
#define TWICE    "501 5.5.4 Parameter given twice\r\n"
#define OPTION   "555 5.5.4 Unsupported option\r\n"
#define NOT_UTF8 "553 5.6.7 Address has 8-bit characters; MAIL was without SMTPUTF8\r\n"
#define PLAIN    "<a@b>"

/* The reply to the last command and what the caller was asked; rcpt NULL: MAIL is the last. */
static const struct param_row {
    const char *mail;
    const char *rcpt;
    const char *reply;
    const char *trace;
} param_rows[] = {
    {PLAIN " RET=FULL", NULL, OK, "M<a@b> RET=FULL "},
    {PLAIN " ret=hdrs", NULL, OK, "M<a@b> RET=HDRS "},
    {PLAIN " RET=HEADERS", NULL, BAD_RET, ""},
    {PLAIN " RET", NULL, BAD_RET, ""},
    {PLAIN " RET=", NULL, BAD_PAR, ""},
    {PLAIN " RET=FULL RET=FULL", NULL, TWICE, ""},
    {PLAIN " RET=FULL ret=HDRS", NULL, TWICE, ""},
    {PLAIN " ENVID=Qq+2B1", NULL, OK, "M<a@b> ENVID=Qq+2B1 "},
    {PLAIN " ENVID=a+20b", NULL, OK, "M<a@b> ENVID=a+20b "},
    {PLAIN " ENVID=" X100, NULL, OK, "M<a@b> ENVID=" X100 " "},
    {PLAIN " ENVID=" X100 "1", NULL, BAD_ENV, ""},
    {PLAIN " ENVID", NULL, BAD_ENV, ""},
    {PLAIN " ENVID=", NULL, BAD_PAR, ""},
    {PLAIN " ENVID=a=b", NULL, BAD_PAR, ""},
    {PLAIN " ENVID=a+", NULL, BAD_ENV, ""},
    {PLAIN " ENVID=a+2", NULL, BAD_ENV, ""},
    {PLAIN " ENVID=a+2b", NULL, BAD_ENV, ""},
    {PLAIN " ENVID=a+G0", NULL, BAD_ENV, ""},
    {PLAIN " ENVID=a+0D+0AX:+20y", NULL, BAD_ENV, ""},
    {PLAIN " ENVID=a+00", NULL, BAD_ENV, ""},
    {PLAIN " ENVID=a+7F", NULL, BAD_ENV, ""},
    {PLAIN " ENVID=a+C3+A4", NULL, BAD_ENV, ""},
    {PLAIN " ENVID=a ENVID=a", NULL, TWICE, ""},
    {PLAIN " BODY=7BIT BODY=7BIT", NULL, TWICE, ""},
    {PLAIN " NOTIFY=NEVER", NULL, OPTION, ""},
    {PLAIN " AUTH=<>", NULL, OPTION, ""},
    {PLAIN "  ENVID=x  BODY=8BITMIME RET=FULL SMTPUTF8 SIZE=2000", NULL, OK,
     "M<a@b> BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x "},
    {PLAIN " SIZE=2001 RET=FULL", NULL, "552 5.3.4 Message size exceeds fixed limit\r\n", ""},
    {"<> RET=HDRS", NULL, OK, "M<> RET=HDRS "},
    {PLAIN " SMTPUTF8=1", NULL, "501 5.5.4 SMTPUTF8 takes no value\r\n", ""},
    {PLAIN " SMTPUTF8 BODY=8BITMIME smtputf8", NULL, OK, "M<a@b> BODY=8BITMIME SMTPUTF8 "},
    {PLAIN " SMTPUTF8 SMTPUTF8=1", NULL, "501 5.5.4 SMTPUTF8 takes no value\r\n", ""},
    {"<" UTF8 "@" UTF8 ".x> SMTPUTF8", NULL, OK, "M<" UTF8 "@" UTF8 ".x> SMTPUTF8 "},
    {"<" UTF8 "@b>", NULL, NOT_UTF8, ""},
    {"<@" UTF8 ":a@b>", NULL, NOT_UTF8, ""},
    {"<\xc3@b> SMTPUTF8", NULL, "501 5.1.7 Bad sender address syntax\r\n", ""},
    {"<\xc2\x85@b> SMTPUTF8", NULL, "501 5.1.7 Bad sender address syntax\r\n", ""},
    {PLAIN " ENVID=" UTF8 " SMTPUTF8", NULL, BAD_ENV, ""},
    {PLAIN " " UTF8 "=x SMTPUTF8", NULL, BAD_PAR, ""},
    {PLAIN, PLAIN " NOTIFY=NEVER", OK, "M<a@b> R<a@b> NOTIFY=NEVER "},
    {PLAIN, PLAIN " notify=delay,Success,FAILURE", OK,
     "M<a@b> R<a@b> NOTIFY=SUCCESS,FAILURE,DELAY "},
    {PLAIN, PLAIN " NOTIFY=FAILURE,FAILURE", OK, "M<a@b> R<a@b> NOTIFY=FAILURE "},
    {PLAIN, PLAIN " NOTIFY=NEVER,NEVER", OK, "M<a@b> R<a@b> NOTIFY=NEVER "},
    {PLAIN, PLAIN " NOTIFY=NEVER,SUCCESS", BAD_NOT, "M<a@b> "},
    {PLAIN, PLAIN " NOTIFY=DELAY,NEVER", BAD_NOT, "M<a@b> "},
    {PLAIN, PLAIN " NOTIFY=SUCCESS,", BAD_NOT, "M<a@b> "},
    {PLAIN, PLAIN " NOTIFY=,SUCCESS", BAD_NOT, "M<a@b> "},
    {PLAIN, PLAIN " NOTIFY=SUCCESS,,DELAY", BAD_NOT, "M<a@b> "},
    {PLAIN, PLAIN " NOTIFY=SUCCES", BAD_NOT, "M<a@b> "},
    {PLAIN, PLAIN " NOTIFY", BAD_NOT, "M<a@b> "},
    {PLAIN, PLAIN " NOTIFY=NEVER NOTIFY=NEVER", TWICE, "M<a@b> "},
    {PLAIN, PLAIN " ORCPT=rfc822;x+2By@z", OK, "M<a@b> R<a@b> ORCPT=rfc822;x+2By@z "},
    {PLAIN, PLAIN " ORCPT=rfc822;" X490 "123 NOTIFY=DELAY", OK,
     "M<a@b> R<a@b> NOTIFY=DELAY ORCPT=rfc822;" X490 "123 "},
    {PLAIN, PLAIN " ORCPT=rfc822;" X490 "1234", BAD_ORC, "M<a@b> "},
    {PLAIN, PLAIN " ORCPT=rfc822;", BAD_ORC, "M<a@b> "},
    {PLAIN, PLAIN " ORCPT=;x", BAD_ORC, "M<a@b> "},
    {PLAIN, PLAIN " ORCPT=rfc822", BAD_ORC, "M<a@b> "},
    {PLAIN, PLAIN " ORCPT", BAD_ORC, "M<a@b> "},
    {PLAIN, PLAIN " ORCPT=rfc.822;x", BAD_ORC, "M<a@b> "},
    {PLAIN, PLAIN " ORCPT=rfc822;x+y", BAD_ORC, "M<a@b> "},
    {PLAIN, PLAIN " ORCPT=rfc822;x+0D+0Ay", BAD_ORC, "M<a@b> "},
    {PLAIN, PLAIN " ORCPT=rfc822;x ORCPT=rfc822;x", TWICE, "M<a@b> "},
    {PLAIN, PLAIN " RET=FULL", OPTION, "M<a@b> "},
    {PLAIN, PLAIN " SMTPUTF8", OPTION, "M<a@b> "},
    {PLAIN, PLAIN " ORCPT=utf-8;x\\x{E4}", OK, "M<a@b> R<a@b> ORCPT=utf-8;x\\x{E4} "},
    {PLAIN, PLAIN " ORCPT=utf-8;" UTF8 "@x", NOT_UTF8, "M<a@b> "},
    {PLAIN, "<" UTF8 "@b>", NOT_UTF8, "M<a@b> "},
    {PLAIN " SMTPUTF8", "<" UTF8 "@b> ORCPT=UTF-8;" UTF8 "@b", OK,
     "M<a@b> SMTPUTF8 R<" UTF8 "@b> ORCPT=UTF-8;" UTF8 "@b "},
    {PLAIN " SMTPUTF8", PLAIN " ORCPT=rfc822;" UTF8 "@b", BAD_ORC, "M<a@b> SMTPUTF8 "},
    {PLAIN " SMTPUTF8", PLAIN " ORCPT=utf-8;\xc3@b", BAD_ORC, "M<a@b> SMTPUTF8 "},
    {PLAIN " SMTPUTF8", PLAIN " NOTIFY=" UTF8, BAD_NOT, "M<a@b> SMTPUTF8 "},
    {PLAIN " SMTPUTF8", "<a@\xff>", "501 5.1.3 Bad recipient address syntax\r\n",
     "M<a@b> SMTPUTF8 "},
};

static void run_param_row(const struct param_row *row, size_t step)
{
    char in[2048], want[8192] = GREETING EXT_OK;
    struct harness *h = harness_open(&harness_extended, 16, 4096);
    int len = snprintf(in, sizeof(in), EXT_HI "MAIL FROM:%s\r\n", row->mail);

    if (row->rcpt != NULL) {
        snprintf(in + len, sizeof(in) - (size_t)len, "RCPT TO:%s\r\n", row->rcpt);
        strcat(want, OK);
    }
    strcat(want, row->reply);
    for (size_t i = 0; i < strlen(in); i += step)
        harness_feed(h, in + i, step < strlen(in) - i ? step : strlen(in) - i);
    expect_text(&h->out, "", want);
    expect_text(&h->trace, "", row->trace);
    if (h->trace.len > 0) /* no view outlives the command */
        assert_int_equal(h->server.mail.envid.len, 0);
    harness_close(h);
}

static void parameters(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(param_rows); i++) {
        run_param_row(&param_rows[i], 4096);
        run_param_row(&param_rows[i], 1);
    }
}

/* Offered to EHLO only; and what one transaction said is not said in the next. */
static void parameters_by_session(void **state)
{
    (void)state;
    static const char helo[] = "HELO c.test\r\nMAIL FROM:<a@b> RET=FULL\r\n"
                               "MAIL FROM:<a@b> SMTPUTF8\r\nMAIL FROM:<" UTF8 "@b>\r\n"
                               "MAIL FROM:<a@b>\r\nRCPT TO:<a@b> NOTIFY=NEVER\r\n";
    static const char again[] = EXT_HI "MAIL FROM:<a@b> RET=FULL SMTPUTF8\r\nRSET\r\n"
                                       "MAIL FROM:<a@b>\r\n"
                                       "RCPT TO:<x@b> NOTIFY=DELAY ORCPT=x;y ORCPT=x;y\r\n"
                                       "RSET\r\nMAIL FROM:<a@b> ENVID=x RET=x\r\n"
                                       "MAIL FROM:<a@b>\r\nRCPT TO:<a@b> NOTIFY=NEVER\r\n"
                                       "RCPT TO:<c@d>\r\nRCPT TO:<" UTF8 "@b>\r\n";
    struct harness *h = harness_open(&harness_extended, 16, 4096);
    harness_feed(h, helo, strlen(helo));
    expect_text(&h->out, GREETING,
                "250 mx.test\r\n" OPTION OPTION
                "553 5.6.7 Address has 8-bit characters; SMTPUTF8 is not offered\r\n" OK OPTION);
    harness_close(h);
    h = harness_open(&harness_extended, 16, 4096);
    harness_feed(h, again, strlen(again));
    expect_text(&h->out, GREETING, EXT_OK OK OK0 OK TWICE OK0 BAD_RET OK OK OK NOT_UTF8);
    expect_text(&h->trace, "",
                "M<a@b> SMTPUTF8 RET=FULL reset M<a@b> reset M<a@b> R<a@b> NOTIFY=NEVER R<c@d> ");
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_REFUSED_CHARACTER), 1);
    harness_close(h);
}

/* ---- the rest ---- */

#define TLS_OFFER                                                                                  \
    "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 2000\r\n250-STARTTLS\r\n250-8BITMIME\r\n"           \
    "250 ENHANCEDSTATUSCODES\r\n"
#define TLS_GO    "220 2.0.0 Go\r\n"
#define TLS_FIRST "530 5.7.0 Must issue a STARTTLS command first\r\n"
#define NO_HELO   "503 5.5.1 Error: send HELO/EHLO first\r\n"

static const struct {
    enum smtp_tls tls;
    const char *in, *out, *trace;
    bool closed;
} tls_rows[] = {
    {SMTP_TLS_NONE, HI "STARTTLS\r\n", HI_OK "502 5.5.1 Error: command not implemented\r\n", "",
     false},
    /* Offered in clear alone, and what was said before is forgotten. */
    {SMTP_TLS_OFFERED, HI "STARTTLS\r\nMAIL FROM:<a@b>\r\n" HI "MAIL FROM:<a@b>\r\n",
     TLS_OFFER TLS_GO NO_HELO HI_OK OK, "tls M<a@b> ", false},
    {SMTP_TLS_OFFERED, HI "starttls \r\nSTARTTLS\r\n",
     TLS_OFFER TLS_GO "503 5.5.1 Error: TLS already active\r\n", "tls ", false},
    {SMTP_TLS_OFFERED, "STARTTLS\r\nNOOP\r\n", TLS_GO OK0, "tls ", false},
    {SMTP_TLS_OFFERED, HI "STARTTLS now\r\n", TLS_OFFER "501 5.5.4 Syntax: STARTTLS\r\n", "",
     false},
    {SMTP_TLS_OFFERED, HI "MAIL FROM:<a@b>\r\nSTARTTLS\r\nRCPT TO:<c@d>\r\nSTARTTLS\r\n",
     TLS_OFFER OK "503 5.5.1 Error: MAIL transaction in progress\r\n" OK
                  "503 5.5.1 Error: MAIL transaction in progress\r\n",
     "M<a@b> R<c@d> ", false},
    {SMTP_TLS_OFFERED, HI "MAIL FROM:<a@b>\r\nRSET\r\nSTARTTLS\r\n", TLS_OFFER OK OK0 TLS_GO,
     "M<a@b> reset tls ", false},
    /* Refused for now, and for good. */
    {SMTP_TLS_OFFERED, "EHLO later\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n",
     TLS_OFFER "454 4.7.0 Later\r\n" OK, "tls M<a@b> ", false},
    {SMTP_TLS_OFFERED, "EHLO no\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n", TLS_OFFER "554 5.5.0 No\r\n",
     "tls ", true},
    {SMTP_TLS_REQUIRED, HI "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nNOOP\r\n",
     TLS_OFFER TLS_FIRST TLS_FIRST TLS_FIRST OK0, "", false},
    {SMTP_TLS_REQUIRED, "HELO c\r\nVRFY a\r\nAUTH PLAIN\r\nQUIT\r\n",
     "250 mx.test\r\n" TLS_FIRST TLS_FIRST "221 2.0.0 Bye\r\n", "", true},
    {SMTP_TLS_REQUIRED, HI "STARTTLS\r\n" HI "MAIL FROM:<a@b>\r\n", TLS_OFFER TLS_GO HI_OK OK,
     "tls M<a@b> ", false},
    {SMTP_TLS_ON, HI "STARTTLS\r\n", HI_OK "503 5.5.1 Error: TLS already active\r\n", "", false},
};

static void tls_levels(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(tls_rows); i++)
        for (size_t step = 1; step <= 100; step += 99) {
            struct harness *h = harness_open(&harness_settings, 4096, 4096);
            h->server.tls = (uint8_t)tls_rows[i].tls;
            for (size_t at = 0, len = strlen(tls_rows[i].in); at < len; at += step)
                harness_feed(h, tls_rows[i].in + at, len - at < step ? len - at : step);
            expect_text(&h->out, GREETING, tls_rows[i].out);
            expect_text(&h->trace, "", tls_rows[i].trace);
            assert_int_equal(h->closed, tls_rows[i].closed);
            harness_close(h);
        }
}

static void received_field(void **state)
{
    (void)state;
    uint8_t room[SMTP_RECEIVED_MAX];
    struct base_buf out = {room, 0, sizeof(room)};
    struct smtp_received r = {
        .helo = base_span_str("c.test"),
        .client_address = "192.0.2.1",
        .hostname = "mx.test",
        .id = "ID1",
        .recipient = base_span_str("c@d"),
        .wall_ns = UINT64_C(1582979696000000000),
        .extended = true,
    };
    assert_int_equal(smtp_received_write(&out, &r), 0);
    expect_text(&out, "",
                "Received: from c.test ([192.0.2.1])\r\n\tby mx.test with ESMTP id ID1\r\n"
                "\tfor <c@d>;\r\n\tSat, 29 Feb 2020 12:34:56 +0000\r\n");
    out.len = 0;
    r.client_address = "2001:db8::1";
    r.recipient.len = 0;
    r.extended = false;
    assert_int_equal(smtp_received_write(&out, &r), 0);
    expect_text(&out, "",
                "Received: from c.test ([IPv6:2001:db8::1])\r\n\tby mx.test with SMTP id ID1;\r\n"
                "\tSat, 29 Feb 2020 12:34:56 +0000\r\n");
    out.len = 0;
    r.extended = r.smtputf8 = true;
    assert_int_equal(smtp_received_write(&out, &r), 0);
    assert_non_null(memmem(out.p, out.len, " with UTF8SMTP id ID1;", 22));
    r.tls_version = "TLSv1.3";
    r.tls_cipher = "TLS_AES_128_GCM_SHA256";
    r.tls_bits = 128;
    out.len = 0;
    assert_int_equal(smtp_received_write(&out, &r), 0);
    assert_non_null(memmem(out.p, out.len, " with UTF8SMTPS id ID1;", 23));
    r.smtputf8 = false;
    out.len = 0;
    assert_int_equal(smtp_received_write(&out, &r), 0);
    expect_text(&out, "",
                "Received: from c.test ([IPv6:2001:db8::1])\r\n"
                "\t(using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128 bits))\r\n"
                "\tby mx.test with ESMTPS id ID1;\r\n\tSat, 29 Feb 2020 12:34:56 +0000\r\n");
    r.tls_suite = "TLS_AES_128_GCM_SHA256";
    r.tls_group = "x25519";
    r.login = base_span_str("a\xc3\xa4(x)\\\r\n b");
    r.recipient = base_span_str("c@d");
    out.len = 0;
    assert_int_equal(smtp_received_write(&out, &r), 0);
    expect_text(
        &out, "",
        "Received: from c.test ([IPv6:2001:db8::1])\r\n"
        "\t(using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128 bits) key-exchange x25519)\r\n"
        "\t(Authenticated sender: a??\\(x\\)\\\\?? b)\r\n"
        "\tby mx.test with ESMTPS id ID1\r\n\tfor <c@d>\r\n\ttls TLS_AES_128_GCM_SHA256;\r\n"
        "\tSat, 29 Feb 2020 12:34:56 +0000\r\n");
    r.smtputf8 = true;
    r.login = base_span_str("\xc3\xa4");
    out.len = 0;
    assert_int_equal(smtp_received_write(&out, &r), 0);
    assert_non_null(memmem(out.p, out.len, "sender: \xc3\xa4)", 11));
    r.login = base_span_str("\xc3(");
    out.len = 0;
    assert_int_equal(smtp_received_write(&out, &r), 0);
    assert_non_null(memmem(out.p, out.len, "sender: ?\\()", 12));
    out.len = 0;
    out.cap = 50;
    assert_true(smtp_received_write(&out, &r) < 0);
    assert_int_equal(out.len, 0);
}

/* The longest of everything fits in SMTP_RECEIVED_MAX. */
static void received_field_longest(void **state)
{
    (void)state;
    uint8_t room[SMTP_RECEIVED_MAX];
    char name[SMTP_DOMAIN_MAX + 1], mailbox[SMTP_ADDRESS_MAX], login[400];
    struct base_buf out = {room, 0, sizeof(room)};

    memset(name, 'a', SMTP_DOMAIN_MAX);
    name[SMTP_DOMAIN_MAX] = 0;
    memset(mailbox, 'b', sizeof(mailbox));
    memset(login, '(', sizeof(login));
    struct smtp_received r = {
        .helo = base_span_of(name, SMTP_DOMAIN_MAX),
        .client_address = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        .hostname = name,
        .id = "0123456789abcdef0123456789abcdef",
        .recipient = base_span_of(mailbox, sizeof(mailbox)),
        .wall_ns = UINT64_MAX,
        .extended = true,
        .tls_version = "TLSv1.3",
        .tls_cipher = "ECDHE-ECDSA-CHACHA20-POLY1305-LONGEST",
        .tls_suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        .tls_group = "X25519MLKEM768",
        .tls_bits = UINT32_MAX,
        .login = base_span_of(login, sizeof(login)),
    };
    assert_int_equal(smtp_received_write(&out, &r), 0);
}

static void timeout_and_shutdown(void **state)
{
    (void)state;
    struct smtp_reply down = {421, "4.3.2", "mx.test Service shuts down"};
    size_t used;

    for (int body = 0; body < 2; body++) {
        struct harness *h = harness_open(&harness_settings, 16, 512);
        harness_feed(h, HI, strlen(HI));
        if (body != 0)
            harness_feed(h, ENVELOPE "half\r\n", strlen(ENVELOPE "half\r\n"));
        h->out.len = 0;
        smtp_server_timeout(&h->server, &h->out);
        smtp_server_shutdown(&h->server, &down, &h->out); /* too late: nothing more is said */
        expect_text(&h->out, "", "421 4.4.2 mx.test Error: timeout exceeded\r\n");
        assert_int_equal(smtp_server_push(&h->server, base_span_str("NOOP\r\n"), &used, &h->out),
                         SMTP_SERVER_CLOSE);
        assert_int_equal(used, 0);
        assert_string_equal(h->server.close_reason, "timeout");
        assert_int_equal(h->bodies.len, 0);
        harness_close(h);
    }
    struct harness *h = harness_open(&harness_settings, 16, 512);
    h->out.len = 0;
    smtp_server_shutdown(&h->server, &down, &h->out);
    expect_text(&h->out, "", "421 4.3.2 mx.test Service shuts down\r\n");
    harness_close(h);
}

/* A peer that pipelines and never reads stops being parsed: FLUSH, and nothing is lost. */
static void flush_keeps_order(void **state)
{
    (void)state;
    struct smtp_server_settings settings = harness_settings;
    settings.junk_max = 0;
    settings.error_max = 0;
    struct harness *h = harness_open(&settings, 16, 8192);
    for (int i = 0; i < 1000; i++)
        harness_put(&h->in, "NOOP\r\n", 6);
    h->out.len = 0;
    harness_feed(h, "", 0);
    assert_int_equal(h->in.len, 0);
    assert_int_equal(h->out.len, 1000 * strlen(OK0));
    uint8_t room[SMTP_OUT_MIN - 1];
    struct base_buf small = {room, 0, sizeof(room)};
    size_t used;
    assert_int_equal(smtp_server_push(&h->server, base_span_str("NOOP\r\n"), &used, &small),
                     SMTP_SERVER_FLUSH);
    assert_int_equal(used, 0);
    harness_close(h);
}

static void counters(void **state)
{
    (void)state;
    struct harness *h = harness_open(&harness_settings, 16, 1024);
    static const char in[] = HI "x\r\nSTARTTLS\r\n" ENVELOPE "hi\n\r\n.\r\n" ENVELOPE "hi\r\n.\r\n";
    harness_feed(h, in, strlen(in));
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_SESSIONS), 1);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_CMD_MAIL), 2);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_CMD_STARTTLS), 1);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_REFUSED_UNKNOWN), 1);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_REFUSED_NOT_OFFERED), 1);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_REFUSED_BARE_NEWLINE), 1);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_MESSAGES), 1);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_RECIPIENTS), 2);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_BODY_BYTES), 9);
    h->server.tls = SMTP_TLS_REQUIRED;
    harness_feed(h, "DATA\r\nEHLO no\r\nSTARTTLS\r\n", 25);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_REFUSED_CLEAR), 1);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_REFUSED_STARTTLS), 1);
    harness_close(h);
}

/* Over a thousand recipients too many, each becomes an error. */
static void recipient_overshoot(void **state)
{
    (void)state;
    struct harness *h = harness_open(&harness_settings, 16, 4096);
    harness_feed(h, HI "MAIL FROM:<a@b>\r\n", strlen(HI "MAIL FROM:<a@b>\r\n"));
    for (int i = 0; i < 1003; i++)
        harness_feed(h, "RCPT TO:<c@d>\r\n", 15);
    assert_false(h->closed);
    for (int i = 0; i < 6; i++)
        harness_feed(h, "RCPT TO:<c@d>\r\n", 15);
    assert_true(h->closed);
    assert_memory_equal(h->out.p + h->out.len - strlen(TOO_MANY), TOO_MANY, strlen(TOO_MANY));
    harness_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transcripts_whole_and_cut), cmocka_unit_test(received_field),
        cmocka_unit_test(received_field_longest),    cmocka_unit_test(timeout_and_shutdown),
        cmocka_unit_test(flush_keeps_order),         cmocka_unit_test(counters),
        cmocka_unit_test(recipient_overshoot),       cmocka_unit_test(parameters),
        cmocka_unit_test(parameters_by_session),     cmocka_unit_test(tls_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

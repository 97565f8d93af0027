/* AUTH in the session: transcripts, the same however the input is cut. */
#include "unit.h"

#include "smtp_harness.h"

#define HI       "EHLO c.test\r\n"
#define HEAD     "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 2000\r\n"
#define TAIL     "250 ENHANCEDSTATUSCODES\r\n"
#define PLAIN_OK HEAD "250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n" TAIL
#define NONE_OK  HEAD "250-8BITMIME\r\n" TAIL
#define TLS_OK   HEAD "250-STARTTLS\r\n250-8BITMIME\r\n" TAIL
#define YES      "235 2.7.0 Yes\r\n"
#define NO       "535 5.7.8 No\r\n"
#define BAD64    "501 5.5.2 Error: bad base64 in authentication\r\n"
#define SYNTAX   "501 5.5.4 Syntax: AUTH mechanism\r\n"
#define OK       "250 2.1.0 Ok\r\n"
#define X10      "0123456789"
#define X100     X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X1000    X100 X100 X100 X100 X100 X100 X100 X100 X100 X100

enum { BOTH = 1 << SMTP_SASL_PLAIN | 1 << SMTP_SASL_LOGIN };

static const struct row {
    const char *in, *out, *trace;
    uint8_t mechanisms;
    uint8_t tls;
    bool clear, closed;
} rows[] = {
    {HI "AUTH PLAIN eWVz\r\nAUTH PLAIN eWVz\r\nRSET\r\nAUTH PLAIN\r\nMAIL FROM:<a@b> AUTH=<>\r\n",
     PLAIN_OK YES "503 5.5.1 Error: already authenticated\r\n250 2.0.0 Ok\r\n"
                  "503 5.5.1 Error: already authenticated\r\n" OK,
     "PLAIN:eWVz M<a@b> ", BOTH, SMTP_TLS_ON, false, false},
    {HI "auth login\r\nbW9yZQ==\r\neWVz\r\n", PLAIN_OK "334 \r\n334 YWdhaW4=\r\n" YES,
     "LOGIN more:bW9yZQ== more:eWVz ", BOTH, SMTP_TLS_ON, false, false},
    {HI "AUTH PLAIN =\r\nAUTH PLAIN\r\n\r\nNOOP\r\n", PLAIN_OK NO "334 \r\n" NO "250 2.0.0 Ok\r\n",
     "PLAIN: PLAIN more: ", BOTH, SMTP_TLS_ON, false, false},
    {HI "AUTH PLAIN\r\n*\r\nAUTH PLAIN\r\neWV\r\nAUTH PLAIN eWVz=\r\nAUTH PLAIN * \r\n",
     PLAIN_OK "334 \r\n501 5.7.0 Authentication aborted\r\n334 \r\n" BAD64 BAD64 BAD64,
     "PLAIN auth-end PLAIN auth-end ", BOTH, SMTP_TLS_ON, false, false},
    {HI "AUTH\r\nAUTH PLAIN eWVz eWVz\r\nAUTH CRAM-MD5\r\nAUTH SCRAM-SHA-256\r\n",
     PLAIN_OK SYNTAX SYNTAX "504 5.5.4 Error: authentication mechanism not offered\r\n"
                            "504 5.5.4 Error: authentication mechanism not offered\r\n",
     "", BOTH, SMTP_TLS_ON, false, false},
    {HI "AUTH LOGIN\r\n" X1000 X1000 X1000 "\r\nAUTH PLAIN eWVz\r\n",
     PLAIN_OK "334 \r\n500 5.5.6 Error: authentication exchange line is too long\r\n" YES,
     "LOGIN auth-end PLAIN:eWVz ", BOTH, SMTP_TLS_ON, false, false},
    {HI "AUTH PLAIN bGF0ZXI=\r\nAUTH PLAIN c2h1dA==\r\nNOOP\r\n",
     PLAIN_OK "454 4.7.0 Later\r\n421 4.7.0 Shut\r\n", "PLAIN:bGF0ZXI= PLAIN:c2h1dA== ", BOTH,
     SMTP_TLS_ON, false, true},
    {HI "MAIL FROM:<a@b>\r\nAUTH PLAIN eWVz\r\nRCPT TO:<c@d>\r\n",
     PLAIN_OK OK "503 5.5.1 Error: MAIL transaction in progress\r\n" OK, "M<a@b> R<c@d> ", BOTH,
     SMTP_TLS_ON, false, false},
    {"AUTH PLAIN eWVz\r\nHELO c\r\nAUTH PLAIN eWVz\r\nMAIL FROM:<a@b> AUTH=<>\r\n",
     "503 5.5.1 Error: send HELO/EHLO first\r\n250 mx.test\r\n503 5.5.1 Error: send EHLO first\r\n"
     "555 5.5.4 Unsupported option\r\n",
     "", BOTH, SMTP_TLS_ON, false, false},
    /* Where it is not to be had. */
    {HI "AUTH PLAIN eWVz\r\n", NONE_OK "503 5.5.1 Error: authentication not enabled\r\n", "", 0,
     SMTP_TLS_ON, true, false},
    {HI "AUTH PLAIN eWVz\r\n",
     NONE_OK "504 5.5.4 Encryption required for requested authentication mechanism\r\n", "", BOTH,
     SMTP_TLS_NONE, false, false},
    {HI "AUTH PLAIN eWVz\r\n",
     TLS_OK "504 5.5.4 Encryption required for requested authentication mechanism\r\n", "", BOTH,
     SMTP_TLS_OFFERED, false, false},
    {HI "AUTH PLAIN eWVz\r\n", TLS_OK "530 5.7.0 Must issue a STARTTLS command first\r\n", "", BOTH,
     SMTP_TLS_REQUIRED, false, false},
    {HI "AUTH PLAIN eWVz\r\n", PLAIN_OK YES, "PLAIN:eWVz ", BOTH, SMTP_TLS_NONE, true, false},
    /* STARTTLS forgets. */
    {HI "AUTH PLAIN eWVz\r\nSTARTTLS\r\nAUTH PLAIN eWVz\r\n" HI "AUTH PLAIN eWVz\r\n",
     HEAD "250-STARTTLS\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n" TAIL YES
          "220 2.0.0 Go\r\n503 5.5.1 Error: send HELO/EHLO first\r\n" PLAIN_OK YES,
     "PLAIN:eWVz tls PLAIN:eWVz ", BOTH, SMTP_TLS_OFFERED, true, false},
    {HI "MAIL FROM:<a@b> AUTH=a+40b\r\nRSET\r\nMAIL FROM:<a@b> AUTH=\r\n"
        "MAIL FROM:<a@b> AUTH=a+4\r\nMAIL FROM:<a@b> AUTH\r\n",
     PLAIN_OK OK "250 2.0.0 Ok\r\n501 5.5.4 Malformed parameter\r\n501 5.5.4 Bad AUTH syntax\r\n"
                 "501 5.5.4 Bad AUTH syntax\r\n",
     "M<a@b> reset ", BOTH, SMTP_TLS_ON, false, false},
};

static void expect_text(size_t i, const struct base_buf *got, const char *prefix, const char *want)
{
    size_t skip = strlen(prefix);

    if (got->len != skip + strlen(want) || memcmp(got->p + skip, want, strlen(want)) != 0)
        fail_msg("row %zu: got\n%.*s\nwant\n%s", i, (int)(got->len - skip), (char *)got->p + skip,
                 want);
}

static void transcripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        size_t len = strlen(rows[i].in);
        static const size_t cuts[] = {1, 2, 3, 5, 8, 13, 40, 4096};
        for (size_t k = 0; k < BASE_ARRAY_CNT(cuts); k++) {
            size_t cut = cuts[k];
            struct harness *h = harness_open(&harness_settings, 64, 4096);
            h->server.auth_mechanisms = rows[i].mechanisms;
            h->server.auth_clear = rows[i].clear;
            h->server.tls = rows[i].tls;
            for (size_t at = 0; at < len; at += cut)
                harness_feed(h, rows[i].in + at, cut < len - at ? cut : len - at);
            expect_text(i, &h->out, "220 mx.test ESMTP\r\n", rows[i].out);
            expect_text(i, &h->trace, "", rows[i].trace);
            assert_int_equal(h->closed, rows[i].closed);
            harness_close(h);
        }
    }
}

/* Failures are errors like any other: at the limit the session ends. */
static void errors_count(void **state)
{
    (void)state;
    struct harness *h = harness_open(&harness_settings, 64, 4096);

    h->server.auth_mechanisms = BOTH;
    h->server.tls = SMTP_TLS_ON;
    harness_feed(h, HI, strlen(HI));
    for (uint32_t i = 0; i < harness_settings.error_max; i++)
        harness_feed(h, "AUTH PLAIN bm8=\r\n", 17);
    assert_true(h->closed);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_REFUSED_AUTH), harness_settings.error_max);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_AUTHENTICATED), 0);
    harness_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transcripts),
        cmocka_unit_test(errors_count),
    };
    return cmocka_run_group_tests_name("smtp_auth", tests, NULL, NULL);
}

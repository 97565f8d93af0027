/* XCLIENT: its argument as a table, and what it does to a session, however the input is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "smtp_harness.h"
#include "smtp_xclient.h"

#define BIT(a) (1U << SMTP_XCLIENT_##a)

#define BAD(text)                                                                                  \
    {                                                                                              \
        text, -1, 0, 0, NULL, "", "", "", 0                                                        \
    }

static const struct {
    const char *argument;
    int rc;
    uint16_t given, known;
    const char *address; /* as 32 hexadecimal digits */
    const char *name, *login, *helo;
    uint16_t port;
} arguments[] = {
    {"ADDR=192.0.2.7", 0, BIT(ADDR), BIT(ADDR), "00000000000000000000ffffc0000207", "", "", "", 0},
    {"addr=192.0.2.7 port=2525", 0, BIT(ADDR) | BIT(PORT), BIT(ADDR) | BIT(PORT),
     "00000000000000000000ffffc0000207", "", "", "", 2525},
    {"ADDR=IPV6:2001:db8::1", 0, BIT(ADDR), BIT(ADDR), "20010db8000000000000000000000001", "", "",
     "", 0},
    {"ADDR=ipv6:2001:db8::1", 0, BIT(ADDR), BIT(ADDR), "20010db8000000000000000000000001", "", "",
     "", 0},
    {"ADDR=2001:db8::1", 0, BIT(ADDR), BIT(ADDR), "20010db8000000000000000000000001", "", "", "",
     0},
    {"ADDR=192.0.2.+37", 0, BIT(ADDR), BIT(ADDR), "00000000000000000000ffffc0000207", "", "", "",
     0},
    {"NAME=[UNAVAILABLE] ADDR=[unavailable] PORT=[TEMPUNAVAIL]", 0,
     BIT(NAME) | BIT(ADDR) | BIT(PORT), 0, NULL, "", "", "", 0},
    {"NAME=mail.example.org LOGIN=bob+40example.org HELO=[192.0.2.7] PROTO=ESMTP", 0,
     BIT(NAME) | BIT(LOGIN) | BIT(HELO) | BIT(PROTO),
     BIT(NAME) | BIT(LOGIN) | BIT(HELO) | BIT(PROTO), NULL, "mail.example.org", "bob@example.org",
     "[192.0.2.7]", 0},
    {"HELO=a_b+20c", 0, BIT(HELO), 0, NULL, "", "", "a_b c", 0}, /* a client's nonsense */
    {" PORT=1  DESTPORT=65535", 0, BIT(PORT) | BIT(DESTPORT), BIT(PORT) | BIT(DESTPORT), NULL, "",
     "", "", 1},
    {"LOGIN=b+C3+A4r", 0, BIT(LOGIN), BIT(LOGIN), NULL, "", "b\xc3\xa4r", "", 0},
    BAD(""),
    BAD(" "),
    BAD("ADDR"),
    BAD("ADDR="),
    BAD("=192.0.2.7"),
    BAD("ADDR=192.0.2"),
    BAD("ADDR=192.0.2.256"),
    BAD("ADDR=IPV6:192.0.2.7"),
    BAD("ADDR=IPV6:::ffff:192.0.2.7"), /* one client has one spelling */
    BAD("ADDR=IPV6:"),
    BAD("ADDR=192.0.2.7 ADDR=192.0.2.8"),
    BAD("ADDR=192.0.2.7 COLOR=red"),
    BAD("PORT=0"),
    BAD("PORT=65536"),
    BAD("PORT=-1"),
    BAD("PORT=000025"),
    BAD("PORT=99999999999999999999"),
    BAD("PROTO=LMTP"),
    BAD("LOGIN=b+"),
    BAD("LOGIN=b+4"),
    BAD("LOGIN=b+4g"),
    BAD("LOGIN=b+00c"),
    BAD("LOGIN=b+0Ac"),
    BAD("LOGIN=b+FF"), /* no UTF-8 */
    BAD("NAME=a+20b"),
    BAD("REVERSE_NAME=a.example"),
};

static void hex_of(char out[33], const uint8_t address[16])
{
    for (int i = 0; i < 16; i++)
        snprintf(out + (size_t)2 * i, 3, "%02x", address[i]);
}

static void tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(arguments); i++) {
        struct smtp_xclient x;
        char hex[33];
        int rc = smtp_xclient_parse(&x, base_span_str(arguments[i].argument));
        if ((rc == 0) != (arguments[i].rc == 0))
            fail_msg("%s: %d", arguments[i].argument, rc);
        if (rc != 0)
            continue;
        assert_int_equal(x.given, arguments[i].given);
        assert_int_equal(x.known, arguments[i].known);
        assert_string_equal(x.name, arguments[i].name);
        assert_string_equal(x.login, arguments[i].login);
        assert_string_equal(x.helo, arguments[i].helo);
        assert_int_equal(x.port, arguments[i].port);
        hex_of(hex, x.address);
        if (arguments[i].address != NULL)
            assert_string_equal(hex, arguments[i].address);
    }
}

/* 255 bytes of a value, and no more. */
static void long_values(void **state)
{
    (void)state;
    char text[300] = "LOGIN=";
    struct smtp_xclient x;

    memset(text + 6, 'a', 255);
    assert_int_equal(smtp_xclient_parse(&x, base_span_str(text)), 0);
    assert_int_equal(strlen(x.login), 255);
    text[6 + 255] = 'a';
    assert_int_not_equal(smtp_xclient_parse(&x, base_span_str(text)), 0);
}

#define OFFER                                                                                      \
    "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 2000\r\n250-8BITMIME\r\n"                           \
    "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n250 ENHANCEDSTATUSCODES\r\n"
#define PLAIN                                                                                      \
    "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 2000\r\n250-8BITMIME\r\n250 "                       \
    "ENHANCEDSTATUSCODES\r\n"
#define HI    "EHLO proxy.example\r\n"
#define AGAIN "220 mx.test ESMTP\r\n"
#define OK    "250 2.1.0 Ok\r\n"

static const struct {
    bool allowed;
    const char *in, *out, *trace;
} sessions[] = {
    {false, HI "XCLIENT ADDR=192.0.2.7\r\nMAIL FROM:<a@b>\r\n",
     PLAIN "502 5.5.1 Error: command not implemented\r\n" OK, "M<a@b> "},
    {true, HI "XCLIENT ADDR=192.0.2.7\r\nMAIL FROM:<a@b>\r\n" HI "MAIL FROM:<a@b>\r\n",
     OFFER AGAIN "503 5.5.1 Error: send HELO/EHLO first\r\n" OFFER OK, "xclient M<a@b> "},
    /* Before EHLO as well, and again. */
    {true, "XCLIENT ADDR=192.0.2.7\r\nXCLIENT ADDR=192.0.2.8\r\n", AGAIN AGAIN, "xclient xclient "},
    /* The client's greeting may come with it. */
    {true, HI "XCLIENT ADDR=192.0.2.7 HELO=c.example PROTO=SMTP\r\nMAIL FROM:<a@b>\r\n",
     OFFER AGAIN OK, "xclient M<a@b> "},
    {true, HI "XCLIENT HELO=+20\r\nMAIL FROM:<a@b>\r\n",
     OFFER AGAIN "503 5.5.1 Error: send HELO/EHLO first\r\n", "xclient "},
    {true, HI "MAIL FROM:<a@b>\r\nXCLIENT ADDR=192.0.2.7\r\n",
     OFFER OK "503 5.5.1 Error: MAIL transaction in progress\r\n", "M<a@b> "},
    {true, HI "XCLIENT\r\nXCLIENT ADDR=nobody\r\n",
     OFFER "501 5.5.4 Syntax: XCLIENT attribute=value\r\n"
           "501 5.5.4 Syntax: XCLIENT attribute=value\r\n",
     ""},
};

static void transcripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(sessions); i++) {
        size_t len = strlen(sessions[i].in);
        for (size_t cut = 1; cut <= len; cut = cut < 9 ? cut + 1 : cut * 3) {
            struct harness *h = harness_open(&harness_settings, 64, 4096);
            h->server.xclient = sessions[i].allowed;
            h->out.len = 0;
            for (size_t at = 0; at < len; at += cut)
                harness_feed(h, sessions[i].in + at, cut < len - at ? cut : len - at);
            harness_puts(&h->out, "");
            h->out.p[h->out.len] = 0;
            h->trace.p[h->trace.len] = 0;
            assert_string_equal((char *)h->out.p, sessions[i].out);
            assert_string_equal((char *)h->trace.p, sessions[i].trace);
            harness_close(h);
        }
    }
}

/* LOGIN is a login: it holds until the next client. */
static void logins(void **state)
{
    (void)state;
    struct harness *h = harness_open(&harness_settings, 64, 4096);
    static const char with[] = "XCLIENT LOGIN=bob\r\n", without[] = "XCLIENT NAME=c.example\r\n";

    h->server.xclient = true;
    harness_feed(h, with, sizeof(with) - 1);
    assert_true(h->server.authenticated);
    harness_feed(h, without, sizeof(without) - 1);
    assert_false(h->server.authenticated);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_CMD_XCLIENT), 2);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_AUTHENTICATED), 0);
    harness_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(long_values),
        cmocka_unit_test(transcripts),
        cmocka_unit_test(logins),
    };
    return cmocka_run_group_tests_name("smtp_xclient", tests, NULL, NULL);
}

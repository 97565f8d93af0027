/* The client's STARTTLS: when it is asked for, what each reply means at each level, and that
 * nothing which was said in clear is believed behind it. */
#include "unit.h"

#include "smtp_client.h"

#include <stdio.h>

#define HI    "<220 mx ESMTP\r\n", ">EHLO me.test\r\n"
#define OFFER "<250-mx\r\n250-PIPELINING\r\n250-SIZE 1\r\n250 starttls\r\n"
#define GO    "<220 2.0.0 go\r\n", "!tls"
#define MAIL  ">MAIL FROM:<a@b>\r\n"
#define REST                                                                                       \
    "<250 1\r\n", ">RCPT TO:<c@d>\r\n", "<250 2\r\n", ">DATA\r\n", "<354 3\r\n", ">.\r\n",         \
        "<250 4\r\n"
#define DONE "!0=250/ done"

enum { OFF = SMTP_CLIENT_TLS_OFF, MAY = SMTP_CLIENT_TLS_OPTIONAL, MUST = SMTP_CLIENT_TLS_REQUIRED };

enum { LENIENT = 2, FAILS = 4, KEPT = 1 | FAILS };

static const struct row {
    const char *name;
    uint8_t tls;
    bool secured;
    uint8_t requiretls; /* 1, and what else the job says about it */
    /* "<" from the server, ">" what the client sends for it, "!" the events it tells, a space
     * behind each but the last. */
    const char *step[24];
} rows[] = {
    {"off: an offer is not looked at",
     OFF,
     false,
     false,
     {HI, "<250-mx\r\n250 STARTTLS\r\n", MAIL, REST, DONE}},
    {"what was offered in clear is forgotten",
     MAY,
     false,
     false,
     {HI, OFFER, ">STARTTLS\r\n", GO, ">EHLO me.test\r\n", "<250 mx\r\n", MAIL, REST, DONE}},
    {"the second offer counts",
     MUST,
     false,
     false,
     {HI, "<250-mx\r\n250 STARTTLS\r\n", ">STARTTLS\r\n", GO, ">EHLO me.test\r\n",
      "<250-mx\r\n250-STARTTLS\r\n250 SIZE 9\r\n", ">MAIL FROM:<a@b> SIZE=5\r\n", REST, DONE}},
    {"HELO behind TLS",
     MUST,
     false,
     false,
     {HI, OFFER, ">STARTTLS\r\n", GO, ">EHLO me.test\r\n", "<500 what\r\n", ">HELO me.test\r\n",
      "<250 mx\r\n", MAIL, REST, DONE}},
    {"optional, absent", MAY, false, false, {HI, "<250 mx\r\n", MAIL, REST, DONE}},
    {"optional, a server with HELO alone",
     MAY,
     false,
     false,
     {HI, "<500 what\r\n", ">HELO me.test\r\n", "<250-mx\r\n250 STARTTLS\r\n", MAIL, REST, DONE}},
    {"optional, 454",
     MAY,
     false,
     false,
     {HI, "<250-mx\r\n250 STARTTLS\r\n", ">STARTTLS\r\n", "<454 later\r\n", MAIL, REST, DONE}},
    {"optional, 502",
     MAY,
     false,
     false,
     {HI, "<250-mx\r\n250 STARTTLS\r\n", ">STARTTLS\r\n", "<502 what\r\n", MAIL, REST, DONE}},
    {"optional, 421",
     MAY,
     false,
     false,
     {HI, OFFER, ">STARTTLS\r\n", "<421 4.3.2 bye\r\n", "!0=421/4.3.2 close"}},
    {"optional, 250 is no answer",
     MAY,
     false,
     false,
     {HI, OFFER, ">STARTTLS\r\n", "<250 fine\r\n", ">QUIT\r\n", "!0=0/4.7.4 close"}},
    {"optional, 334 is no answer",
     MAY,
     false,
     false,
     {HI, OFFER, ">STARTTLS\r\n", "<334 x\r\n", ">QUIT\r\n", "!0=0/4.7.4 close"}},
    {"required, absent", MUST, false, false, {HI, "<250 mx\r\n", ">QUIT\r\n", "!0=0/4.7.4 close"}},
    {"required, a server with HELO alone",
     MUST,
     false,
     false,
     {HI, "<500 what\r\n", ">HELO me.test\r\n", "<250-mx\r\n250 STARTTLS\r\n", ">QUIT\r\n",
      "!0=0/4.7.4 close"}},
    {"required, 454",
     MUST,
     false,
     false,
     {HI, OFFER, ">STARTTLS\r\n", "<454 4.7.0 later\r\n", ">QUIT\r\n", "!0=0/4.7.4 close"}},
    {"required, 502",
     MUST,
     false,
     false,
     {HI, OFFER, ">STARTTLS\r\n", "<502 what\r\n", ">QUIT\r\n", "!0=0/4.7.4 close"}},
    {"injection, whole replies",
     MAY,
     false,
     false,
     {HI, OFFER, ">STARTTLS\r\n", "<220 go\r\n250 mx\r\n", "!0=0/4.7.5 close"}},
    {"injection, one byte",
     MUST,
     false,
     false,
     {HI, OFFER, ">STARTTLS\r\n", "<220 go\r\n2", "!0=0/4.7.5 close"}},
    {"a reply to STARTTLS before it was asked",
     MAY,
     false,
     false,
     {HI, "<250-mx\r\n250 STARTTLS\r\n220 go\r\n", "!0=0/ close"}},
    {"REQUIRETLS: TLS alone will not do",
     MUST,
     false,
     true,
     {HI, OFFER, ">STARTTLS\r\n", GO, ">EHLO me.test\r\n", "<250-mx\r\n250 REQUIRETLS\r\n",
      "!0=550/5.7.30 done"}},
    {"REQUIRETLS: offered in clear, not behind TLS",
     MUST,
     true,
     true,
     {HI, "<250-mx\r\n250-REQUIRETLS\r\n250 STARTTLS\r\n", ">STARTTLS\r\n", GO, ">EHLO me.test\r\n",
      "<250 mx\r\n", "!0=550/5.7.30 done"}},
    {"REQUIRETLS: proved and offered",
     MUST,
     true,
     true,
     {HI, OFFER, ">STARTTLS\r\n", GO, ">EHLO me.test\r\n", "<250-mx\r\n250 REQUIRETLS\r\n",
      ">MAIL FROM:<a@b> REQUIRETLS\r\n", REST, DONE}},
    {"REQUIRETLS: no offer of TLS",
     MUST,
     true,
     KEPT,
     {HI, "<250 mx\r\n", "!0=550/5.7.30 close", ">QUIT\r\n"}},
    {"REQUIRETLS: an offer that is refused for now",
     MUST,
     true,
     KEPT,
     {HI, OFFER, ">STARTTLS\r\n", "<454 4.7.0 later\r\n", "!0=550/5.7.10 close", ">QUIT\r\n"}},
    {"injection: bytes behind STARTTLS are no verdict on REQUIRETLS",
     MUST,
     true,
     KEPT,
     {HI, OFFER, ">STARTTLS\r\n", "<220 go\r\n2", "!0=0/4.7.5 close"}},
    {"REQUIRETLS done without",
     MUST,
     false,
     1 | LENIENT,
     {HI, OFFER, ">STARTTLS\r\n", GO, ">EHLO me.test\r\n", "<250 mx\r\n", MAIL, REST, DONE}},
    {"REQUIRETLS passed on to whoever offers it inside TLS",
     MUST,
     false,
     1 | LENIENT,
     {HI, OFFER, ">STARTTLS\r\n", GO, ">EHLO me.test\r\n", "<250-mx\r\n250 REQUIRETLS\r\n",
      ">MAIL FROM:<a@b> REQUIRETLS\r\n", REST, DONE}},
    {"REQUIRETLS is not passed on in clear",
     MAY,
     false,
     1 | LENIENT,
     {HI, "<250-mx\r\n250 REQUIRETLS\r\n", MAIL, REST, DONE}},
    {"REQUIRETLS: done without, but not without TLS",
     MUST,
     false,
     1 | LENIENT | FAILS,
     {HI, "<250 mx\r\n", "!0=550/5.7.30 close", ">QUIT\r\n"}},
};

struct play {
    struct smtp_client c;
    struct stats_block stats;
    const struct row *row;
    uint8_t in[1024], out[8192];
    size_t in_len, out_len;
    char told[256];
};

static struct base_span rcpt(void *user, uint32_t index)
{
    (void)user, (void)index;
    return base_span_str("c@d");
}

static void tell(struct play *p, const char *text)
{
    size_t len = strlen(p->told);

    snprintf(p->told + len, sizeof(p->told) - len, "%s%s", len > 0 ? " " : "", text);
}

static void handle(struct play *p, enum smtp_client_event event, struct base_buf *out)
{
    char text[64];

    switch (event) {
    case SMTP_CLIENT_TLS:
        tell(p, "tls");
        smtp_client_encrypted(&p->c, p->row->secured);
        break;
    case SMTP_CLIENT_BODY:
        smtp_client_body_end(&p->c, out);
        break;
    case SMTP_CLIENT_RESULT:
        snprintf(text, sizeof(text), "%u=%u/%s", p->c.result.recipient, p->c.result.code,
                 p->c.result.enhanced);
        tell(p, text);
        break;
    case SMTP_CLIENT_DONE:
        tell(p, "done");
        break;
    case SMTP_CLIENT_CLOSE:
        tell(p, "close");
        break;
    default:
        break;
    }
}

static void feed(struct play *p, const char *bytes, size_t len)
{
    enum smtp_client_event event;

    memcpy(p->in + p->in_len, bytes, len);
    p->in_len += len;
    do {
        struct base_buf out = {p->out, p->out_len, sizeof(p->out)};
        size_t used;
        event = smtp_client_push(&p->c, base_span_of(p->in, p->in_len), &used, &out);
        p->in_len -= used;
        memmove(p->in, p->in + used, p->in_len);
        handle(p, event, &out);
        p->out_len = out.len;
    } while (event != SMTP_CLIENT_MORE && event != SMTP_CLIENT_CLOSE);
}

/* whole: each piece of the server's at once; else byte by byte. */
static void play(const struct row *row, bool whole)
{
    static struct play play;
    struct play *p = &play;

    memset(p, 0, sizeof(*p));
    p->row = row;
    smtp_client_init(&p->c, "me.test", &p->stats);
    smtp_client_want_tls(&p->c, (enum smtp_client_tls)row->tls);
    smtp_client_start(
        &p->c, &(struct smtp_client_job){.sender = base_span_str("a@b"),
                                         .recipient = rcpt,
                                         .recipient_cnt = 1,
                                         .mail.size_bytes = 5,
                                         .requiretls_lenient = (row->requiretls & LENIENT) != 0,
                                         .tls_fails = (row->requiretls & FAILS) != 0,
                                         .mail.requiretls = (row->requiretls & 1) != 0});
    for (size_t i = 0; row->step[i] != NULL; i++) {
        const char *text = row->step[i] + 1;
        size_t len = strlen(text);
        bool same = true;
        if (row->step[i][0] == '!') {
            same = strcmp(p->told, text) == 0;
            p->told[0] = 0;
        } else if (row->step[i][0] == '>') {
            same = p->out_len == len && memcmp(p->out, text, len) == 0;
            if (same)
                p->out_len = 0;
        } else if (whole) {
            feed(p, text, len);
        } else {
            for (size_t k = 0; k < len; k++)
                feed(p, text + k, 1);
        }
        if (!same)
            fail_msg("%s, step %zu: said \"%.*s\", told \"%s\"", row->name, i, (int)p->out_len,
                     (const char *)p->out, p->told);
    }
    assert_int_equal(p->out_len, 0);
    assert_string_equal(p->told, "");
}

static void every_reply(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(rows); i++) {
        play(&rows[i], true);
        if (strncmp(rows[i].name, "injection", 9) != 0 && strncmp(rows[i].name, "a reply", 7) != 0)
            play(&rows[i], false);
    }
}

static void open_session(struct smtp_client *c, struct stats_block *stats)
{
    smtp_client_init(c, "me.test", stats);
    smtp_client_want_tls(c, SMTP_CLIENT_TLS_REQUIRED);
    smtp_client_start(c, &(struct smtp_client_job){.sender = base_span_str("a@b"),
                                                   .recipient = rcpt,
                                                   .recipient_cnt = 2});
}

static enum smtp_client_event say(struct smtp_client *c, const char *text)
{
    static uint8_t room[8192];
    struct base_buf out = {room, 0, sizeof(room)};
    size_t used;

    return smtp_client_push(c, base_span_str(text), &used, &out);
}

static void expect_end(struct smtp_client *c, const char *enhanced, const char *text)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(say(c, ""), SMTP_CLIENT_RESULT);
        assert_int_equal(c->result.code, 0);
        assert_string_equal(c->result.enhanced, enhanced);
        assert_int_equal(c->result.text_len, strlen(text));
        assert_memory_equal(c->result.text, text, strlen(text));
    }
    assert_int_equal(say(c, ""), SMTP_CLIENT_CLOSE);
    assert_true(c->tls_refused);
}

/* What the caller finds out during the handshake ends the session with the caller's words. */
static void the_caller_refuses(void **state)
{
    static struct stats_block stats;
    struct smtp_client c;

    (void)state;
    for (int i = 0; i < 3; i++) {
        open_session(&c, &stats);
        if (i > 0) { /* else TLS was to come before the greeting */
            (void)say(&c, "220 x\r\n");
            (void)say(&c, "250-x\r\n250 STARTTLS\r\n");
            assert_int_equal(say(&c, "220 x\r\n"), SMTP_CLIENT_TLS);
        }
        if (i == 2) {
            smtp_client_injected(&c);
            expect_end(&c, "4.7.5", "4.7.5 bytes in clear came behind the reply to STARTTLS");
            continue;
        }
        smtp_client_refuse(&c, "4.7.5", "certificate is for x, not y");
        smtp_client_refuse(&c, "4.7.5", "twice");
        expect_end(&c, "4.7.5", "4.7.5 certificate is for x, not y");
    }
    assert_int_equal(stats_get(&stats, STATS_SMTP_CLIENT_STARTTLS_INJECTED), 1);
}

/* TLS from the first byte: no STARTTLS, whatever is offered. */
static void before_the_greeting(void **state)
{
    static struct stats_block stats;
    struct smtp_client c;

    (void)state;
    open_session(&c, &stats);
    smtp_client_encrypted(&c, true);
    assert_int_equal(say(&c, "220 x\r\n"), SMTP_CLIENT_MORE);
    assert_int_equal(say(&c, "250-x\r\n250 STARTTLS\r\n"), SMTP_CLIENT_MORE);
    assert_int_equal(c.state, SMTP_CLIENT_STATE_ENVELOPE);
    assert_true(c.secured && c.agreed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reply),
        cmocka_unit_test(the_caller_refuses),
        cmocka_unit_test(before_the_greeting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

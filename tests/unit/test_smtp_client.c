#include "unit.h"

#include "smtp_client.h"
#include "smtp_harness.h"

#include <errno.h>

/* ---- transcripts: O6, replies of any form in any state; O7, each recipient its own result ---- */

struct job {
    const char *sender;
    const char *rcpt[5]; /* up to the first that is NULL */
    const char *body;
    uint64_t size_bytes;
    bool body_8bit;
    bool smtputf8;
    bool requiretls;
    bool probe;
    uint8_t ret;
    const char *envid;
    struct {
        uint8_t notify;
        const char *orcpt;
    } dsn[4]; /* by recipient */
    bool chunking;
    bool single;
    bool last;                                 /* QUIT may go behind its end */
    const struct smtp_client_content *content; /* the answer to CHECK; NULL: none is to be asked */
};

struct login {
    struct smtp_credentials credentials;
    bool encrypted;
    enum smtp_client_auth_trouble trouble;
};

struct script {
    const char *name;
    /* "<" what the server sends, ">" what the client must have sent after it. */
    const char *step[40];
    const char *trace; /* results: index=code/enhanced, then done and close */
    const struct job *job[3];
    bool whole_only; /* the outcome depends on when the bytes come, as it must */
    const struct login *login;
};

static const struct job one = {
    .sender = "a@b", .rcpt = {"c@d"}, .body = "hi\r\n", .size_bytes = 4, .body_8bit = false};
static const struct job two = {.sender = "a@b",
                               .rcpt = {"c@d", "e@f"},
                               .body = ".hi\r\n.\r\n..",
                               .size_bytes = 11,
                               .body_8bit = false};
static const struct job last = {
    .sender = "a@b", .rcpt = {"c@d"}, .body = "hi\r\n", .size_bytes = 4, .last = true};
static const struct job last_chunk = {.sender = "a@b",
                                      .rcpt = {"c@d", "e@f"},
                                      .body = ".hi\r\n",
                                      .size_bytes = 5,
                                      .chunking = true,
                                      .last = true};
static const struct job bounce = {
    .sender = "", .rcpt = {"c@d"}, .body = "", .size_bytes = 0, .body_8bit = false};
static const struct job large = {.sender = "a@b",
                                 .rcpt = {"c@d", "e@f"},
                                 .body = "hi\r\n",
                                 .size_bytes = 101,
                                 .body_8bit = false};
static const struct job eight = {
    .sender = "a@b", .rcpt = {"c@d"}, .body = "\xff\r\n", .size_bytes = 3, .body_8bit = true};
static const struct job utf8 = {
    .sender = "\xc3\xa4@b", .rcpt = {"c@d"}, .body = "", .body_8bit = true, .smtputf8 = true};
static const struct job tls = {
    .sender = "a@b", .rcpt = {"c@d", "e@f"}, .body = "hi\r\n", .size_bytes = 4, .requiretls = true};
static const struct job tls_bounce = {
    .sender = "", .rcpt = {"c@d"}, .body = "hi\r\n", .size_bytes = 4, .requiretls = true};
static const struct job ask = {.sender = "", .rcpt = {"c@d", "e@f"}, .probe = true};
static const struct job dsn = {
    .sender = "a@b",
    .rcpt = {"c@d", "e@f", "g@h"},
    .body = "hi\r\n",
    .size_bytes = 4,
    .ret = SMTP_RET_HDRS,
    .envid = "Q+2B1",
    .dsn = {{SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY, "rfc822;x+2By@d"},
            {SMTP_NOTIFY_NEVER, NULL},
            {0, "rfc822;g@h"}},
};

static const struct smtp_client_content ascii = {.body = false}, high_body = {.body = true},
                                        high_header = {.header = true},
                                        signed_body = {.body = true, .why_not = "it is signed"};
static const struct job chunk = {
    .sender = "a@b", .rcpt = {"c@d", "e@f"}, .body = ".hi\r\n", .size_bytes = 5, .chunking = true};
static const struct job chunk_empty = {
    .sender = "a@b", .rcpt = {"c@d"}, .body = "", .chunking = true};
static const struct job many = {
    .sender = "a@b", .rcpt = {"c@d", "e@D", "g@h"}, .body = "hi\r\n", .size_bytes = 4};
static const struct job looked_ascii = {.sender = "a@b",
                                        .rcpt = {"c@d"},
                                        .body = "hi\r\n",
                                        .size_bytes = 4,
                                        .body_8bit = true,
                                        .chunking = true,
                                        .smtputf8 = true,
                                        .content = &ascii};
static const struct job looked_body = {.sender = "a@b",
                                       .rcpt = {"c@d"},
                                       .body = "hi\r\n",
                                       .size_bytes = 9,
                                       .chunking = true,
                                       .content = &high_body};
static const struct job looked_signed = {.sender = "a@b",
                                         .rcpt = {"c@d", "e@f"},
                                         .body = "",
                                         .body_8bit = true,
                                         .content = &signed_body};
static const struct job looked_header = {
    .sender = "a@b", .rcpt = {"c@d"}, .body = "", .smtputf8 = true, .content = &high_header};
static const struct job raw_header = {
    .sender = "a@b", .rcpt = {"c@d"}, .body = "", .content = &high_header};
#define UMLAUT "\xc3\xa4"
static const struct smtp_client_content global = {.body = true, .global = true},
                                        signed_global = {
                                            .body = true, .global = true, .why_not = "signed"};
/* Addresses that need SMTPUTF8 by their local part, and such that can be said with A-labels. */
static const struct job utf8_sender = {.sender = UMLAUT "@b",
                                       .rcpt = {"c@d", "e@f"},
                                       .smtputf8 = true,
                                       .content = &ascii},
                        utf8_rcpt = {.sender = "a@b",
                                     .rcpt = {"c@d", UMLAUT "@f", UMLAUT "@h", "g@h"},
                                     .body = "hi\r\n",
                                     .size_bytes = 4,
                                     .smtputf8 = true,
                                     .content = &ascii},
                        utf8_alone = {.sender = "a@b",
                                      .rcpt = {UMLAUT "@f", UMLAUT "@h"},
                                      .smtputf8 = true,
                                      .content = &ascii},
                        utf8_domains = {.sender = "a@" UMLAUT ".test",
                                        .rcpt = {"c@d", "e@" UMLAUT ".test"},
                                        .body = "hi\r\n",
                                        .size_bytes = 4,
                                        .smtputf8 = true,
                                        .content = &ascii,
                                        .dsn = {{0, "utf-8;" UMLAUT "\xe2\x9c\x93@d"},
                                                {0, "rfc822;x+2B@d"}}},
                        utf8_long = {.sender = "a@b",
                                     .rcpt = {"c@long" UMLAUT ".test"},
                                     .smtputf8 = true,
                                     .content = &ascii},
                        utf8_ask = {.sender = "",
                                    .rcpt = {"c@" UMLAUT ".test", UMLAUT "@d"},
                                    .smtputf8 = true,
                                    .probe = true},
                        report = {.sender = "",
                                  .rcpt = {"c@d"},
                                  .body = "hi\r\n",
                                  .size_bytes = 4,
                                  .body_8bit = true,
                                  .smtputf8 = true,
                                  .content = &global},
                        report_signed = {.sender = "",
                                         .rcpt = {"c@d"},
                                         .body = "hi\r\n",
                                         .size_bytes = 4,
                                         .body_8bit = true,
                                         .smtputf8 = true,
                                         .content = &signed_global},
                        plain_global = {.sender = "a@b",
                                        .rcpt = {"c@d"},
                                        .body = "hi\r\n",
                                        .size_bytes = 4,
                                        .body_8bit = true,
                                        .content = &global};

#define CREDENTIALS(bits, clear)                                                                   \
    {                                                                                              \
        .user = {(const uint8_t *)"tim", 3}, .password = {(const uint8_t *)"secret", 6},           \
        .mechanisms = bits, .cleartext = clear                                                     \
    }
static const struct login inside_tls = {CREDENTIALS(15, false), true, SMTP_CLIENT_AUTH_FINE},
                          in_clear = {CREDENTIALS(15, true), false, SMTP_CLIENT_AUTH_FINE},
                          not_in_clear = {CREDENTIALS(15, false), false,
                                          SMTP_CLIENT_AUTH_CLEARTEXT},
                          refused = {CREDENTIALS(15, false), true, SMTP_CLIENT_AUTH_REFUSED},
                          later = {CREDENTIALS(15, false), true, SMTP_CLIENT_AUTH_LATER},
                          not_offered = {CREDENTIALS(15, true), false,
                                         SMTP_CLIENT_AUTH_NOT_OFFERED},
                          wants_tls = {CREDENTIALS(15, true), false, SMTP_CLIENT_AUTH_WANTS_TLS},
                          no_plain = {CREDENTIALS(3, false), true, SMTP_CLIENT_AUTH_NO_MECHANISM},
                          unproven = {CREDENTIALS(15, false), true, SMTP_CLIENT_AUTH_UNPROVEN},
                          cut_off = {CREDENTIALS(15, false), true, SMTP_CLIENT_AUTH_FINE};
#define AUTH_PLAIN ">AUTH PLAIN AHRpbQBzZWNyZXQ=\r\n"
#define NONCE      "AAAAAAAAAAAAAAAAAAAAAAAA"
#define SCRAM      ">AUTH SCRAM-SHA-256 biwsbj10aW0scj1BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\r\n"
#define MAIL_PLAIN                                                                                 \
    ">MAIL FROM:<a@b>\r\n", OK, ">RCPT TO:<c@d>\r\n", OK, ">DATA\r\n", GO, BODY, OK, QUIT

#define HI        "<220 mx ESMTP\r\n", ">EHLO me.test\r\n"
#define PIPE      "<250-mx\r\n250-SIZE 100\r\n250-8bitmime\r\n250 Pipelining\r\n"
#define PLAIN     "<250 mx\r\n"
#define MAIL_PIPE ">MAIL FROM:<a@b> SIZE=4\r\nRCPT TO:<c@d>\r\nDATA\r\n"
#define TWO_PIPE  ">MAIL FROM:<a@b> SIZE=11\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n"
#define BODY      ">hi\r\n.\r\n"
#define TWO_BODY  ">..hi\r\n..\r\n...\r\n.\r\n"
#define OK        "<250 2.0.0 Ok\r\n"
#define GO        "<354 go\r\n"
#define TAKEN     "<250 1\r\n250 2\r\n354 go\r\n"
#define QUIT      ">QUIT\r\n", "<221 2.0.0 Bye\r\n"
#define RSET      ">RSET\r\n", OK
#define X10       "0123456789"
#define X100      X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X500      X100 X100 X100 X100 X100
#define LINES10                                                                                    \
    "250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n"
#define LINES99                                                                                    \
    LINES10 LINES10 LINES10 LINES10 LINES10 LINES10 LINES10 LINES10 LINES10                        \
        "250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n250-x\r\n"

#include "smtp_client_lmtp.h"
#include "smtp_client_more.h"
#include "smtp_client_scripts.h"

struct player {
    struct smtp_client client;
    struct stats_block stats;
    const struct script *script;
    uint32_t job_idx;
    struct base_buf in;
    struct base_buf out;
    struct base_buf trace;
    bool closed;
};

static struct base_span job_rcpt(void *user, uint32_t index)
{
    const struct job *job = user;
    return base_span_str(job->rcpt[index]);
}

/* As policy_ascii_mailbox, which knows more names. */
static int job_ascii(struct base_buf *out, struct base_span mailbox)
{
    static const char domain[] = "@" UMLAUT ".test";
    size_t len = sizeof(domain) - 1;

    if (mailbox.len <= len || memcmp(mailbox.p + mailbox.len - len, domain, len) != 0)
        return -EINVAL;
    return base_buf_put_span(out, base_span_of(mailbox.p, mailbox.len - len)) |
           base_buf_puts(out, "@xn--4ca.test");
}

static struct base_span text_of(const char *text)
{
    return text != NULL ? base_span_str(text) : base_span_of(NULL, 0);
}

static struct smtp_rcpt_params job_params(void *user, uint32_t index)
{
    const struct job *job = user;
    return (struct smtp_rcpt_params){.notify = job->dsn[index].notify,
                                     .orcpt = text_of(job->dsn[index].orcpt)};
}

static void start_job(struct player *p, const struct job *job)
{
    uint32_t cnt = 0;
    while (job->rcpt[cnt] != NULL)
        cnt++;
    static struct job copy;
    copy = *job;
    smtp_client_start(&p->client, &(struct smtp_client_job){
                                      .sender = base_span_str(job->sender),
                                      .recipient = job_rcpt,
                                      .user = &copy,
                                      .recipient_cnt = cnt,
                                      .probe = job->probe,
                                      .mail.size_bytes = job->size_bytes,
                                      .mail.body_8bit = job->body_8bit,
                                      .mail.smtputf8 = job->smtputf8,
                                      .mail.requiretls = job->requiretls,
                                      .mail.ret = job->ret,
                                      .mail.envid = text_of(job->envid),
                                      .rcpt_params = job_params,
                                      .ascii = job_ascii,
                                      .chunking = job->chunking,
                                      .check = job->content != NULL,
                                      .single = job->single,
                                  });
}

static void play_body(struct player *p, struct base_buf *out)
{
    struct base_span body = base_span_str(p->script->job[p->job_idx]->body);
    size_t used;

    for (size_t i = 0; i < body.len; i += used) /* in pieces of two */
        smtp_client_body(&p->client, base_span_of(body.p + i, body.len - i > 2 ? 2 : body.len - i),
                         &used, out);
    smtp_client_body_end(&p->client, out);
    if (p->script->job[p->job_idx]->last)
        smtp_client_quit_early(&p->client, out);
}

static void play_event(struct player *p, enum smtp_client_event event, struct base_buf *out)
{
    char text[64];

    if (event == SMTP_CLIENT_RESULT) {
        const struct smtp_client_result *r = &p->client.result;
        snprintf(text, sizeof(text), "%u=%u/%s ", r->recipient, r->code, r->enhanced);
        harness_puts(&p->trace, text);
    } else if (event == SMTP_CLIENT_BODY) {
        if (p->client.convert)
            harness_puts(&p->trace, "convert ");
        play_body(p, out);
    } else if (event == SMTP_CLIENT_CHECK) {
        harness_puts(&p->trace, "check ");
        smtp_client_checked(&p->client, p->script->job[p->job_idx]->content);
    } else if (event == SMTP_CLIENT_LEFT) {
        harness_puts(&p->trace, "left ");
        smtp_client_quit(&p->client, out);
    } else if (event == SMTP_CLIENT_DONE) {
        harness_puts(&p->trace, "done ");
        p->job_idx++;
        if (p->job_idx < BASE_ARRAY_CNT(p->script->job) && p->script->job[p->job_idx] != NULL)
            start_job(p, p->script->job[p->job_idx]);
        else
            smtp_client_quit(&p->client, out);
    } else if (event == SMTP_CLIENT_UNTRIED) {
        harness_puts(&p->trace, "untried ");
    } else if (event == SMTP_CLIENT_CLOSE) {
        harness_puts(&p->trace, "close");
        p->closed = true;
    }
}

static void player_feed(struct player *p, const char *bytes, size_t n)
{
    harness_put(&p->in, bytes, n);
    enum smtp_client_event event = SMTP_CLIENT_FLUSH;

    while (event != SMTP_CLIENT_MORE && !p->closed) {
        uint8_t *room = malloc(SMTP_OUT_MIN + 40);
        struct base_buf out = {room, 0, SMTP_OUT_MIN + 40};
        size_t used;
        event = smtp_client_push(&p->client, base_buf_span(&p->in), &used, &out);
        memmove(p->in.p, p->in.p + used, p->in.len - used);
        p->in.len -= used;
        play_event(p, event, &out);
        harness_put(&p->out, out.p, out.len);
        free(room);
    }
}

/* Plays a script with the server's bytes cut once at the given place; with cut SIZE_MAX,
 * everywhere. Returns how many bytes the server sends. */
static size_t play(const struct script *s, bool lmtp, size_t cut)
{
    struct player *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);
    size_t sent = 0;

    assert_non_null(p);
    memset(p, 0, sizeof(*p));
    p->script = s;
    harness_grow(&p->in, 8192);
    harness_grow(&p->out, 8192);
    harness_grow(&p->trace, 1024);
    smtp_client_init(&p->client, "me.test", &p->stats);
    p->client.credentials = s->login != NULL ? &s->login->credentials : NULL;
    p->client.encrypted = s->login != NULL && s->login->encrypted;
    if (lmtp)
        smtp_client_speak_lmtp(&p->client);
    start_job(p, s->job[0]);
    player_feed(p, "", 0);
    for (size_t i = 0; s->step[i] != NULL; i++) {
        const char *bytes = s->step[i] + 1;
        size_t len = strlen(bytes);
        if (s->step[i][0] == '>') {
            if (p->out.len != len || memcmp(p->out.p, bytes, len) != 0)
                print_error("%s, cut %zu, step %zu: got\n%.*s\n", s->name, cut, i, (int)p->out.len,
                            (const char *)p->out.p);
            assert_int_equal(p->out.len, len);
            assert_memory_equal(p->out.p, bytes, len);
            p->out.len = 0;
            continue;
        }
        assert_int_equal(p->out.len, 0);
        if (cut == SIZE_MAX) {
            for (size_t k = 0; k < len; k++)
                player_feed(p, bytes + k, 1);
        } else if (cut > sent && cut < sent + len) {
            player_feed(p, bytes, cut - sent);
            player_feed(p, bytes + (cut - sent), len - (cut - sent));
        } else {
            player_feed(p, bytes, len);
        }
        sent += len;
    }
    assert_int_equal(p->out.len, 0);
    harness_put(&p->trace, "", 1);
    if (strcmp((char *)p->trace.p, s->trace) != 0)
        print_error("%s, cut %zu\n", s->name, cut);
    assert_string_equal((char *)p->trace.p, s->trace);
    assert_int_equal(p->client.auth_trouble, s->login != NULL ? s->login->trouble : 0);
    free(p->in.p);
    free(p->out.p);
    free(p->trace.p);
    free(p);
    return sent;
}

static void play_everywhere(const struct script *s, bool lmtp)
{
    size_t len = play(s, lmtp, 0);

    if (s->whole_only)
        return;
    for (size_t cut = 1; cut<len; cut += len> 500 ? 11 : 1)
        play(s, lmtp, cut);
    play(s, lmtp, SIZE_MAX);
}

static void scripts_whole_and_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(scripts); i++)
        play_everywhere(&scripts[i], false);
    for (size_t i = 0; i < BASE_ARRAY_CNT(more_scripts); i++)
        play_everywhere(&more_scripts[i], false);
    for (size_t i = 0; i < BASE_ARRAY_CNT(lmtp_scripts); i++)
        play_everywhere(&lmtp_scripts[i], true);
}

/* What the caller vouches for and the server offers is passed on. */
static void requiretls_on_a_secure_connection(void **state)
{
    (void)state;
    static struct stats_block stats;
    struct smtp_client c;
    uint8_t room[8192];
    struct base_buf out = {room, 0, sizeof(room)};
    size_t used;

    for (int offered = 0; offered < 2; offered++) {
        out.len = 0;
        smtp_client_init(&c, "me.test", &stats);
        c.secured = true;
        smtp_client_start(&c, &(struct smtp_client_job){.sender = base_span_str("a@b"),
                                                        .recipient = job_rcpt,
                                                        .user = (void *)(uintptr_t)&tls,
                                                        .recipient_cnt = 1,
                                                        .mail.requiretls = true});
        assert_int_equal(smtp_client_push(&c, base_span_str("220 x\r\n"), &used, &out),
                         SMTP_CLIENT_MORE);
        struct base_span said =
            base_span_str(offered ? "250-x\r\n250 requiretls\r\n" : "250-x\r\n250 REQUIRETLSX\r\n");
        enum smtp_client_event event = smtp_client_push(&c, said, &used, &out);
        const char *wanted = "MAIL FROM:<a@b> REQUIRETLS\r\n";
        assert_int_equal(event, offered ? SMTP_CLIENT_MORE : SMTP_CLIENT_RESULT);
        assert_int_equal(memmem(out.p, out.len, wanted, strlen(wanted)) != NULL, offered);
        assert_int_equal(memmem(out.p, out.len, "MAIL", 4) != NULL, offered);
    }
}

static struct base_span many_rcpt(void *user, uint32_t index);

/* A store on this machine gets such mail, whether it knows of REQUIRETLS or not. */
static void requiretls_on_this_machine(void **state)
{
    (void)state;
    static struct stats_block stats;
    struct smtp_client c;
    uint8_t room[8192];
    struct base_buf out = {room, 0, sizeof(room)};
    size_t used;

    smtp_client_init(&c, "me.test", &stats);
    smtp_client_speak_lmtp(&c);
    c.local = true;
    smtp_client_start(&c, &(struct smtp_client_job){.sender = base_span_str("a@b"),
                                                    .recipient = job_rcpt,
                                                    .user = (void *)(uintptr_t)&tls,
                                                    .recipient_cnt = 1,
                                                    .mail.requiretls = true});
    assert_int_equal(smtp_client_push(&c, base_span_str("220 x\r\n"), &used, &out),
                     SMTP_CLIENT_MORE);
    assert_int_equal(smtp_client_push(&c, base_span_str("250 y\r\n"), &used, &out),
                     SMTP_CLIENT_MORE);
    const char *wanted = "MAIL FROM:<a@b>\r\n";
    assert_non_null(memmem(out.p, out.len, wanted, strlen(wanted)));
}

/* The connection breaks between two replies: who was answered is through. */
static void lost_between_replies(void **state)
{
    (void)state;
    static struct stats_block stats;
    static const char *const replies[] = {"220 x\r\n", "250-x\r\n250 PIPELINING\r\n",
                                          "250 1\r\n250 2\r\n250 3\r\n250 4\r\n354 go\r\n",
                                          "250 first\r\n", "45"};
    struct smtp_client c;
    uint8_t room[8192];
    struct base_buf out = {room, 0, sizeof(room)};
    size_t used;

    smtp_client_init(&c, "me.test", &stats);
    smtp_client_speak_lmtp(&c);
    smtp_client_start(&c, &(struct smtp_client_job){.recipient = many_rcpt, .recipient_cnt = 3});
    for (size_t i = 0; i < BASE_ARRAY_CNT(replies); i++) {
        enum smtp_client_event event = smtp_client_push(&c, base_span_str(replies[i]), &used, &out);
        assert_int_equal(event, i == 2   ? SMTP_CLIENT_BODY
                                : i == 3 ? SMTP_CLIENT_RESULT
                                         : SMTP_CLIENT_MORE);
        if (event == SMTP_CLIENT_BODY)
            smtp_client_body_end(&c, &out);
    }
    assert_int_equal(c.result.code, 250);
    smtp_client_fail(&c, "connection lost");
    for (uint32_t i = 1; i < 3; i++) {
        assert_int_equal(smtp_client_push(&c, base_span_of(NULL, 0), &used, &out),
                         SMTP_CLIENT_RESULT);
        assert_int_equal(c.result.recipient, i);
        assert_int_equal(c.result.code, 0);
    }
    assert_int_equal(smtp_client_push(&c, base_span_of(NULL, 0), &used, &out), SMTP_CLIENT_CLOSE);
}

/* Bytes that are no text, and a character cut in two, are kept as they come, by their count. */
static void bytes_of_a_reply(void **state)
{
    (void)state;
    static struct stats_block stats;
    static const char refusal[] = "550-5.1.1 a\0b\x1b\r\n550 5.1.1 \xc3\xa4\xff\r\n";
    static const char told[] = "5.1.1 a\0b\x1b 5.1.1 \xc3\xa4\xff";

    for (size_t cut = 1; cut < sizeof(refusal) - 1; cut++) {
        struct smtp_client c;
        uint8_t room[8192];
        struct base_buf out = {room, 0, sizeof(room)};
        size_t used;
        smtp_client_init(&c, "me.test", &stats);
        smtp_client_start(&c, &(struct smtp_client_job){.sender = base_span_str("a@b"),
                                                        .recipient = job_rcpt,
                                                        .user = (void *)(uintptr_t)&one,
                                                        .recipient_cnt = 1});
        (void)smtp_client_push(&c, base_span_str("220 x\r\n"), &used, &out);
        (void)smtp_client_push(&c, base_span_str("250 x\r\n"), &used, &out);
        enum smtp_client_event event =
            smtp_client_push(&c, base_span_of(refusal, cut), &used, &out);
        assert_int_equal(event, SMTP_CLIENT_MORE);
        event = smtp_client_push(&c, base_span_of(refusal + used, sizeof(refusal) - 1 - used),
                                 &used, &out);
        assert_int_equal(event, SMTP_CLIENT_RESULT);
        assert_int_equal(c.result.code, 550);
        assert_string_equal(c.result.enhanced, "5.1.1");
        assert_int_equal(c.result.text_len, sizeof(told) - 1);
        assert_memory_equal(c.result.text, told, sizeof(told) - 1);
    }
}

/* The reply to the end of a message that never comes is counted: it may be there twice. */
static void unheard(void **state)
{
    (void)state;
    static struct stats_block stats;
    static const char *const replies[] = {"220 x\r\n", "250 x\r\n", "250 1\r\n", "250 2\r\n",
                                          "354 x\r\n"};

    for (size_t stop = 0; stop <= BASE_ARRAY_CNT(replies); stop++) {
        struct smtp_client c;
        uint8_t room[8192];
        struct base_buf out = {room, 0, sizeof(room)};
        size_t used;
        uint64_t before = stats_get(&stats, STATS_SMTP_CLIENT_UNHEARD);
        smtp_client_init(&c, "me.test", &stats);
        smtp_client_start(&c, &(struct smtp_client_job){.sender = base_span_str("a@b"),
                                                        .recipient = job_rcpt,
                                                        .user = (void *)(uintptr_t)&one,
                                                        .recipient_cnt = 1});
        for (size_t i = 0; i < stop; i++)
            if (smtp_client_push(&c, base_span_str(replies[i]), &used, &out) == SMTP_CLIENT_BODY)
                smtp_client_body_end(&c, &out);
        smtp_client_fail(&c, "connection lost");
        assert_int_equal(stats_get(&stats, STATS_SMTP_CLIENT_UNHEARD) - before,
                         stop == BASE_ARRAY_CNT(replies));
    }
}

/* ---- failing from outside ---- */

static struct base_span many_rcpt(void *user, uint32_t index)
{
    (void)user;
    (void)index;
    return base_span_str("some.recipient.of.many@a.domain.that.is.rather.long.test");
}

static void fail_in_each_state(void **state)
{
    (void)state;
    static struct stats_block stats;
    static const char *const replies[] = {"", "220 x\r\n", "250-x\r\n250 PIPELINING\r\n",
                                          "250 1\r\n250 2\r\n", "250 3\r\n250-"};
    for (size_t stop = 0; stop < BASE_ARRAY_CNT(replies); stop++) {
        struct smtp_client c;
        uint8_t room[8192];
        struct base_buf out = {room, 0, sizeof(room)};
        size_t used;
        smtp_client_init(&c, "me.test", &stats);
        smtp_client_start(&c,
                          &(struct smtp_client_job){.recipient = many_rcpt, .recipient_cnt = 7});
        for (size_t i = 0; i <= stop; i++)
            assert_int_equal(smtp_client_push(&c, base_span_str(replies[i]), &used, &out),
                             SMTP_CLIENT_MORE);
        smtp_client_fail(&c, "connection lost");
        smtp_client_fail(&c, "again");
        for (uint32_t i = 0; i < 7; i++) {
            assert_int_equal(smtp_client_push(&c, base_span_of(NULL, 0), &used, &out),
                             SMTP_CLIENT_RESULT);
            assert_int_equal(c.result.recipient, i);
            assert_int_equal(c.result.code, 0);
            assert_int_equal(c.result.text_len, strlen("connection lost"));
        }
        assert_int_equal(smtp_client_push(&c, base_span_of(NULL, 0), &used, &out),
                         SMTP_CLIENT_CLOSE);
    }
}

/* A session that had a job already: the connection breaks before the next one starts, while it
 * waits to be sent, or while the reply to MAIL is awaited (also half of one): nothing is known of
 * it. One reply later it is an attempt. */
static void fail_between_jobs(void **state)
{
    (void)state;
    static struct stats_block stats;
    static const char *const replies[] = {"220 x\r\n", "250-x\r\n250 PIPELINING\r\n",
                                          "250 1\r\n250 2\r\n354 3\r\n"};
    enum { BEFORE_START, AFTER_START, MAIL_SENT, HALF_A_REPLY, MAIL_ANSWERED, CASE_CNT };
    const struct smtp_client_job job = {.recipient = many_rcpt, .recipient_cnt = 1};

    for (int i = 0; i < CASE_CNT; i++) {
        struct smtp_client c;
        uint8_t room[8192];
        struct base_buf out = {room, 0, sizeof(room)};
        size_t used;
        smtp_client_init(&c, "me.test", &stats);
        smtp_client_start(&c, &job);
        for (size_t k = 0; k < BASE_ARRAY_CNT(replies); k++)
            (void)smtp_client_push(&c, base_span_str(replies[k]), &used, &out);
        smtp_client_body_end(&c, &out);
        assert_int_equal(smtp_client_push(&c, base_span_str("250 ok\r\n"), &used, &out),
                         SMTP_CLIENT_RESULT);
        assert_int_equal(smtp_client_push(&c, base_span_of(NULL, 0), &used, &out),
                         SMTP_CLIENT_DONE);
        if (i == BEFORE_START)
            smtp_client_fail(&c, "connection lost");
        smtp_client_start(&c, &job);
        const char *reply = i == HALF_A_REPLY ? "250-" : i == MAIL_ANSWERED ? "250 x\r\n" : "";
        if (i >= MAIL_SENT)
            assert_int_equal(smtp_client_push(&c, base_span_str(""), &used, &out),
                             SMTP_CLIENT_MORE);
        if (i >= HALF_A_REPLY)
            assert_int_equal(smtp_client_push(&c, base_span_str(reply), &used, &out),
                             SMTP_CLIENT_MORE);
        smtp_client_fail(&c, "connection lost");
        enum smtp_client_event first = smtp_client_push(&c, base_span_of(NULL, 0), &used, &out);
        assert_int_equal(first, i == MAIL_ANSWERED ? SMTP_CLIENT_RESULT : SMTP_CLIENT_UNTRIED);
        assert_int_equal(smtp_client_push(&c, base_span_of(NULL, 0), &used, &out),
                         SMTP_CLIENT_CLOSE);
    }
}

/* What was delivered stays so, though the connection breaks while the results are taken. */
static void fail_while_telling(void **state)
{
    (void)state;
    static struct stats_block stats;
    struct smtp_client c;
    uint8_t room[8192];
    struct base_buf out = {room, 0, sizeof(room)};
    size_t used;

    smtp_client_init(&c, "me.test", &stats);
    smtp_client_start(&c, &(struct smtp_client_job){.recipient = many_rcpt, .recipient_cnt = 2});
    const char *replies[] = {"220 x\r\n", "250-x\r\n250 PIPELINING\r\n",
                             "250 1\r\n250 2\r\n250 3\r\n354 4\r\n"};
    for (int i = 0; i < 2; i++)
        assert_int_equal(smtp_client_push(&c, base_span_str(replies[i]), &used, &out),
                         SMTP_CLIENT_MORE);
    assert_int_equal(smtp_client_push(&c, base_span_str(replies[2]), &used, &out),
                     SMTP_CLIENT_BODY);
    smtp_client_body_end(&c, &out);
    assert_int_equal(smtp_client_push(&c, base_span_str("250 ok\r\n"), &used, &out),
                     SMTP_CLIENT_RESULT);
    smtp_client_fail(&c, "connection lost");
    assert_int_equal(smtp_client_push(&c, base_span_of(NULL, 0), &used, &out), SMTP_CLIENT_RESULT);
    assert_int_equal(c.result.code, 250);
    assert_int_equal(smtp_client_push(&c, base_span_of(NULL, 0), &used, &out), SMTP_CLIENT_CLOSE);
}

/* A peer that reads nothing leaves no room for QUIT. */
static void quit_without_room(void **state)
{
    (void)state;
    static struct stats_block stats;
    struct smtp_client c;
    uint8_t room[8192];
    struct base_buf out = {room, 0, sizeof(room)}, none = {room, 0, 5};
    size_t used;

    smtp_client_init(&c, "me.test", &stats);
    smtp_client_start(&c, &(struct smtp_client_job){
                              .recipient = many_rcpt, .recipient_cnt = 1, .mail.size_bytes = 2});
    (void)smtp_client_push(&c, base_span_str("220 x\r\n"), &used, &out);
    assert_int_equal(smtp_client_push(&c, base_span_str("250-x\r\n250 SIZE 1\r\n"), &used, &out),
                     SMTP_CLIENT_RESULT);
    assert_int_equal(smtp_client_push(&c, base_span_of(NULL, 0), &used, &out), SMTP_CLIENT_DONE);
    smtp_client_quit(&c, &none);
    assert_int_equal(none.len, 0);
    assert_int_equal(smtp_client_push(&c, base_span_of(NULL, 0), &used, &out), SMTP_CLIENT_CLOSE);
}

/* A refusal in the middle of the body is the result; the session ends. */
static void refused_in_body(void **state)
{
    (void)state;
    static struct stats_block stats;
    struct smtp_client c;
    uint8_t room[8192];
    struct base_buf out = {room, 0, sizeof(room)};
    size_t used;

    smtp_client_init(&c, "me.test", &stats);
    smtp_client_start(&c, &(struct smtp_client_job){.recipient = many_rcpt, .recipient_cnt = 1});
    (void)smtp_client_push(&c, base_span_str("220 x\r\n"), &used, &out);
    (void)smtp_client_push(&c, base_span_str("250-x\r\n250 PIPELINING\r\n"), &used, &out);
    assert_int_equal(
        smtp_client_push(&c, base_span_str("250 1\r\n250 2\r\n354 3\r\n"), &used, &out),
        SMTP_CLIENT_BODY);
    smtp_client_body(&c, base_span_str("x\r\n"), &used, &out);
    assert_int_equal(smtp_client_push(&c, base_span_str("552 5.3.4 too big\r\n"), &used, &out),
                     SMTP_CLIENT_RESULT);
    assert_int_equal(c.result.code, 552);
    out.len = 0;
    smtp_client_body(&c, base_span_str("y\r\n"), &used, &out);
    smtp_client_body_end(&c, &out);
    assert_int_equal(used, 3);
    assert_int_equal(out.len, 0);
    assert_int_equal(smtp_client_push(&c, base_span_of(NULL, 0), &used, &out), SMTP_CLIENT_CLOSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_whole_and_cut),
        cmocka_unit_test(requiretls_on_a_secure_connection),
        cmocka_unit_test(requiretls_on_this_machine),
        cmocka_unit_test(lost_between_replies),
        cmocka_unit_test(bytes_of_a_reply),
        cmocka_unit_test(unheard),
        cmocka_unit_test(fail_in_each_state),
        cmocka_unit_test(fail_between_jobs),
        cmocka_unit_test(fail_while_telling),
        cmocka_unit_test(refused_in_body),
        cmocka_unit_test(quit_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

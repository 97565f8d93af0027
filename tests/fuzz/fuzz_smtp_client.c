/* O6, O7: the client against any server, with up to eight jobs on a session: each recipient gets
 * one result, or none of its job, which only happens to a further one before its MAIL had a reply,
 * or by the server's LIMITS; a password goes out behind AUTH alone; a session comes to its end, and
 * what is sent is lines that end in CRLF. */
#include "smtp_client.h"
#include "smtp_harness.h"
#include "base_rand.h"
#include "fuzz_token.h"

#define STREAM_CAP 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_token tokens[] = {
    FUZZ_TOKEN("220 x\r\n"),
    FUZZ_TOKEN("250 x\r\n"),
    FUZZ_TOKEN("250-x\r\n"),
    FUZZ_TOKEN("354 x\r\n"),
    FUZZ_TOKEN("421 x\r\n"),
    FUZZ_TOKEN("450 4.2.0 x\r\n"),
    FUZZ_TOKEN("550 5.1.1 x\r\n"),
    FUZZ_TOKEN("552 x\r\n"),
    FUZZ_TOKEN("220 x\r\n250-x\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 9\r\n"),
    FUZZ_TOKEN("220 x\r\n250-x\r\n250 PIPELINING\r\n"),
    FUZZ_TOKEN("220 x\r\n250-x\r\n250-DSN\r\n250-SMTPUTF8\r\n250-8BITMIME\r\n250 PIPELINING\r\n"),
    FUZZ_TOKEN("250-DSN\r\n"),
    FUZZ_TOKEN("250 SMTPUTF8\r\n"),
    FUZZ_TOKEN("220 x\r\n250 x\r\n"),
    FUZZ_TOKEN("250 STARTTLS\r\n"),
    FUZZ_TOKEN("220 x\r\n250-x\r\n250 STARTTLS\r\n"),
    FUZZ_TOKEN("454 4.7.0 x\r\n"),
    FUZZ_TOKEN("250-PIPELINING\r\n"),
    FUZZ_TOKEN("220 x\r\n250-x\r\n250-CHUNKING\r\n250 PIPELINING\r\n"),
    FUZZ_TOKEN("220 x\r\n250-x\r\n250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256\r\n"),
    FUZZ_TOKEN("250-AUTH LOGIN\r\n"),
    FUZZ_TOKEN("250-CHUNKING\r\n"),
    FUZZ_TOKEN("250-LIMITS RCPTMAX=2 MAILMAX=3\r\n"),
    FUZZ_TOKEN("250-LIMITS RCPTDOMAINMAX=1\r\n"),
    FUZZ_TOKEN("235 x\r\n"),
    FUZZ_TOKEN("334 \r\n"),
    FUZZ_TOKEN("334 cj1BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQXgscz1jMkZzZEE9PSxpPTQwOTY=\r\n"),
    FUZZ_TOKEN("504 x\r\n"),
    FUZZ_TOKEN("535 x\r\n"),
    FUZZ_TOKEN("250 1\r\n250 2\r\n250 3\r\n354 x\r\n"),
    FUZZ_TOKEN("250 1\r\n550 2\r\n550 3\r\n354 x\r\n"),
    FUZZ_TOKEN("250 1\r\n452 2\r\n550 3\r\n"),
    FUZZ_TOKEN("\r\n"),
    FUZZ_TOKEN("\r"),
    FUZZ_TOKEN("\n"),
    FUZZ_TOKEN("\0"),
    FUZZ_TOKEN("250-0123456789012345678901234567890123456789012345678901234567890123456789"
               "0123456789012345678901234567890123456789012345678901234567890123456789"
               "0123456789012345678901234567890123456789012345678901234567890123456789"),
};

struct run {
    struct smtp_client client;
    struct stats_block stats;
    struct base_rand rand;
    struct smtp_credentials credentials;
    struct smtp_sasl_keys keys;
    uint8_t told[SMTP_CLIENT_RCPT_MAX];
    uint32_t rcpt_cnt;
    uint32_t told_cnt;
    uint32_t job_cnt; /* done */
    uint32_t job_max;
    bool started;    /* a job is under way */
    bool body;       /* it had its 354 */
    bool probe;      /* it has no message */
    bool utf8;       /* addresses are beyond ASCII, some by their domain alone */
    uint8_t last[2]; /* bytes sent last */
};

static struct base_span rcpt(void *user, uint32_t index)
{
    static const char *const beyond[] = {"c@d", "c@\xc3\xa4", "c@\xc3\xa4", "\xc3\xa4@d"};
    const struct run *r = user;

    return base_span_str(r->utf8 ? beyond[(index * 7 ^ index >> 2) % 4] : "c@d");
}

static int say_ascii(struct base_buf *out, struct base_span mailbox)
{
    if (mailbox.p[0] >= 0x80)
        return -1;
    return base_buf_puts(out, "c@xn--4ca");
}

/* The longest there is, for each second one. */
static struct smtp_rcpt_params params(void *user, uint32_t index)
{
    static uint8_t orcpt[SMTP_ORCPT_MAX] = "rfc822;";
    const struct run *r = user;

    if (r->utf8 && index % 3 == 0)
        return (struct smtp_rcpt_params){.orcpt = base_span_str("utf-8;\xf0\x9f\x90\x8c@\xc3\xa4")};
    if (index % 2 == 0)
        return (struct smtp_rcpt_params){.notify = SMTP_NOTIFY_NEVER};
    memset(orcpt + 7, 'x', sizeof(orcpt) - 7);
    return (struct smtp_rcpt_params){.notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE |
                                               SMTP_NOTIFY_DELAY,
                                     .orcpt = base_span_of(orcpt, sizeof(orcpt))};
}

static void start(struct run *r)
{
    r->rcpt_cnt = 1 + (uint32_t)base_rand_below(&r->rand, base_rand_below(&r->rand, 4) ? 3 : 100);
    r->told_cnt = 0;
    r->started = true;
    r->body = false;
    memset(r->told, 0, sizeof(r->told));
    r->probe = base_rand_below(&r->rand, 4) == 0;
    r->utf8 = base_rand_below(&r->rand, 8) == 0;
    smtp_client_start(&r->client,
                      &(struct smtp_client_job){
                          .sender = base_span_str("a@b"),
                          .recipient = rcpt,
                          .ascii = say_ascii,
                          .user = r,
                          .recipient_cnt = r->rcpt_cnt,
                          .probe = r->probe,
                          .rcpt_params = base_rand_below(&r->rand, 2) == 0 ? params : NULL,
                          .mail.smtputf8 = r->utf8 || base_rand_below(&r->rand, 8) == 0,
                          .mail.ret = (uint8_t)base_rand_below(&r->rand, 3),
                          .mail.envid = base_span_str("e+2B"),
                          .mail.size_bytes = base_rand_below(&r->rand, 12),
                          .mail.body_8bit = base_rand_below(&r->rand, 2) == 0,
                          .chunking = base_rand_below(&r->rand, 2) == 0,
                          .check = base_rand_below(&r->rand, 2) == 0,
                          .single = base_rand_below(&r->rand, 4) == 0,
                      });
}

static void check_out(struct run *r, const struct base_buf *out)
{
    for (size_t i = 0; i < out->len; i++) {
        uint8_t before = r->last[1], c = out->p[i];
        base_assert(c != '\n' || before == '\r');
        base_assert(before != '\r' || c == '\n');
        base_assert(c < 0x80 || r->client.offers_smtputf8);
        r->last[0] = before;
        r->last[1] = c;
    }
}

/* Handles an event; returns false at the end of the session. */
static bool handle(struct run *r, enum smtp_client_event event, struct base_buf *out)
{
    const struct smtp_client_result *result = &r->client.result;
    size_t used;

    switch (event) {
    case SMTP_CLIENT_RESULT:
        base_assert(result->recipient < r->rcpt_cnt && !r->told[result->recipient]);
        base_assert(result->code == 0 || (result->code >= 200 && result->code <= 599));
        base_assert(result->code / 100 != 3 && memchr(result->enhanced, 0, 10) != NULL);
        r->told[result->recipient] = 1;
        r->told_cnt++;
        break;
    case SMTP_CLIENT_TLS:
        base_assert(r->client.tls != SMTP_CLIENT_TLS_OFF && !r->client.encrypted);
        base_assert(r->job_cnt == 0 && r->told_cnt == 0);
        switch (base_rand_below(&r->rand, 4)) {
        case 0:
            smtp_client_refuse(&r->client, "4.7.5", "not proved");
            break;
        case 1:
            smtp_client_injected(&r->client);
            break;
        default:
            smtp_client_encrypted(&r->client, base_rand_below(&r->rand, 2) == 0);
            base_assert(!r->client.offers_pipelining && !r->client.offers_starttls);
            break;
        }
        break;
    case SMTP_CLIENT_KEYS:
        r->client.keys = &r->keys;
        break;
    case SMTP_CLIENT_CHECK:
        smtp_client_checked(
            &r->client, &(struct smtp_client_content){
                            .looped = {base_rand_next(&r->rand) & base_rand_next(&r->rand)},
                            .header = base_rand_below(&r->rand, 4) == 0,
                            .body = base_rand_below(&r->rand, 2) == 0,
                            .global = base_rand_below(&r->rand, 2) == 0,
                            .why_not = base_rand_below(&r->rand, 4) == 0 ? "it is signed" : NULL});
        break;
    case SMTP_CLIENT_LEFT:
        base_assert(r->started && r->told_cnt < r->rcpt_cnt);
        r->started = false;
        r->job_cnt = r->job_max;
        smtp_client_quit(&r->client, out);
        break;
    case SMTP_CLIENT_BODY:
        base_assert(!r->probe);
        base_assert(r->client.tls != SMTP_CLIENT_TLS_REQUIRED || r->client.encrypted);
        r->body = true;
        if (r->client.chunk) {
            base_assert(r->client.chunk_left < 12);
            smtp_client_body(&r->client, base_span_of("xxxxxxxxxxxx", r->client.chunk_left), &used,
                             out);
            smtp_client_body_end(&r->client, out);
            break;
        }
        smtp_client_body(&r->client, base_span_str(".x\r\n..\r\n\r\ny\r\n"), &used, out);
        smtp_client_body_end(&r->client, out);
        if (r->job_cnt + 1 == r->job_max && base_rand_below(&r->rand, 2) == 0)
            smtp_client_quit_early(&r->client, out);
        break;
    case SMTP_CLIENT_DONE:
        base_assert(r->started && r->told_cnt == r->rcpt_cnt);
        r->started = false;
        if (++r->job_cnt == r->job_max)
            smtp_client_quit(&r->client, out);
        else if (base_rand_below(&r->rand, 2) == 0) /* else idle until more input has come */
            start(r);
        break;
    case SMTP_CLIENT_UNTRIED:
        base_assert(r->started && r->job_cnt > 0 && r->told_cnt == 0 && !r->body);
        r->started = false;
        break;
    case SMTP_CLIENT_CLOSE:
        base_assert(!r->started || r->told_cnt == r->rcpt_cnt);
        return false;
    default:
        break;
    }
    return true;
}

/* Runs until more input is needed or the session is over; false for over. */
static bool push_all(struct run *r, struct base_span in, size_t *consumed)
{
    enum smtp_client_event event;
    bool open = true;

    *consumed = 0;
    do {
        uint8_t *room = malloc(SMTP_OUT_MIN + 10);
        uint8_t *exact = malloc(in.len - *consumed);
        struct base_buf out = {room, 0, SMTP_OUT_MIN + 10};
        size_t used;
        base_assert(room != NULL && (exact != NULL || in.len == *consumed));
        if (in.len > *consumed)
            memcpy(exact, in.p + *consumed, in.len - *consumed);
        event = smtp_client_push(&r->client, base_span_of(exact, in.len - *consumed), &used, &out);
        base_assert(used <= in.len - *consumed);
        *consumed += used;
        open = handle(r, event, &out);
        check_out(r, &out);
        free(room);
        free(exact);
    } while (open && event != SMTP_CLIENT_MORE);
    return open;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[STREAM_CAP];
    struct base_buf stream = {room, 0, sizeof(room)};
    struct run *r = aligned_alloc(64, (sizeof(*r) + 63) / 64 * 64);
    size_t given = 0, done = 0, used;
    bool open = true;

    base_assert(r != NULL);
    memset(r, 0, sizeof(*r));
    if (size >= 2) {
        fuzz_expand(&stream, base_span_of(data + 2, size - 2), tokens, BASE_ARRAY_CNT(tokens));
        base_rand_init(&r->rand, data[0] | (uint64_t)data[1] << 8);
    }
    smtp_client_init(&r->client, "me", &r->stats);
    smtp_client_want_tls(&r->client, (enum smtp_client_tls)base_rand_below(&r->rand, 3));
    r->credentials = (struct smtp_credentials){.user = base_span_str("tim"),
                                               .password = base_span_str("secret"),
                                               .mechanisms = (uint8_t)base_rand_below(&r->rand, 16),
                                               .cleartext = base_rand_below(&r->rand, 4) != 0};
    if (base_rand_below(&r->rand, 2) == 0)
        r->client.credentials = &r->credentials;
    if (r->client.tls == SMTP_CLIENT_TLS_OFF)
        r->client.encrypted = base_rand_below(&r->rand, 2) == 0;
    if (base_rand_below(&r->rand, 3) == 0)
        smtp_client_speak_lmtp(&r->client);
    r->job_max = 1 + (uint32_t)base_rand_below(&r->rand, 8);
    start(r);
    uint64_t most = 1 + base_rand_below(&r->rand, 200);
    while (open && given < stream.len) {
        size_t n = (size_t)(1 + base_rand_below(&r->rand, most));
        given += n < stream.len - given ? n : stream.len - given;
        open = push_all(r, base_span_of(stream.p + done, given - done), &used);
        done += used;
        if (open && !r->started && r->job_cnt < r->job_max && base_rand_below(&r->rand, 3) == 0) {
            start(r);
            open = push_all(r, base_span_of(stream.p + done, given - done), &used);
            done += used;
        }
        /* What is not consumed is a part of one line. */
        base_assert(!open || given - done < SMTP_LINE_MAX);
    }
    if (open && !r->started && r->job_cnt < r->job_max && base_rand_below(&r->rand, 2) == 0) {
        if (base_rand_below(&r->rand, 2) == 0)
            smtp_client_fail(&r->client, "lost while idle");
        start(r);
    }
    if (open) {
        smtp_client_fail(&r->client, "lost");
        open = push_all(r, base_span_of(NULL, 0), &used);
        base_assert(!open);
    }
    free(r);
    return 0;
}

/* Client and server of lib/smtp, back to back, by seed. The connection breaks now and then between
 * two jobs, up to the reply to MAIL: the job is then carried out on the next one, once. */
#include "unit.h"

#include "smtp_client.h"
#include "smtp_harness.h"
#include "base_rand.h"

#define RCPT_MAX 100
#define X10      "0123456789"
#define X100     X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

struct pair {
    struct base_rand rand;
    struct harness *server;
    struct smtp_client client;
    struct stats_block stats;
    char rcpt[RCPT_MAX][32];
    uint16_t want[RCPT_MAX];
    uint16_t got[RCPT_MAX];
    uint32_t rcpt_cnt;
    struct base_buf to_server;
    struct base_buf to_client;
    struct base_buf body;
    struct base_buf wanted; /* all bodies that must be stored */
    struct base_buf stored; /* those of sessions that are over */
    struct smtp_client_job job;
    uint32_t session_job_cnt; /* done on this session */
    size_t body_sent;
    size_t taken; /* of the server's out */
    bool in_body;
    bool plain; /* hide PIPELINING */
    bool idle;  /* between two jobs */
    bool lost;  /* the session is over and its job untried */
};

static struct base_span pair_rcpt(void *user, uint32_t index)
{
    const struct pair *p = user;
    return base_span_str(p->rcpt[index]);
}

static void make_body(struct pair *p)
{
    static const char *const lines[] = {".",   "..", "",         "From: x",         "Received",
                                        "a.",  ".x", "\xff\xfe", "MAIL FROM:<x@y>", X100,
                                        "QUIT"};
    uint64_t cnt = base_rand_below(&p->rand, 20);

    p->body.len = 0;
    for (uint64_t i = 0; i < cnt; i++) {
        harness_puts(&p->body, lines[base_rand_below(&p->rand, BASE_ARRAY_CNT(lines))]);
        harness_puts(&p->body, "\r\n");
    }
    p->body_sent = 0;
}

static void pair_start(struct pair *p)
{
    static const char *const senders[] = {"a@b", "", "no@b", "nodata@b", "nomsg@b"};
    static const uint16_t sender_codes[] = {250, 250, 550, 451, 451};
    uint64_t sender = base_rand_below(&p->rand, BASE_ARRAY_CNT(senders));
    bool any = false;

    make_body(p);
    p->rcpt_cnt =
        1 + (uint32_t)base_rand_below(&p->rand, base_rand_below(&p->rand, 8) == 0 ? 100 : 5);
    for (uint32_t i = 0; i < p->rcpt_cnt; i++) {
        static const char *const kinds[] = {"yes", "no", "later"};
        static const uint16_t codes[] = {250, 550, 451};
        uint64_t kind = base_rand_below(&p->rand, 3);
        snprintf(p->rcpt[i], sizeof(p->rcpt[i]), "%s%u@d", kinds[kind], i);
        p->want[i] = codes[kind] == 250 || sender == 2 ? sender_codes[sender] : codes[kind];
        p->got[i] = UINT16_MAX;
        any |= codes[kind] == 250;
    }
    if (any && sender < 2) {
        harness_puts(&p->wanted, "[");
        harness_put(&p->wanted, p->body.p, p->body.len);
        harness_puts(&p->wanted, "]");
    }
    p->job = (struct smtp_client_job){
        .sender = base_span_str(senders[sender]),
        .recipient = pair_rcpt,
        .user = p,
        .recipient_cnt = p->rcpt_cnt,
        .mail.size_bytes = p->body.len,
        .mail.body_8bit = base_rand_below(&p->rand, 2) == 0,
    };
    smtp_client_start(&p->client, &p->job);
}

static void pair_body(struct pair *p, struct base_buf *out)
{
    size_t left = p->body.len - p->body_sent, used;
    size_t n = left > 0 ? (size_t)base_rand_below(&p->rand, left + 1) : 0;

    smtp_client_body(&p->client, base_span_of(p->body.p + p->body_sent, n), &used, out);
    p->body_sent += used;
    if (p->body_sent == p->body.len && out->cap - out->len >= 5) {
        smtp_client_body_end(&p->client, out);
        p->in_body = false;
    }
}

/* Takes a random piece off the front of a queue. */
static size_t cut_piece(struct pair *p, const struct base_buf *b)
{
    uint64_t kind = base_rand_below(&p->rand, 4);
    size_t max = kind == 0 ? 1 : kind == 1 ? 20 : b->len;
    return b->len == 0 ? 0 : (size_t)base_rand_below(&p->rand, (max < b->len ? max : b->len) + 1);
}

static void drop_front(struct base_buf *b, size_t n)
{
    memmove(b->p, b->p + n, b->len - n);
    b->len -= n;
}

static void serve(struct pair *p)
{
    size_t n = cut_piece(p, &p->to_server);

    harness_feed(p->server, p->to_server.p, n);
    drop_front(&p->to_server, n);
    struct base_buf *out = &p->server->out;
    size_t from = p->to_client.len;
    harness_put(&p->to_client, out->p + p->taken, out->len - p->taken);
    p->taken = out->len;
    uint8_t *word = p->plain && p->to_client.len > from
                        ? memmem(p->to_client.p + from, p->to_client.len - from, "PIPELINING", 10)
                        : NULL;
    if (word != NULL)
        *word = 'X';
}

static void open_session(struct pair *p)
{
    static const struct smtp_server_settings settings = {
        .hostname = "mx.test", .message_size_max = 100000, .recipient_max = 100};

    p->server = harness_open(&settings, 1 + (size_t)base_rand_below(&p->rand, 200), 16384);
    p->taken = 0;
    p->session_job_cnt = 0;
    smtp_client_init(&p->client, "me.test", &p->stats);
}

static void close_session(struct pair *p)
{
    harness_put(&p->stored, p->server->bodies.p, p->server->bodies.len);
    harness_close(p->server);
    p->to_server.len = 0;
    p->to_client.len = 0;
}

/* The connection is lost, at one of the moments that cost no attempt. */
static void maybe_break(struct pair *p)
{
    bool waits = p->client.state == SMTP_CLIENT_STATE_ENVELOPE && p->client.answered_cnt == 0;

    if (p->session_job_cnt == 0 || (!p->idle && !waits) || base_rand_below(&p->rand, 20) != 0)
        return;
    smtp_client_fail(&p->client, "lost");
    p->to_client.len = 0;
    if (p->idle)
        pair_start(p);
    p->idle = false;
    p->lost = true;
}

/* The job that was untried, on a new session. */
static void go_on(struct pair *p)
{
    close_session(p);
    open_session(p);
    smtp_client_start(&p->client, &p->job);
    p->lost = false;
}

/* One push with a random piece. Returns false once the session is closed. */
static bool drive(struct pair *p, uint32_t *jobs_left)
{
    uint8_t room[SMTP_OUT_MIN + 50];
    struct base_buf out = {room, 0, sizeof(room)};
    size_t used, n = cut_piece(p, &p->to_client);

    maybe_break(p);
    n = n < p->to_client.len ? n : p->to_client.len;
    if (p->idle && base_rand_below(&p->rand, 3) == 0) {
        pair_start(p);
        p->idle = false;
    }
    if (p->in_body) {
        out.cap = 1 + (size_t)base_rand_below(&p->rand, 60); /* often full */
        pair_body(p, &out);
        harness_put(&p->to_server, out.p, out.len);
        return true;
    }
    enum smtp_client_event event =
        smtp_client_push(&p->client, base_span_of(p->to_client.p, n), &used, &out);
    drop_front(&p->to_client, used);
    if (event == SMTP_CLIENT_BODY)
        p->in_body = true;
    if (event == SMTP_CLIENT_RESULT) {
        uint32_t r = p->client.result.recipient;
        assert_in_range(r, 0, p->rcpt_cnt - 1);
        assert_int_equal(p->got[r], UINT16_MAX); /* once each */
        p->got[r] = p->client.result.code;
    }
    if (event == SMTP_CLIENT_DONE) {
        for (uint32_t i = 0; i < p->rcpt_cnt; i++)
            assert_int_equal(p->got[i], p->want[i]);
        if (--*jobs_left == 0)
            smtp_client_quit(&p->client, &out);
        p->session_job_cnt++;
        p->idle = *jobs_left > 0;
    }
    assert_true(event != SMTP_CLIENT_UNTRIED || p->lost);
    if (event == SMTP_CLIENT_CLOSE && p->lost) {
        go_on(p);
        return true;
    }
    harness_put(&p->to_server, out.p, out.len);
    return event != SMTP_CLIENT_CLOSE;
}

static uint64_t untried_cnt; /* of all seeds */

static void run_pair(uint64_t seed)
{
    struct pair *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);
    uint32_t jobs_left = 6;

    assert_non_null(p);
    memset(p, 0, sizeof(*p));
    base_rand_init(&p->rand, seed);
    p->plain = base_rand_below(&p->rand, 2) == 0;
    harness_grow(&p->to_server, 65536);
    harness_grow(&p->to_client, 65536);
    harness_grow(&p->body, 4096);
    harness_grow(&p->wanted, 32768);
    harness_grow(&p->stored, 32768);
    open_session(p);
    pair_start(p);
    uint32_t steps = 0;
    do {
        serve(p);
        assert_true(++steps < 1000000);
    } while (drive(p, &jobs_left));
    assert_int_equal(jobs_left, 0);
    close_session(p);
    assert_int_equal(p->stored.len, p->wanted.len);
    assert_memory_equal(p->stored.p, p->wanted.p, p->wanted.len);
    untried_cnt += stats_get(&p->stats, STATS_SMTP_CLIENT_UNTRIED);
    free(p->to_server.p);
    free(p->to_client.p);
    free(p->body.p);
    free(p->wanted.p);
    free(p->stored.p);
    free(p);
}

static void client_against_server(void **state)
{
    (void)state;
    const char *only = getenv("SEED");
    uint64_t from = only != NULL ? strtoull(only, NULL, 10) : 1;
    uint64_t cnt = only != NULL ? 1 : 300;

    for (uint64_t seed = from; seed < from + cnt; seed++) {
        *state = (void *)(uintptr_t)seed; /* the teardown prints it */
        run_pair(seed);
    }
    *state = NULL;
    assert_true(only != NULL || untried_cnt > 20);
}

static int print_seed(void **state)
{
    if (*state != NULL)
        print_error("failing seed: SEED=%ju\n", (uintmax_t)(uintptr_t)*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(client_against_server, print_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

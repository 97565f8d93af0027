/* Client and server of lib/smtp, back to back, by seed. */
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
    size_t body_sent;
    size_t taken; /* of the server's out */
    bool in_body;
    bool plain; /* hide PIPELINING */
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
    smtp_client_start(&p->client, &(struct smtp_client_job){
                                      .sender = base_span_str(senders[sender]),
                                      .recipient = pair_rcpt,
                                      .user = p,
                                      .recipient_cnt = p->rcpt_cnt,
                                      .mail.size_bytes = p->body.len,
                                      .mail.body_8bit = base_rand_below(&p->rand, 2) == 0,
                                  });
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

/* One push with a random piece. Returns false once the session is closed. */
static bool drive(struct pair *p, uint32_t *jobs_left)
{
    uint8_t room[SMTP_OUT_MIN + 50];
    struct base_buf out = {room, 0, sizeof(room)};
    size_t used, n = cut_piece(p, &p->to_client);

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
        if (--*jobs_left > 0)
            pair_start(p);
        else
            smtp_client_quit(&p->client, &out);
    }
    harness_put(&p->to_server, out.p, out.len);
    return event != SMTP_CLIENT_CLOSE;
}

static void run_pair(uint64_t seed)
{
    static const struct smtp_server_settings settings = {
        .hostname = "mx.test", .message_size_max = 100000, .recipient_max = 100};
    struct pair *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);
    uint32_t jobs_left = 4;

    assert_non_null(p);
    memset(p, 0, sizeof(*p));
    base_rand_init(&p->rand, seed);
    p->plain = base_rand_below(&p->rand, 2) == 0;
    p->server = harness_open(&settings, 1 + (size_t)base_rand_below(&p->rand, 200), 16384);
    harness_grow(&p->to_server, 65536);
    harness_grow(&p->to_client, 65536);
    harness_grow(&p->body, 4096);
    harness_grow(&p->wanted, 32768);
    smtp_client_init(&p->client, "me.test", &p->stats);
    pair_start(p);
    uint32_t steps = 0;
    do {
        serve(p);
        assert_true(++steps < 1000000);
    } while (drive(p, &jobs_left));
    assert_int_equal(jobs_left, 0);
    assert_int_equal(p->server->bodies.len, p->wanted.len);
    assert_memory_equal(p->server->bodies.p, p->wanted.p, p->wanted.len);
    harness_close(p->server);
    free(p->to_server.p);
    free(p->to_client.p);
    free(p->body.p);
    free(p->wanted.p);
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

/*
 * The smuggling matrix inside TLS, through every layer, in virtual time: each sequence that is like
 * the end of data, with a record that ends at each place in it, records that come whole or in
 * segments cut anywhere, at the edges of each scanner's blocks. What follows is a transaction that
 * only a wrong end would let in. test_smtp_body.c has the matrix without TLS, at every cut.
 */
#include "unit.h"

#include "smtp_reference.h"
#include "smtp_unit.h"

#include "conn_tls_rig.h" /* behind those: it has a global b */

#define TAIL "MAIL FROM:<smuggled@x>\r\nRCPT TO:<v@d>\r\nDATA\r\nboo\r\n.\r\n"
#define OPEN "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"

struct piece {
    const char *p;
    size_t len;
};
#define PIECE(s)                                                                                   \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

static const struct piece ends[] = {
    PIECE("\r\n"),   PIECE("\n"),     PIECE("\r"), PIECE("\n\r"), PIECE("\r\r\n"),
    PIECE("\r\n\0"), PIECE("\0\r\n"), PIECE("\0"), PIECE(""),
};
static const struct piece dots[] = {
    PIECE("."), PIECE("\0."), PIECE(".\0"), PIECE(".."), PIECE(" ."),
};
#define ENDS  BASE_ARRAY_CNT(ends)
#define CASES (ENDS * BASE_ARRAY_CNT(dots) * ENDS)

/* How the ciphertext goes: in one burst; a record each millisecond; so many bytes each. */
enum way { WAY_BURST, WAY_APART, WAY_PIECES, WAY_CNT };

static uint8_t message[400]; /* CRLF, then the body as it is sent */
static size_t message_len, sequence_at, sequence_len;
static struct reference expected;
static bool lets_in; /* the sequence is an end */
static bool spoils;  /* it is one, and what follows it spoils the next command */
static uint8_t stored[800];

static void make(size_t c, size_t pad)
{
    const struct piece *pieces[] = {&ends[c % ENDS], &dots[c / (ENDS * ENDS)],
                                    &ends[c / ENDS % ENDS]};
    struct base_buf out = {message, 0, sizeof(message)};

    harness_puts(&out, "\r\nSubject: x\r\n\r\n");
    for (size_t i = 0; i < pad; i++)
        harness_puts(&out, "p");
    sequence_at = out.len;
    for (int i = 0; i < 3; i++)
        harness_put(&out, pieces[i]->p, pieces[i]->len);
    sequence_len = out.len - sequence_at;
    size_t tail = out.len;
    harness_puts(&out, TAIL);
    message_len = out.len;
    memset(&expected, 0, sizeof(expected));
    expected.body = (struct base_buf){stored, 0, sizeof(stored)};
    reference_data(&expected, message, message_len, false, &harness_extended);
    assert_true(expected.ended);
    lets_in = expected.used + 2 == tail;
    spoils = expected.used + 2 < tail;
}

static void record(struct peer *p, size_t from, size_t to)
{
    size_t n;

    if (from == to)
        return;
    assert_int_equal(SSL_write_ex(p->tls.ssl, message + from, to - from, &n), 1);
    drive_tls(p);
}

static uint32_t lines_of(const char *text)
{
    uint32_t n = 0;

    for (; (text = strstr(text, "\r\n")) != NULL; text += 2)
        n++;
    return n;
}

static void check(struct peer *p, size_t c, size_t cut, enum way way)
{
    /* Replies: MAIL, RCPT, DATA and the second message; its lines as commands. */
    uint32_t wanted = lets_in ? 5 : spoils ? 6 : 1;

    peer_ask(p, OPEN, "354 ");
    base_container_of(b->lane->open.next, struct conn, place)->in.smtp.scanner =
        unit_scanner(c + cut);
    p->got_len = 0;
    p->got[0] = 0;
    p->chunk = way == WAY_PIECES ? 23 : SIZE_MAX;
    record(p, 2, cut);
    if (way == WAY_APART)
        run_ms(1);
    record(p, cut, message_len);
    for (int i = 0; i < 400 && lines_of(p->got) < wanted; i++)
        run_ms(1);
    run_ms(1);
    const char *reply = reference_reply(&expected);
    bool smuggled = strstr(p->got, "354 ") != NULL;
    if (lines_of(p->got) != wanted || strncmp(p->got, reply, strlen(reply)) != 0 ||
        smuggled != lets_in)
        fail_msg("case %zu, a record ends at %zu (sequence at %zu), way %d, wanted %s: %s", c, cut,
                 sequence_at, way, reply, p->got);
    p->chunk = SIZE_MAX;
    peer_ask(p, "RSET\r\n", "250 2.0.0 Ok\r\n");
}

static struct peer *session(void)
{
    struct peer *p = peer_session(0, IMPLICIT);

    struct smtp_server_settings *settings = &b->hub.started->smtp;

    settings->error_max = settings->junk_max = settings->mail_max = 0;
    peer_ask(p, "EHLO c.example\r\n", "250 ENHANCEDSTATUSCODES");
    return p;
}

static void smuggling_over_records(void **state)
{
    static const size_t edges[] = {16, 32, 64};
    struct peer *p = session();
    size_t run_cnt = 0;

    (void)state;
    for (size_t c = 0; c < CASES; c++) {
        make(c, edges[c % 3] - 3 + c % 5);
        for (size_t cut = sequence_at; cut <= sequence_at + sequence_len; cut++)
            for (int way = 0; way < WAY_CNT; way++) {
                run_cnt++;
                check(p, c, cut, (enum way)way);
            }
    }
    assert_true(run_cnt > 4000);
    peer_quit(p);
}

static int setup(void **state)
{
    static const char *const names[] = {"gw.example"};

    (void)state;
    dpdk_eal_init();
    b = calloc(1, sizeof(*b));
    kit_certificate_make(&rig_tls.certificate, "EC", names, 1, -1, 90);
    rig_tls.client = kit_client_context(0);
    return b != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    kit_certificate_free(&rig_tls.certificate);
    SSL_CTX_free(rig_tls.client);
    free(b);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(smuggling_over_records, open_tls_bench, close_tls_bench),
    };

    return cmocka_run_group_tests_name("conn_smuggling", tests, setup, teardown);
}

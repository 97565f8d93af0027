/*
 * Bodies by DATA: what ends them and what does not (the smuggling matrix), bare LF normalized, the
 * limits, and that every other byte comes through.
 */
#include "unit.h"

#include "smtp_reference.h"
#include "smtp_unit.h"

#define HI     "EHLO c.test\r\n"
#define DATA   "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
#define QUEUED "250 2.0.0 Ok: queued\r\n"
#define TAIL   "MAIL FROM:<smuggled@x>\r\nRCPT TO:<v@d>\r\nDATA\r\nboo\r\n.\r\n"

/* A session after 354, its output forgotten; a message of any size. */
static struct harness *open_data(const struct smtp_server_settings *settings, size_t scanner,
                                 size_t dst_cap, size_t room, bool normalize)
{
    struct harness *h = harness_open(settings, dst_cap, room);

    h->server.scanner = unit_scanner(scanner);
    h->server.normalize = normalize;
    harness_feed(h, HI DATA, strlen(HI DATA));
    h->out.len = h->trace.len = 0;
    return h;
}

/* ---- the smuggling matrix ---- */

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

/* One sequence in a body, with a transaction behind it that only a wrong end would let in. */
struct smuggle {
    uint8_t in[400];    /* CRLF, then the body as it is sent */
    size_t len;         /* of in */
    size_t at, seq_len; /* the sequence's place in it */
    bool normalize;
    bool smuggles; /* the sequence is CRLF.CRLF */
    struct reference e;
    uint8_t body[800];
};

static void smuggle_init(struct smuggle *m, const struct piece *pre, const struct piece *dot,
                         const struct piece *post, size_t pad, bool normalize)
{
    struct base_buf b = {m->in, 0, sizeof(m->in)};

    *m = (struct smuggle){.normalize = normalize};
    harness_puts(&b, "\r\n\r\n"); /* no header section */
    for (size_t i = 0; i < pad; i++)
        harness_puts(&b, "p");
    m->at = b.len;
    harness_put(&b, pre->p, pre->len);
    harness_put(&b, dot->p, dot->len);
    harness_put(&b, post->p, post->len);
    m->seq_len = b.len - m->at;
    size_t tail = b.len;
    harness_puts(&b, TAIL);
    m->len = b.len;
    m->e.body = (struct base_buf){m->body, 0, sizeof(m->body)};
    reference_data(&m->e, m->in, m->len, normalize, &harness_extended);
    m->smuggles = m->e.used + 2 == tail;
    assert_true(m->e.ended && (m->smuggles || m->e.used + 2 == m->len || m->e.used + 2 < tail));
}

static void smuggle_run(struct smuggle *m, size_t cut, size_t scanner)
{
    static const size_t dst_caps[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 500};
    struct harness *h =
        open_data(&harness_extended, scanner, dst_caps[(cut + m->at) % BASE_ARRAY_CNT(dst_caps)],
                  512, m->normalize);

    harness_feed(h, m->in + 2, cut - 2);
    harness_feed(h, m->in + cut, m->len - cut);
    bool smuggled = memmem(h->trace.p, h->trace.len, "M<smuggled@x>", 13) != NULL;
    assert_int_equal(smuggled, m->smuggles);
    assert_true(harness_starts(base_buf_span(&h->out), reference_reply(&m->e)));
    if (m->e.refusal != SMTP_REFUSAL_NONE) {
        assert_int_equal(h->bodies.len, m->smuggles ? 7 : 0); /* [boo CRLF], which was let in */
    } else {
        assert_true(h->bodies.len >= m->e.body.len + 2);
        assert_memory_equal(h->bodies.p + 1, m->e.body.p, m->e.body.len);
        assert_int_equal(h->bodies.p[1 + m->e.body.len], ']');
    }
    harness_close(h);
}

/* The product, at every place around the blocks of each scanner, at every cut in the sequence, and
 * at every cut at all for one place of each. */
static void smuggling_matrix(void **state)
{
    static struct smuggle m;
    static const size_t edges[] = {16, 32, 64};

    (void)state;
    for (size_t c = 0; c < BASE_ARRAY_CNT(ends) * BASE_ARRAY_CNT(dots) * BASE_ARRAY_CNT(ends); c++)
        for (size_t k = 0; k < 15; k++)
            for (int normalize = 0; normalize < 2; normalize++) {
                size_t pad = edges[k / 5] - 3 + k % 5;
                smuggle_init(&m, &ends[c % 9], &dots[c / 81], &ends[c / 9 % 9], pad, normalize);
                smuggle_run(&m, m.len, 1 + k / 5); /* whose blocks have that edge */
                bool all = c % 15 == k;
                size_t from = all ? 2 : m.at, to = all ? m.len - 1 : m.at + m.seq_len;
                for (size_t cut = from; cut <= to; cut++)
                    smuggle_run(&m, cut, c + cut + k);
            }
}

/* The truth is not only what the reference says: what the matrix must and must not let in. */
static void only_one_end(void **state)
{
    static struct smuggle m;

    (void)state;
    for (int normalize = 0; normalize < 2; normalize++) {
        smuggle_init(&m, &ends[0], &dots[0], &ends[0], 5, normalize);
        assert_true(m.smuggles);
        smuggle_init(&m, &ends[4], &dots[0], &ends[0], 5, normalize); /* CR CRLF.CRLF: an end */
        assert_true(m.smuggles && m.e.refusal == SMTP_REFUSAL_BARE_NEWLINE);
        for (size_t i = 1; i < 4; i++) {
            smuggle_init(&m, &ends[i], &dots[0], &ends[0], 5, normalize);
            assert_false(m.smuggles);
            smuggle_init(&m, &ends[0], &dots[0], &ends[i], 5, normalize);
            assert_false(m.smuggles);
        }
    }
    smuggle_init(&m, &ends[1], &dots[0], &ends[0], 0, true);
    assert_int_equal(m.e.refusal, SMTP_REFUSAL_NONE);
}

/* ---- bare LF normalized ---- */

static const struct {
    const char *in; /* with its end */
    const char *stored;
    const char *reply;
} normalize_rows[] = {
    {"a\nb\r\n.\r\n", "[a\r\nb\r\n]", QUEUED},
    {"A: b\n\nbody\n\n\n\r\n.\r\n", "[A: b\r\n\r\nbody\r\n\r\n\r\n\r\n]", QUEUED},
    {"\n\n.\r\n.\r\n", "[\r\n\r\n.\r\n]", QUEUED},
    /* None of these is an end, and a dot alone is content. */
    {"a\n.\nb\r\n.\r\n", "[a\r\n.\r\nb\r\n]", QUEUED},
    {"a\n.\r\nb\r\n.\r\n", "[a\r\n.\r\nb\r\n]", QUEUED},
    {"a\r\n.\nb\r\n.\r\n", "[a\r\n.\r\nb\r\n]", QUEUED},
    {".\n.\r\n", NULL, NULL},
    {".\nx\r\n.\r\n", "[.\r\nx\r\n]", QUEUED},
    {"\n.\r\n\r\n.\r\n", "[\r\n.\r\n\r\n]", QUEUED},
    /* Stuffed dots of such lines, as whoever sends LF stuffs them. */
    {"a\n..\n..b\n...\r\n.\r\n", "[a\r\n.\r\n.b\r\n..\r\n]", QUEUED},
    {"a\n.b\r\n.\r\n", "[a\r\nb\r\n]", QUEUED},
    {"a\rb\n\r\n.\r\n", "", "550 5.5.2 Error: bare <CR> received\r\n"},
    {"a\n\rb\r\n.\r\n", "", "550 5.5.2 Error: bare <CR> received\r\n"},
    {"a\r\r\n.\r\n", "", "550 5.5.2 Error: bare <CR> received\r\n"},
    {"a\n.\r\r\n.\r\n", "", "550 5.5.2 Error: bare <CR> received\r\n"},
    {"Received: 1\nReceived: 2\nReceived: 3\nReceived: 4\nReceived: 5\n\r\n.\r\n", "",
     "554 5.4.6 Error: too many hops\r\n"},
};

static void normalized(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_CNT(normalize_rows); i++)
        for (size_t cut = 0; cut <= strlen(normalize_rows[i].in); cut++) {
            struct harness *h = open_data(&harness_extended, cut, 1 + cut % 40, 512, true);
            harness_feed(h, normalize_rows[i].in, cut);
            harness_feed(h, normalize_rows[i].in + cut, strlen(normalize_rows[i].in) - cut);
            if (normalize_rows[i].reply == NULL) {
                assert_int_equal(h->server.state, SMTP_SESSION_BODY);
                assert_int_equal(h->out.len, 0);
            } else {
                unit_expect_text(&h->out, normalize_rows[i].reply);
                unit_expect_text(&h->bodies, normalize_rows[i].stored);
            }
            harness_close(h);
        }
    struct harness *h = open_data(&harness_extended, 0, 64, 512, true);
    harness_feed(h, "a\nb\n\r\n.\r\n", 9);
    assert_int_equal(stats_get(&h->stats, STATS_SMTP_NORMALIZED), 2);
    harness_close(h);
}

/* ---- limits ---- */

/* A line that is as long as it may be, and one that is longer by one; wherever it lies and however
 * it is cut. A stuffed dot and the CRLF do not count. */
static void line_limit(void **state)
{
    static const char *const heads[] = {"", "\r\n", "S: x\r\n\r\n", "\r\n..", "\r\nx\r\n.."};
    struct smtp_server_settings settings = harness_extended;
    char in[2000];

    (void)state;
    settings.line_max = 70;
    for (size_t k = 0; k < BASE_ARRAY_CNT(heads); k++)
        for (size_t lead = 0; lead < 140; lead += 7)
            for (size_t over = 0; over < 2; over++) {
                struct base_buf b = {(uint8_t *)in, 0, sizeof(in)};
                harness_puts(&b, heads[k]);
                size_t has = strlen(heads[k]) >= 2 && k >= 3; /* the dot that is left */
                for (size_t i = 0; k > 0 && !has && i < lead; i++)
                    harness_puts(&b, i % 20 == 19 ? "\r\n" : "l");
                if (k > 0 && !has)
                    harness_puts(&b, "\r\n");
                for (size_t i = has; i < settings.line_max + over; i++)
                    harness_puts(&b, "x");
                size_t long_end = b.len;
                harness_puts(&b, "\r\nend\r\n.\r\n");
                for (size_t cut = 0; cut <= b.len; cut += long_end - 3 <= cut ? 1 : 11) {
                    struct harness *h = open_data(&settings, cut, 1 + cut % 50, 2000, false);
                    harness_feed(h, in, cut);
                    harness_feed(h, in + cut, b.len - cut);
                    unit_expect_text(
                        &h->out, over != 0 ? "500 5.5.2 Error: message line too long\r\n" : QUEUED);
                    harness_close(h);
                }
            }
}

static void header_field_limit(void **state)
{
    struct smtp_server_settings settings = harness_extended;
    static const char in[] = "A: 1\r\n b\r\n\tc\r\nB: 2\r\n.C: 3\r\n\r\nD: 4\r\nE: 5\r\n.\r\n";

    (void)state;
    for (uint32_t max = 2; max <= 3; max++)
        for (size_t cut = 0; cut < sizeof(in); cut++) {
            settings.header_field_max = max;
            struct harness *h = open_data(&settings, cut, 64, 512, false);
            harness_feed(h, in, cut < strlen(in) ? cut : strlen(in));
            harness_feed(h, in + cut, strlen(in) - (cut < strlen(in) ? cut : strlen(in)));
            unit_expect_text(&h->out,
                             max == 2 ? "552 5.3.4 Error: too many header fields\r\n" : QUEUED);
            assert_int_equal(stats_get(&h->stats, STATS_SMTP_REFUSED_HEADER_FIELDS), max == 2);
            harness_close(h);
        }
}

/* Over the limit a message is read to its end; over twice the limit it is not. */
static void endless_message(void **state)
{
    static char in[6000];

    (void)state;
    memset(in, 'x', sizeof(in));
    memcpy(in, "\r\n", 2);
    for (size_t i = 70; i + 1 < sizeof(in); i += 72)
        memcpy(in + i, "\r\n", 2);
    for (int dirty = 0; dirty < 2; dirty++)
        for (size_t step = 1; step <= sizeof(in); step = step * 5 + 1) {
            struct harness *h = open_data(&harness_extended, step, 900, sizeof(in), false);
            in[300] = dirty != 0 ? '\n' : 'x';
            for (size_t at = 0; at < 4000; at += step)
                harness_feed(h, in + at, 4000 - at < step ? 4000 - at : step);
            assert_int_equal(h->out.len, 0);
            harness_feed(h, in + 4000, 1);
            harness_feed(h, "\r\n.\r\nNOOP\r\n", 11);
            unit_expect_text(&h->out, dirty != 0 ? "550 5.5.2 Error: bare <LF> received\r\n"
                                                 : "552 5.3.4 Error: message file too big\r\n");
            assert_true(h->closed);
            assert_int_equal(h->bodies.len, 0);
            assert_int_equal(stats_get(&h->stats, STATS_SMTP_CLOSED_SIZE), 1);
            harness_close(h);
        }
    struct harness *h = open_data(&harness_extended, 0, 900, sizeof(in), false);
    in[300] = 'x';
    harness_feed(h, in, 3990);
    harness_feed(h, "\r\n.\r\nNOOP\r\n", 11);
    unit_expect_text(&h->out, "552 5.3.4 Error: message file too big\r\n250 2.0.0 Ok\r\n");
    assert_false(h->closed);
    harness_close(h);
}

/* ---- every byte ---- */

static void every_byte_comes_through(void **state)
{
    uint8_t in[600];
    struct base_buf b = {in, 0, sizeof(in)};

    (void)state;
    harness_puts(&b, "\r\n");
    for (int round = 0; round < 2; round++)
        for (int c = 1; c < 256; c++)
            if (c != '\r' && c != '\n')
                harness_put(&b, &(uint8_t){(uint8_t)c}, 1);
    harness_puts(&b, "\r\n.\r\n");
    for (size_t s = 0; smtp_scan_at(s) != NULL; s++) {
        struct harness *h = open_data(&harness_extended, s, 700, 700, false);
        harness_feed(h, in, b.len);
        unit_expect_text(&h->out, QUEUED);
        assert_int_equal(h->bodies.len, b.len - 3 + 2);
        assert_memory_equal(h->bodies.p + 1, in, b.len - 3);
        harness_close(h);
    }
}

/* A NUL at every place. */
static void nul_is_refused(void **state)
{
    (void)state;
    for (size_t at = 0; at < 150; at++)
        for (size_t s = 0; smtp_scan_at(s) != NULL; s++) {
            char in[160];
            struct harness *h = open_data(&harness_extended, s, 64, 512, at % 2);
            memset(in, 'x', sizeof(in));
            in[at] = 0;
            memcpy(in + 154, "\r\n.\r\n", 5);
            harness_feed(h, in, 159);
            unit_expect_text(&h->out, "550 5.6.0 Error: NUL byte received\r\n");
            assert_int_equal(h->bodies.len, 0);
            harness_close(h);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smuggling_matrix),   cmocka_unit_test(only_one_end),
        cmocka_unit_test(normalized),         cmocka_unit_test(line_limit),
        cmocka_unit_test(header_field_limit), cmocka_unit_test(endless_message),
        cmocka_unit_test(nul_is_refused),     cmocka_unit_test(every_byte_comes_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The body's scanner against one that is written down from the definition: it ends at CRLF.CRLF and
 * nowhere else, gives the same bytes, and refuses for the same reason. */
#include "smtp_harness.h"
#include "base_rand.h"
#include "fuzz_token.h"

#define STREAM_CAP 6000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_token tokens[] = {
    FUZZ_TOKEN("\r\n"),
    FUZZ_TOKEN("\r\n.\r\n"),
    FUZZ_TOKEN("."),
    FUZZ_TOKEN("\r"),
    FUZZ_TOKEN("\n"),
    FUZZ_TOKEN("\0"),
    FUZZ_TOKEN("\r\n.."),
    FUZZ_TOKEN("\r\n\r\n"),
    FUZZ_TOKEN("Received:"),
    FUZZ_TOKEN("rEceived \t:"),
    FUZZ_TOKEN("\r\n."),
    FUZZ_TOKEN("0123456789abcde"),
    FUZZ_TOKEN("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
};

struct expected {
    bool ended;
    size_t used; /* through the end */
    enum smtp_refusal refusal;
    bool lf_first;
    size_t header_len;
    struct base_buf body;
};

static bool is_received(const uint8_t *line, size_t len)
{
    size_t i = 8;

    if (len < 9 || !base_span_caseeq(base_span_of(line, 8), base_span_str("received")))
        return false;
    while (i < len && (line[i] == ' ' || line[i] == '\t'))
        i++;
    return i < len && line[i] == ':';
}

/* p holds a CRLF before the body, so that the body's first line starts as all others. */
static void reference(struct expected *e, const uint8_t *p, size_t len,
                      const struct smtp_server_settings *settings)
{
    const uint8_t *end = memmem(p, len, "\r\n.\r\n", 5);
    bool bare = false, nul = false, in_header = true;
    size_t hops = 0;

    e->ended = end != NULL;
    if (!e->ended)
        return;
    size_t stop = (size_t)(end - p) + 2; /* the dot */
    e->used = stop + 3 - 2;
    for (size_t i = 2; i < stop; i++) {
        bool lf = p[i] == '\n' && p[i - 1] != '\r', cr = p[i] == '\r' && p[i + 1] != '\n';
        if ((lf || cr) && !bare)
            e->lf_first = lf;
        bare = bare || lf || cr;
        nul = nul || p[i] == 0;
    }
    e->refusal = bare ? SMTP_REFUSAL_BARE_NEWLINE : nul ? SMTP_REFUSAL_NUL : SMTP_REFUSAL_NONE;
    if (e->refusal != SMTP_REFUSAL_NONE)
        return;
    for (size_t i = 2; i < stop;) {
        const uint8_t *lf = memchr(p + i, '\n', stop - i);
        size_t line = (size_t)(lf - p) - i + 1, skip = p[i] == '.';
        bool empty = line == 2;
        harness_put(&e->body, p + i + skip, line - skip);
        if (in_header) {
            e->header_len = e->body.len;
            hops += is_received(p + i + skip, line - skip - 2);
        }
        in_header = in_header && !empty;
        i += line;
    }
    if (e->body.len > settings->message_size_max)
        e->refusal = SMTP_REFUSAL_SIZE;
    else if (e->header_len > settings->header_bytes_max)
        e->refusal = SMTP_REFUSAL_HEADER_SIZE;
    else if (hops > settings->hop_max)
        e->refusal = SMTP_REFUSAL_HOPS;
}

static const char *reply_start(const struct expected *e)
{
    switch (e->refusal) {
    case SMTP_REFUSAL_BARE_NEWLINE:
        return e->lf_first ? "550 5.5.2 Error: bare <LF>" : "550 5.5.2 Error: bare <CR>";
    case SMTP_REFUSAL_NUL:
        return "550 5.6.0 ";
    case SMTP_REFUSAL_HOPS:
        return "554 5.4.6 ";
    case SMTP_REFUSAL_SIZE:
    case SMTP_REFUSAL_HEADER_SIZE:
        return "552 5.3.4 ";
    default:
        return "250 2.0.0 ";
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char envelope[] = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    static uint8_t room[STREAM_CAP], body_room[STREAM_CAP];
    struct base_buf stream = {room, 0, sizeof(room)};
    struct expected e = {.body = {body_room, 0, sizeof(body_room)}};
    struct base_rand rand;
    char text[32];

    if (size < 2)
        return 0;
    harness_puts(&stream, "\r\n");
    fuzz_expand(&stream, base_span_of(data + 2, size - 2), tokens, BASE_ARRAY_CNT(tokens));
    base_rand_init(&rand, data[0] | (uint64_t)data[1] << 8);
    reference(&e, stream.p, stream.len, &harness_settings);

    struct harness *h = harness_open(&harness_settings, 1 + base_rand_below(&rand, 70), STREAM_CAP);
    harness_feed(h, envelope, strlen(envelope));
    size_t replies = h->out.len, events = h->trace.len;
    size_t len = e.ended ? e.used : stream.len - 2;
    uint64_t most = 1 + base_rand_below(&rand, 100);
    for (size_t i = 0, n; i < len; i += n) {
        base_assert(h->out.len == replies); /* nothing is said before the end */
        n = (size_t)(1 + base_rand_below(&rand, most));
        n = n < len - i ? n : len - i;
        harness_feed(h, stream.p + 2 + i, n);
    }
    if (!e.ended) {
        base_assert(h->out.len == replies && h->server.state == SMTP_SESSION_BODY);
    } else {
        base_assert(h->server.state == SMTP_SESSION_GREETED && h->in.len == 0);
        base_assert(harness_starts(base_span_of(h->out.p + replies, h->out.len - replies),
                                   reply_start(&e)));
        if (e.refusal == SMTP_REFUSAL_NONE) {
            base_assert(h->bodies.len == e.body.len + 2);
            base_assert(memcmp(h->bodies.p + 1, e.body.p, e.body.len) == 0);
            snprintf(text, sizeof(text), "h%zu stored ", e.header_len);
            base_assert(h->trace.len == events + strlen(text));
            base_assert(memcmp(h->trace.p + events, text, strlen(text)) == 0);
        } else {
            base_assert(h->bodies.len == 0 && h->server.refusal == e.refusal);
        }
    }
    harness_close(h);
    return 0;
}

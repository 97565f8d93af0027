/* The body's scanner against one that is written down from the definition: it ends at CRLF.CRLF and
 * nowhere else, gives the same bytes, and refuses for the same reason; bare LF refused or
 * normalized, by each scanner. */
#include "smtp_reference.h"
#include "smtp_scan.h"
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

/* The limits of a body, most of them tight. */
static const struct smtp_server_settings tight = {
    .hostname = "mx.test",
    .message_size_max = 2000,
    .recipient_max = 3,
    .header_bytes_max = 600,
    .header_field_max = 12,
    .line_max = 250,
    .hop_max = 4,
};

/* What came of it. */
static void check(const struct harness *h, const struct reference *e, struct base_span reply,
                  struct base_span events)
{
    char text[32];

    if (h->closed) { /* before its end */
        base_assert(e->long_too && h->bodies.len == 0);
        base_assert(harness_starts(reply, "55"));
        return;
    }
    base_assert(h->server.state == SMTP_SESSION_GREETED && h->in.len == 0);
    base_assert(harness_starts(reply, reference_reply(e)));
    if (e->refusal != SMTP_REFUSAL_NONE) {
        base_assert(h->bodies.len == 0 && h->server.refusal == e->refusal);
        return;
    }
    base_assert(h->bodies.len == e->body.len + 2);
    base_assert(memcmp(h->bodies.p + 1, e->body.p, e->body.len) == 0);
    snprintf(text, sizeof(text), "h%zu stored ", e->header_len);
    base_assert(events.len == strlen(text) && memcmp(events.p, text, events.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char envelope[] = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    static uint8_t room[STREAM_CAP], body_room[2 * STREAM_CAP];
    struct base_buf stream = {room, 0, sizeof(room)};
    struct reference e = {.body = {body_room, 0, sizeof(body_room)}};
    struct base_rand rand;

    if (size < 2)
        return 0;
    harness_puts(&stream, "\r\n");
    fuzz_expand(&stream, base_span_of(data + 2, size - 2), tokens, BASE_ARRAY_CNT(tokens));
    base_rand_init(&rand, data[0] | (uint64_t)data[1] << 8);
    bool normalize = base_rand_below(&rand, 2) != 0;
    const struct smtp_server_settings *settings =
        base_rand_below(&rand, 2) != 0 ? &tight : &harness_settings;
    reference_data(&e, stream.p, stream.len, normalize, settings);

    struct harness *h = harness_open(settings, 1 + base_rand_below(&rand, 70), STREAM_CAP);
    size_t scanner = base_rand_below(&rand, 4);
    if (smtp_scan_at(scanner) != NULL)
        h->server.scanner = smtp_scan_at(scanner);
    h->server.normalize = normalize;
    harness_feed(h, envelope, strlen(envelope));
    size_t replies = h->out.len, events = h->trace.len;
    size_t len = e.ended ? e.used : stream.len - 2;
    uint64_t most = 1 + base_rand_below(&rand, 100);
    for (size_t i = 0, n; i < len; i += n) {
        base_assert(h->out.len == replies || h->closed); /* nothing is said before the end */
        n = (size_t)(1 + base_rand_below(&rand, most));
        n = n < len - i ? n : len - i;
        harness_feed(h, stream.p + 2 + i, n);
    }
    if (e.ended || h->closed)
        check(h, &e, base_span_of(h->out.p + replies, h->out.len - replies),
              base_span_of(h->trace.p + events, h->trace.len - events));
    else
        base_assert(h->out.len == replies && h->server.state == SMTP_SESSION_BODY);
    harness_close(h);
    return 0;
}

/* A session: replies, events, bodies and counters are the same however the input is cut, and
 * whichever scanner reads the bodies. */
#include "smtp_harness.h"
#include "smtp_scan.h"
#include "base_rand.h"
#include "fuzz_token.h"

#define STREAM_CAP 6000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_token tokens[] = {
    FUZZ_TOKEN("EHLO c\r\n"),
    FUZZ_TOKEN("HELO c\r\n"),
    FUZZ_TOKEN("MAIL FROM:<a@b>\r\n"),
    FUZZ_TOKEN("RCPT TO:<c@d>\r\n"),
    FUZZ_TOKEN("DATA\r\n"),
    FUZZ_TOKEN("\r\n.\r\n"),
    FUZZ_TOKEN("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"),
    FUZZ_TOKEN("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\n"),
    FUZZ_TOKEN("BDAT 5\r\n"),
    FUZZ_TOKEN("BDAT 16 LAST\r\n"),
    FUZZ_TOKEN("BDAT 0\r\n"),
    FUZZ_TOKEN("BDAT 0 LAST\r\n"),
    FUZZ_TOKEN("BDAT 1500\r\n"),
    FUZZ_TOKEN("BDAT "),
    FUZZ_TOKEN(" LAST\r\n"),
    FUZZ_TOKEN("MAIL FROM:"),
    FUZZ_TOKEN("RCPT TO:"),
    FUZZ_TOKEN(" SIZE="),
    FUZZ_TOKEN(" BODY=8BITMIME"),
    FUZZ_TOKEN(" SMTPUTF8"),
    FUZZ_TOKEN(" RET=FULL"),
    FUZZ_TOKEN(" ENVID="),
    FUZZ_TOKEN(" NOTIFY=NEVER"),
    FUZZ_TOKEN(" NOTIFY=SUCCESS,FAILURE"),
    FUZZ_TOKEN(",DELAY"),
    FUZZ_TOKEN(" ORCPT=rfc822;"),
    FUZZ_TOKEN(" ORCPT=utf-8;"),
    FUZZ_TOKEN("+2B"),
    FUZZ_TOKEN("+0A"),
    FUZZ_TOKEN("\xc3\xa4"),
    FUZZ_TOKEN("<\xc3\xa4@b>"),
    FUZZ_TOKEN("EHLO c\r\nMAIL FROM:<a@b> SMTPUTF8\r\nRCPT TO:<c@d>"),
    FUZZ_TOKEN("<no@b>"),
    FUZZ_TOKEN("<shut@b>"),
    FUZZ_TOKEN("MAIL FROM:<nodata@b>\r\n"),
    FUZZ_TOKEN("MAIL FROM:<nomsg@b>\r\n"),
    FUZZ_TOKEN("MAIL FROM:<full@b>\r\n"),
    FUZZ_TOKEN("RSET\r\n"),
    FUZZ_TOKEN("NOOP\r\n"),
    FUZZ_TOKEN("QUIT\r\n"),
    FUZZ_TOKEN("VRFY x\r\n"),
    FUZZ_TOKEN("PROXY UNKNOWN\r\n"),
    FUZZ_TOKEN("STARTTLS\r\n"),
    FUZZ_TOKEN("EHLO no\r\nSTARTTLS\r\n"),
    FUZZ_TOKEN("AUTH\r\n"),
    FUZZ_TOKEN("AUTH PLAIN\r\n"),
    FUZZ_TOKEN("AUTH LOGIN =\r\n"),
    FUZZ_TOKEN("AUTH PLAIN eWVz\r\n"),
    FUZZ_TOKEN("bW9yZQ==\r\n"),
    FUZZ_TOKEN("eWVz\r\n"),
    FUZZ_TOKEN("*\r\n"),
    FUZZ_TOKEN(" AUTH=<>"),
    FUZZ_TOKEN("GET / HTTP/1.0\r\n"),
    FUZZ_TOKEN("\x16\x03\x01"),
    FUZZ_TOKEN("\r\n"),
    FUZZ_TOKEN("\r"),
    FUZZ_TOKEN("\n"),
    FUZZ_TOKEN("\0"),
    FUZZ_TOKEN("Received: x\r\n"),
    FUZZ_TOKEN("0123456789012345678901234567890123456789012345678901234567890123456789"
               "0123456789012345678901234567890123456789012345678901234567890123456789"
               "0123456789012345678901234567890123456789012345678901234567890123456789"
               "0123456789012345678901234567890123456789012345678901234567890123456789"),
};

static void expect_same(const struct base_buf *a, const struct base_buf *b)
{
    base_assert(a->len == b->len && memcmp(a->p, b->p, a->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[STREAM_CAP];
    struct base_buf stream = {room, 0, sizeof(room)};
    struct base_rand rand;

    if (size < 2)
        return 0;
    fuzz_expand(&stream, base_span_of(data + 2, size - 2), tokens, BASE_ARRAY_CNT(tokens));
    base_rand_init(&rand, data[0] | (uint64_t)data[1] << 8);
    static const struct smtp_server_settings *const by_turns[] = {
        &harness_settings, &harness_extended, &harness_chunks};
    const struct smtp_server_settings *settings = by_turns[base_rand_below(&rand, 3)];
    struct harness *whole = harness_open(settings, 4096, STREAM_CAP);
    struct harness *cut = harness_open(settings, 1 + base_rand_below(&rand, 70), STREAM_CAP);
    whole->server.tls = cut->server.tls = (uint8_t)base_rand_below(&rand, SMTP_TLS_ON + 1);
    whole->server.normalize = cut->server.normalize = base_rand_below(&rand, 2) != 0;
    whole->server.scanner = smtp_scan_at(0);
    whole->server.auth_mechanisms = cut->server.auth_mechanisms =
        (uint8_t)base_rand_below(&rand, 1U << SMTP_SASL_MECHANISM_CNT);
    whole->server.auth_clear = cut->server.auth_clear = base_rand_below(&rand, 2) == 0;
    uint64_t most = 1 + base_rand_below(&rand, 100);

    harness_feed(whole, stream.p, stream.len);
    for (size_t i = 0, n; i < stream.len; i += n) {
        n = (size_t)(1 + base_rand_below(&rand, most));
        n = n < stream.len - i ? n : stream.len - i;
        harness_feed(cut, stream.p + i, n);
    }
    expect_same(&whole->out, &cut->out);
    expect_same(&whole->trace, &cut->trace);
    expect_same(&whole->bodies, &cut->bodies);
    base_assert(whole->closed == cut->closed);
    /* Which commands others followed at once is the one thing that does depend on the cut. */
    for (int i = 0; i < STATS_CNT; i++)
        base_assert(i == STATS_LIMIT_EARLY_COMMANDS ||
                    stats_get(&whole->stats, i) == stats_get(&cut->stats, i));
    /* Replies are lines that end in CRLF. */
    for (size_t i = 0; i < cut->out.len; i++)
        base_assert((cut->out.p[i] != '\n' || cut->out.p[i - 1] == '\r') && cut->out.p[i] != 0);
    base_assert(cut->out.p[cut->out.len - 1] == '\n');
    harness_close(whole);
    harness_close(cut);
    return 0;
}

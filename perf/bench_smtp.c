/*
 * What the SMTP layer costs by itself: no TCP, no TLS, no spool.
 *
 *   bench_smtp scan          bytes a second of the body scanner, for each that this machine has
 *   bench_smtp transaction   cycles (TSC ticks) of a message of 4 KiB, its commands and data in one
 *                            piece, as a client sends them that pipelines
 *
 * Lines "who metric value unit"; who is the scanner. Figures are medians of slices, so that another
 * process that takes the core for a while spoils some slices and not the figure.
 */
#include "smtp_scan.h"
#include "smtp_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#define TEXT_BYTES  (192 * 1024) /* with as much of target: inside of L2 */
#define BUF_BYTES   16384        /* a spool buffer */
#define SLICES      400
#define SLICE_TURNS 16
#define MAIL_BYTES  4096

struct bench {
    struct smtp_server smtp;
    struct stats_block stats;
    uint8_t before; /* the scanner looks at the byte before its text */
    uint8_t text[TEXT_BYTES];
    uint8_t target[TEXT_BYTES];
    uint8_t out[65536];
    double slice[SLICES];
};

static struct bench *b;

static const struct smtp_server_settings settings = {
    .hostname = "mx.example.org",
    .message_size_max = 50 << 20,
    .recipient_max = 1000,
    .error_max = 20,
    .junk_max = 100,
    .header_bytes_max = 128 << 10,
    .header_field_max = 1000,
    .line_max = 998,
    .hop_max = 100,
    .extensions = SMTP_EXTENSION_DSN | SMTP_EXTENSION_SMTPUTF8 | SMTP_EXTENSION_CHUNKING,
};

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, c = *(const double *)y;
    return (a > c) - (a < c);
}

static double median(void)
{
    qsort(b->slice, SLICES, sizeof(b->slice[0]), compare);
    return b->slice[SLICES / 2];
}

static double tsc_hz(void)
{
    struct timespec from, to;
    uint64_t start = __rdtsc();

    clock_gettime(CLOCK_MONOTONIC, &from);
    do
        clock_gettime(CLOCK_MONOTONIC, &to);
    while ((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 < 100);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    return (double)(__rdtsc() - start) / seconds;
}

/* ---- bodies ---- */

/* Lines of `len` bytes; 0: of lengths as a mail has them, up to 76, some empty. A dot_every-th line
 * starts with a stuffed dot; 0: none. */
static void fill_text(size_t len, unsigned dot_every)
{
    uint32_t seed = 1;
    size_t at = 0;

    b->before = '\n';
    for (unsigned line = 1; at < TEXT_BYTES; line++) {
        seed = seed * 1664525 + 1013904223;
        size_t n = len > 0           ? len
                   : seed >> 24 < 32 ? 0
                   : seed >> 24 < 96 ? seed >> 26
                                     : 60 + (seed >> 28);
        if (n + 4 > TEXT_BYTES - at)
            n = TEXT_BYTES - at - 2;
        memset(b->text + at, 'a' + (int)(line % 26), n);
        if (dot_every != 0 && line % dot_every == 0 && n > 2)
            memset(b->text + at, '.', 2);
        memcpy(b->text + at + n, "\r\n", 2);
        at += n + 2;
    }
}

static const struct workload {
    const char *name;
    size_t line;
    unsigned dot_every;
} workloads[] = {
    {"mail", 0, 0}, {"lines_76", 76, 0}, {"lines_990", 990, 0}, {"dots", 76, 1}, {"dots_8", 76, 8},
};

/* The scanner alone, as it is called for segments of so many bytes. */
static void scan_text(const struct smtp_scan *s, size_t piece)
{
    for (size_t at = 0; at < TEXT_BYTES;) {
        size_t n = TEXT_BYTES - at < piece ? TEXT_BYTES - at : piece;
        struct smtp_scan_run r = s->run(b->target + at, b->text + at, n, SMTP_SCAN_DATA);
        at += r.used > 0 ? r.used : 1;
    }
}

static void fail(const char *what)
{
    fprintf(stderr, "bench_smtp: %s\n", what);
    exit(1);
}

/* The session's body, into spool buffers. */
static void body_text(size_t piece)
{
    struct base_buf out = {.p = b->out, .cap = sizeof(b->out)};
    struct base_buf dst = {.p = b->target, .cap = BUF_BYTES};
    enum smtp_server_event event;

    for (size_t at = 0; at < TEXT_BYTES;) {
        size_t n = TEXT_BYTES - at < piece ? TEXT_BYTES - at : piece, used;
        enum smtp_body_state state =
            smtp_server_body(&b->smtp, base_span_of(b->text + at, n), &used, &dst, &out, &event);
        at += used;
        if (state == SMTP_BODY_END || b->smtp.refusals != 0)
            fail("the body ended");
        if (dst.len == dst.cap) {
            dst.p = dst.p + 2 * BUF_BYTES <= b->target + TEXT_BYTES ? dst.p + BUF_BYTES : b->target;
            dst.len = 0;
        }
    }
}

static void open_session(const struct smtp_scan *s);
static void run_commands(const char *text);

static void scan(double hz)
{
    static const size_t pieces[] = {1448, 16384};
    char metric[64];

    for (size_t w = 0; w < BASE_ARRAY_CNT(workloads); w++) {
        fill_text(workloads[w].line, workloads[w].dot_every);
        for (size_t i = 0; smtp_scan_at(i) != NULL; i++)
            for (size_t k = 0; k < 2 * BASE_ARRAY_CNT(pieces); k++) {
                const struct smtp_scan *s = smtp_scan_at(i);
                bool body = k % 2 != 0;
                open_session(s);
                run_commands("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\r\n");
                for (int n = 0; n < SLICES; n++) {
                    b->smtp.message_bytes = 0;
                    uint64_t start = __rdtsc();
                    if (body)
                        body_text(pieces[k / 2]);
                    else
                        scan_text(s, pieces[k / 2]);
                    b->slice[n] = TEXT_BYTES / ((double)(__rdtsc() - start) / hz) / 1e9;
                }
                snprintf(metric, sizeof(metric), "%s_%s_%zu_gbytes_per_s", body ? "body" : "scan",
                         workloads[w].name, pieces[k / 2]);
                printf("%s %s %.2f GB/s\n", s->name, metric, median());
            }
    }
}

/* ---- a transaction ---- */

static void open_session(const struct smtp_scan *s)
{
    struct base_buf out = {.p = b->out, .cap = sizeof(b->out)};

    smtp_server_init(&b->smtp, &settings, &b->stats);
    b->smtp.scanner = s;
    smtp_server_greet(&b->smtp, &out);
}

/* As a lane answers: everybody may send, and what was taken is durable at once. */
static void answer(enum smtp_server_event event, struct base_buf *dst, struct base_buf *out)
{
    static const struct smtp_reply mail = {250, "2.1.0", "Ok"}, rcpt = {250, "2.1.5", "Ok"};
    static const struct smtp_reply stored = {250, "2.0.0",
                                             "Ok: queued as 0123456789abcdef0123456789abcdef"};
    struct smtp_received r = {
        .helo = base_span_of(b->smtp.helo, b->smtp.helo_len),
        .client_address = "192.0.2.55",
        .hostname = settings.hostname,
        .id = "0123456789abcdef0123456789abcdef",
        .recipient = base_span_str("someone@example.org"),
        .wall_ns = UINT64_C(1700000000000000000),
        .extended = true,
    };

    switch (event) {
    case SMTP_SERVER_MAIL:
        return smtp_server_answer(&b->smtp, &mail, out);
    case SMTP_SERVER_RCPT:
        return smtp_server_answer(&b->smtp, &rcpt, out);
    case SMTP_SERVER_DATA:
        dst->len = 0;
        if (smtp_received_write(dst, &r) != 0)
            fail("no room for Received");
        return smtp_server_answer(&b->smtp, NULL, out);
    case SMTP_SERVER_MESSAGE:
        return smtp_server_answer(&b->smtp, &stored, out);
    default:
        break;
    }
}

static void run_commands(const char *text)
{
    struct base_span in = base_span_str(text);
    struct base_buf out = {.p = b->out, .cap = sizeof(b->out)};
    struct base_buf dst = {.p = b->target, .cap = BUF_BYTES};

    while (in.len > 0) {
        enum smtp_server_event event = SMTP_SERVER_MORE;
        size_t used;
        if (b->smtp.state == SMTP_SESSION_BODY) {
            if (smtp_server_body(&b->smtp, in, &used, &dst, &out, &event) == SMTP_BODY_FULL)
                fail("the buffer is full");
        } else {
            event = smtp_server_push(&b->smtp, in, &used, &out);
        }
        answer(event, &dst, &out);
        if (event == SMTP_SERVER_CLOSE || event == SMTP_SERVER_REFUSED)
            fail("the session ended");
        in = base_span_of(in.p + used, in.len - used);
    }
}

/* A mail of MAIL_BYTES with a header section of common size, and its commands. */
static char *make_mail(void)
{
    static const char envelope[] =
        "MAIL FROM:<someone.else@client.example> SIZE=4096 BODY=8BITMIME\r\n"
        "RCPT TO:<someone@example.org>\r\nDATA\r\n";
    static const char head[] =
        "Received: from relay.client.example (relay.client.example [192.0.2.7])\r\n"
        "\tby out.client.example with ESMTPS id 0123456789ABCDEF\r\n"
        "\tfor <someone@example.org>; Tue, 14 Nov 2023 22:13:20 +0000\r\n"
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=client.example;\r\n"
        "\ts=mail; t=1700000000; bh=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=;\r\n"
        "\th=From:To:Subject:Date:Message-ID:MIME-Version:Content-Type;\r\n"
        "\tb=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"
        "\t bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"
        "From: Someone Else <someone.else@client.example>\r\nTo: <someone@example.org>\r\n"
        "Subject: What has come of it\r\nDate: Tue, 14 Nov 2023 22:13:19 +0000\r\n"
        "Message-ID: <0123456789abcdef@client.example>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
    char *mail = malloc(sizeof(envelope) + MAIL_BYTES + 16);

    if (mail == NULL)
        fail("out of memory");
    size_t at = (size_t)sprintf(mail, "%s", envelope), body = at;
    at += (size_t)sprintf(mail + at, "%s", head);
    while (at - body < MAIL_BYTES - 80)
        at += (size_t)sprintf(
            mail + at, "%s\r\n",
            "It was a line of text, as people write them, of seventy-two bytes or so.");
    while (at - body < MAIL_BYTES - 2)
        mail[at++] = 'x';
    memcpy(mail + at, "\r\n.\r\n", sizeof("\r\n.\r\n"));
    return mail;
}

static void transaction(void)
{
    char *mail = make_mail();

    for (size_t i = 0; smtp_scan_at(i) != NULL; i++) {
        open_session(smtp_scan_at(i));
        run_commands("EHLO client.example\r\n");
        for (int n = 0; n < SLICES; n++) {
            uint64_t start = __rdtsc();
            for (int k = 0; k < SLICE_TURNS; k++)
                run_commands(mail);
            b->slice[n] = (double)(__rdtsc() - start) / SLICE_TURNS;
        }
        printf("%s cycles_per_transaction_4k %.0f cycles\n", smtp_scan_at(i)->name, median());
    }
    if (b->smtp.message_cnt != SLICES * SLICE_TURNS)
        fail("not every message was taken");
    free(mail);
}

/* For a counter of instructions. */
__attribute__((noinline)) static void counted_mail(const char *mail)
{
    run_commands(mail);
}

static void count(const char *name, unsigned long cnt)
{
    char *mail = make_mail();
    size_t i = 0;

    while (smtp_scan_at(i) != NULL && strcmp(smtp_scan_at(i)->name, name) != 0)
        i++;
    if (smtp_scan_at(i) == NULL)
        fail("this processor has no such scanner");
    open_session(smtp_scan_at(i));
    run_commands("EHLO client.example\r\n");
    while (cnt-- > 0)
        counted_mail(mail);
    free(mail);
}

int main(int argc, char **argv)
{
    b = aligned_alloc(64, (sizeof(*b) + 63) / 64 * 64);
    if (b == NULL)
        fail("out of memory");
    memset(b, 0, sizeof(*b));
    if (argc == 2 && strcmp(argv[1], "scan") == 0)
        scan(tsc_hz());
    else if (argc == 2 && strcmp(argv[1], "transaction") == 0)
        transaction();
    else if (argc == 4 && strcmp(argv[1], "count") == 0)
        count(argv[2], strtoul(argv[3], NULL, 10));
    else
        fail("usage: bench_smtp scan|transaction|count SCANNER N");
    free(b);
    return 0;
}

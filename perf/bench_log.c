/*
 * What the log costs: cycles (TSC ticks) of the lane for the records of one message in a session
 * that goes on (message, accepted) and of a connection (connect, disconnect), and of the writer for
 * a line of each form, without the write.
 *
 * Lines "who metric value unit". A ring of a gateway's depth is filled and emptied by the same
 * thread, so that what crosses between two cores is not in the figure. Figures are medians of
 * slices.
 */
#include "log_format.h"
#include "mail_message_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#define RING_CNT 4096
#define SLICES   200
#define TURNS    512 /* of a slice: they fit into the ring */

static const char header[] =
    "Received: from mail.example.net (mail.example.net [192.0.2.17])\r\n"
    "\tby mx1.example.net (Postfix) with ESMTPS id 4TQx2k0v5Fz1\r\n"
    "\tfor <someone@example.org>; Mon, 2 Jan 2026 15:04:05 +0000 (UTC)\r\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=mail;\r\n"
    "\th=from:to:subject:date:message-id; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n"
    "\tb=abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv\r\n"
    "From: Some Body <somebody@example.net>\r\nTo: someone@example.org\r\n"
    "Subject: of a length that subjects have\r\nDate: Mon, 2 Jan 2026 15:04:05 +0000\r\n"
    "Message-ID: <20260102150405.4TQx2k0v5Fz1@mail.example.net>\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";

static struct stats_log bench_log;
static struct stats_log_record taken[64];
static double slices[SLICES];

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(void)
{
    qsort(slices, SLICES, sizeof(slices[0]), compare);
    return slices[SLICES / 2];
}

static void begin(struct stats_log_record *r, enum stats_log_event event)
{
    stats_log_begin(r, event, UINT64_C(1767323045123456789));
    memset(r->address, 0x20, sizeof(r->address));
    memset(r->id, 0x31, sizeof(r->id));
    r->port = 4711;
}

static void message(void)
{
    struct stats_log_record r;
    struct base_span id = mail_message_id_find(base_span_of(header, sizeof(header) - 1), true);

    if (!stats_log_reserve(&bench_log, 2))
        abort();
    begin(&r, STATS_LOG_MESSAGE);
    stats_log_text(&r, id);
    stats_log_push_reserved(&bench_log, &r);
    begin(&r, STATS_LOG_ACCEPTED);
    r.n = 4096;
    r.m = 1;
    stats_log_push_reserved(&bench_log, &r);
}

static void connection(void)
{
    struct stats_log_record r;

    begin(&r, STATS_LOG_CONNECT);
    stats_log_push(&bench_log, &r);
    begin(&r, STATS_LOG_DISCONNECT);
    stats_log_text(&r, base_span_str("quit"));
    stats_log_part(&r, 1, base_span_str("QUIT"), 16);
    stats_log_part(&r, 2, base_span_str("ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"), 400);
    stats_log_push(&bench_log, &r);
}

static double measure(void (*one)(void))
{
    for (unsigned i = 0; i < SLICES; i++) {
        uint64_t start = __rdtsc();
        for (unsigned j = 0; j < TURNS; j++)
            one();
        slices[i] = (double)(__rdtsc() - start) / TURNS;
        while (stats_log_pop(bench_log.ring, taken, 64) > 0)
            ;
    }
    return median();
}

static void id_format(char out[LOG_ID_CAP], const uint8_t id[16])
{
    snprintf(out, LOG_ID_CAP, "0rxa9w6kwf15e0r0000000000%x", id[0] & 15);
}

static double format(enum log_form form)
{
    static char line[LOG_LINE_CAP];
    struct log_style style = {
        .form = form, .ident = "postfix", .hostname = "mx.example.org", .id_format = id_format};
    struct stats_log_record r;

    begin(&r, STATS_LOG_DELIVERED);
    r.n = 250;
    stats_log_text(&r, base_span_str("2.0.0 Ok: queued as 4TQx2k0v5Fz1"));
    stats_log_part(&r, 1, base_span_str("someone@example.org"), 400);
    stats_log_part(&r, 2, base_span_str("mx1.example.org"), 400);
    stats_log_part(&r, 3, base_span_str("dane/verified"), 400);
    stats_log_part(&r, 5, base_span_str("0.01/0.02/0/0.25"), 400);
    for (unsigned i = 0; i < SLICES; i++) {
        uint64_t start = __rdtsc();
        for (unsigned j = 0; j < TURNS; j++)
            if (log_format(line, &style, &r, 0) == 0)
                abort();
        slices[i] = (double)(__rdtsc() - start) / TURNS;
    }
    return median();
}

int main(void)
{
    static struct stats_block stats;
    ssize_t bytes = rte_ring_get_memsize_elem(sizeof(struct stats_log_record), RING_CNT);

    bench_log.ring = aligned_alloc(64, ((size_t)bytes + 63) & ~(size_t)63);
    bench_log.stats = &stats;
    if (bytes <= 0 || bench_log.ring == NULL ||
        rte_ring_init(bench_log.ring, "log", RING_CNT, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
        return 1;
    printf("lane cycles_per_message %.0f cycles\n", measure(message));
    printf("lane cycles_per_connection %.0f cycles\n", measure(connection));
    printf("text cycles_per_line %.0f cycles\n", format(LOG_FORM_TEXT));
    printf("json cycles_per_line %.0f cycles\n", format(LOG_FORM_JSON));
    printf("postfix cycles_per_line %.0f cycles\n", format(LOG_FORM_POSTFIX));
    return stats_get(&stats, STATS_LOG_DROPPED) == 0 ? 0 : 1;
}

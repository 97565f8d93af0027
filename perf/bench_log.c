/*
 * What the log costs: cycles (TSC ticks) of the lane for the records of one message in a session
 * that goes on (message, accepted) and of a connection (connect, disconnect), and of the writer for
 * a line of each form, without the write.
 *
 * bench_log lane UPDATES [spin]: what log and counters together cost a lane at 100,000 messages a
 * second: two records and UPDATES changes of counters a message, each message in its time, while
 * another thread takes the records out, makes lines of them, sleeps when there are none, and reads
 * all counters ten times a second, as the log's writer and telemetry do. With spin it does nothing
 * but ask for records all the time, which is the worst that a reader could do. Between two messages
 * 64 KiB of other memory are read, so that nothing is in the first cache. Each with its neighbor
 * without any of it, alternately; medians, and means of all but the longest hundredth.
 *
 * Lines "who metric value unit". Without an argument a ring of a gateway's depth is filled and
 * emptied by the same thread, so that what crosses between two cores is not in the figure. Figures
 * are medians of slices.
 */
#include "log_format.h"
#include "mail_message_id.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
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

/* ---- a lane at its pace ---- */

#define PER_S        100000
#define MESSAGES     20000 /* of each kind */
#define OTHER_BYTES  65536
#define POLLS_PER_S  10
#define IDLE_US      10000 /* log_writer.c */
#define COUNTERS_MAX 64    /* different ones that a message changes */

struct reader {
    struct stats_block *stats;
    double tick_hz;
    bool spins;
    _Atomic bool stop;
    uint64_t sum; /* so that what is read counts */
};

static uint64_t make_lines(uint32_t cnt)
{
    static char line[LOG_LINE_CAP];
    const struct log_style style = {
        .ident = "", .hostname = "mx.example.org", .id_format = id_format};
    uint64_t sum = 0;

    for (uint32_t i = 0; i < cnt; i++)
        sum += log_format(line, &style, &taken[i], 0);
    return sum;
}

/* The log's writer, and who polls telemetry. */
static void *read_all(void *arg)
{
    struct reader *r = arg;
    uint64_t poll = __rdtsc();

    while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
        uint32_t n = stats_log_pop(bench_log.ring, taken, 64);
        for (uint32_t i = 0; i < n && r->spins; i++)
            r->sum += taken[i].wall_ns;
        if (!r->spins)
            r->sum += make_lines(n);
        if (__rdtsc() >= poll) {
            poll += (uint64_t)(r->tick_hz / POLLS_PER_S);
            for (int i = 0; i < STATS_CNT; i++)
                r->sum += stats_get(r->stats, (enum stats_id)i);
        }
        if (n == 0 && r->spins)
            _mm_pause();
        else if (n == 0)
            usleep(IDLE_US);
    }
    return NULL;
}

static double tick_hz(void)
{
    struct timespec a, b;
    const struct timespec nap = {0, 100 * 1000 * 1000};

    clock_gettime(CLOCK_MONOTONIC, &a);
    uint64_t from = __rdtsc();
    nanosleep(&nap, NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    return (double)(__rdtsc() - from) / s;
}

static int compare_ticks(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

static void updates(struct stats_block *stats, uint32_t cnt)
{
    static const uint32_t step = STATS_CNT / COUNTERS_MAX;

    for (uint32_t i = 0; i < cnt; i++)
        stats_add(stats, (enum stats_id)(i % COUNTERS_MAX * step), i + 1);
}

static double mean(const uint32_t *sorted, size_t cnt)
{
    double sum = 0;

    for (size_t i = 0; i < cnt; i++)
        sum += sorted[i];
    return sum / (double)cnt;
}

static int lane(struct stats_block *stats, uint32_t update_cnt, bool spins)
{
    static uint32_t ticks[2][MESSAGES];
    static uint8_t other[OTHER_BYTES];
    struct reader r = {.stats = stats, .tick_hz = tick_hz(), .spins = spins};
    pthread_t thread;
    uint64_t sum = 0;
    const size_t middle = MESSAGES / 2;

    if (pthread_create(&thread, NULL, read_all, &r) != 0)
        return 1;
    uint64_t next = __rdtsc();
    for (uint32_t i = 0; i < 2 * MESSAGES; i++) {
        for (size_t k = 0; k < OTHER_BYTES; k += 64)
            sum += other[k]++;
        next += (uint64_t)(r.tick_hz / PER_S);
        while (__rdtsc() < next || stats_log_room(&bench_log) < RING_CNT / 2)
            _mm_pause(); /* the reader may have no core for a while */
        uint64_t start = __rdtsc();
        if (i % 2 == 1) {
            message();
            updates(stats, update_cnt);
        }
        ticks[i % 2][i / 2] = (uint32_t)(__rdtsc() - start);
        if (start > next + (uint64_t)r.tick_hz / 1000)
            next = start; /* somebody else had the core */
    }
    atomic_store_explicit(&r.stop, true, memory_order_relaxed);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++)
        qsort(ticks[i], MESSAGES, sizeof(ticks[i][0]), compare_ticks);
    double cost = (double)ticks[1][middle] - (double)ticks[0][middle];
    printf("lane updates_per_message %u updates\n", update_cnt);
    const size_t most = MESSAGES - MESSAGES / 100;
    printf("lane cycles_per_message_both %.0f cycles\n", cost);
    printf("lane mean_cycles_per_message_both %.0f cycles\n",
           mean(ticks[1], most) - mean(ticks[0], most));
    printf("lane share_at_100000_per_s %.3f %%\n", 100 * cost * PER_S / r.tick_hz);
    return r.sum + sum > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct stats_block stats;
    const uint32_t cell_cnt = RING_CNT * STATS_LOG_CELLS_MAX;
    ssize_t bytes = rte_ring_get_memsize_elem(STATS_LOG_CELL_BYTES, cell_cnt);

    bench_log.ring = aligned_alloc(64, ((size_t)bytes + 63) & ~(size_t)63);
    bench_log.stats = &stats;
    if (bytes <= 0 || bench_log.ring == NULL ||
        rte_ring_init(bench_log.ring, "log", cell_cnt, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
        return 1;
    if (argc >= 3 && strcmp(argv[1], "lane") == 0)
        return lane(&stats, (uint32_t)strtoul(argv[2], NULL, 10),
                    argc == 4 && strcmp(argv[3], "spin") == 0);
    printf("lane cycles_per_message %.0f cycles\n", measure(message));
    printf("lane cycles_per_connection %.0f cycles\n", measure(connection));
    printf("text cycles_per_line %.0f cycles\n", format(LOG_FORM_TEXT));
    printf("json cycles_per_line %.0f cycles\n", format(LOG_FORM_JSON));
    printf("postfix cycles_per_line %.0f cycles\n", format(LOG_FORM_POSTFIX));
    return stats_get(&stats, STATS_LOG_DROPPED) == 0 ? 0 : 1;
}
